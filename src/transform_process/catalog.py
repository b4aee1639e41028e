"""PURE. The transforms in the order in which they run: which silver tables move each, and which SQL files it is made of.

What was loaded is cut into windows of load_time; a transform works on one after the other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

LOST = "ops_lost_minutes"
"""Where the loader says in which minutes silver lost rows; with a load_time, as rows of silver have one."""

INTERVAL_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""Every length divides the next one: each is rolled up from the one before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of sql/clickhouse/gold; beside `parameters` it may use the window and the build_version.

    `target` is the table it fills. `needs`, if there is one, is a file of sql/clickhouse/transform that counts what the step
    works on: with none it would fill nothing, and planning a large statement takes the engine up to half a second.
    """

    name: str
    file: str
    target: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """A deletion of sql/clickhouse/gold, by names and starts that are written into it: each replica does it by itself, and
    must not find other minutes than the next one.

    `reach` gives what may stand on a row of the minute that begins then: starts in seconds since the epoch, after the
    interval where the table has several.
    """

    file: str
    reach: Callable[[int], Iterable[tuple[str, int] | tuple[int]]]
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transform:
    """Steps over one window of load_time of the `sources`, one after the other, each reading what those before it built."""

    name: str
    sources: tuple[str, ...]
    most_rows: int
    steps: tuple[Step, ...]
    forgets: tuple[Forget, ...]
    """Deletions that go before the steps where silver lost rows (`LOST`) in the window."""


def _base(interval: str) -> Step:
    parameters: dict[str, str | int] = {"interval": interval, "seconds": INTERVAL_SECONDS[interval]}
    return Step(f"ohlcv_{interval}", "ohlcv_base.sql", "stored_ohlcv", parameters)


def _roll_up(part: str, interval: str) -> Step:
    parameters: dict[str, str | int] = {
        "interval": interval,
        "seconds": INTERVAL_SECONDS[interval],
        "part": part,
        "part_seconds": INTERVAL_SECONDS[part],
    }
    return Step(f"ohlcv_{interval}", "ohlcv_roll_up.sql", "stored_ohlcv", parameters)


def _indicators(interval: str) -> Step:
    parameters: dict[str, str | int] = {"interval": interval, "seconds": INTERVAL_SECONDS[interval]}
    return Step(f"indicators_{interval}", "indicators.sql", "stored_indicators", parameters)


def _intervals(minute: int) -> list[tuple[str, int]]:
    """Seconds go with their minute."""
    return [(interval, minute - minute % max(seconds, 60)) for interval, seconds in INTERVAL_SECONDS.items()]


def _minutes_of_a_book(minute: int) -> list[tuple[int]]:
    """A book may stand on a lost row up to the end of the hour after it; the clocks of both venues may differ."""
    return [(start,) for start in range(minute - 60, minute - minute % 3_600 + 7_200, 60)]


def _hours_of_a_book(minute: int) -> list[tuple[int]]:
    """The hours beside it are built from it too."""
    hour = minute - minute % 3_600
    return [(hour - 3_600,), (hour,), (hour + 3_600,)]


def _symbols(of: str) -> Step:
    return Step(f"symbol_names_{of}", "symbol_names.sql", "stored_symbol_names")


def _cross_venue(basis: str) -> Step:
    return Step(f"cross_venue_{basis}", "cross_venue.sql", "stored_cross_venue", {"basis": basis}, "shared_markets.sql")


_LONGER = [interval for interval in INTERVAL_SECONDS if interval != "1s"]

OHLCV = Transform(
    name="ohlcv",
    sources=("silver_trades", "silver_klines"),
    most_rows=2_000_000,
    steps=(
        _base("1s"),
        _base("1m"),
        *(_roll_up(part, interval) for part, interval in pairwise(_LONGER)),
        *(_indicators(interval) for interval in _LONGER),
        _symbols("trades"),
        _cross_venue("trades"),
    ),
    forgets=(
        Forget("forget_ohlcv.sql", _intervals),
        Forget("forget_indicators.sql", _intervals),
        Forget("forget_cross_venue.sql", lambda minute: [(minute,)], {"basis": "trades"}),
    ),
)

BOOK = Transform(
    name="book",
    sources=("silver_depth_diffs", "silver_depth_snapshots"),
    most_rows=100_000,
    steps=(
        Step("book_top_1s", "book_top_1s.sql", "stored_book_top"),
        Step("book_coverage", "book_coverage.sql", "stored_book_hours"),
        _symbols("book"),
        _cross_venue("book"),
    ),
    forgets=(
        Forget("forget_book_top.sql", _minutes_of_a_book),
        Forget("forget_book_hours.sql", _hours_of_a_book),
        Forget("forget_cross_venue.sql", _minutes_of_a_book, {"basis": "book"}),
    ),
)

TRANSFORMS = (OHLCV, BOOK)


@dataclass(frozen=True, slots=True)
class Load:
    """Rows that were loaded at one instant (microseconds)."""

    load_us: int
    rows: int


@dataclass(frozen=True, slots=True)
class Window:
    """Loaded from `start_us` up to, not including, `end_us`; `rows` of silver in between."""

    start_us: int
    end_us: int
    rows: int


def cut_windows(loads: Iterable[Load], start_us: int, end_us: int, most_rows: int) -> Iterator[Window]:
    """Windows without a hole from `start_us` to `end_us`, each with at most `most_rows` rows.

    `loads` may come in any order, from several tables. What was loaded at one instant stays together, however much it
    is. No loads, no window.
    """
    by_instant: dict[int, int] = {}
    for load in loads:
        by_instant[load.load_us] = by_instant.get(load.load_us, 0) + load.rows
    rows = 0
    for load_us, count in sorted(by_instant.items()):
        if rows and rows + count > most_rows:
            yield Window(start_us, load_us, rows)
            start_us, rows = load_us, 0
        rows += count
    if rows:
        yield Window(start_us, end_us, rows)

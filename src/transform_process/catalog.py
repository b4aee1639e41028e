"""PURE. The transforms in the order in which they run: which silver tables move each, and which SQL files it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

LOST = "ops_lost_minutes"
"""Where the loader says in which minutes silver lost rows; with a load_time, as rows of silver have one."""

INTERVAL_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""Every length divides the next one: each is rolled up from the one before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of sql/clickhouse/gold; beside `parameters` it may use the window and the build_version.

    `target` is the table it fills.
    """

    name: str
    file: str
    target: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transform:
    """Steps over one window of load_time of the `sources`, one after the other, each reading what those before it built."""

    name: str
    sources: tuple[str, ...]
    most_rows: int
    steps: tuple[Step, ...]
    forgets: tuple[Step, ...]
    """Statements that go before the steps where silver lost rows (`LOST`) in the window."""


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


def _forgets(target: str, interval: str) -> Step:
    parameters: dict[str, str | int] = {"interval": interval, "seconds": INTERVAL_SECONDS[interval]}
    return Step(f"forget_{target}_{interval}", f"forget_{target}.sql", f"stored_{target}", parameters)


def _forgets_cross_venue(basis: str) -> Step:
    return Step(f"forget_cross_venue_{basis}", "forget_cross_venue.sql", "stored_cross_venue", {"basis": basis})


def _symbols(of: str) -> Step:
    return Step(f"symbol_names_{of}", "symbol_names.sql", "stored_symbol_names")


def _cross_venue(basis: str) -> Step:
    return Step(f"cross_venue_{basis}", "cross_venue.sql", "stored_cross_venue", {"basis": basis})


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
        *(_forgets("ohlcv", interval) for interval in INTERVAL_SECONDS),
        *(_forgets("indicators", interval) for interval in _LONGER),
        _forgets_cross_venue("trades"),
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
        Step("forget_book_top", "forget_book_top.sql", "stored_book_top"),
        Step("forget_book_hours", "forget_book_hours.sql", "stored_book_hours"),
        _forgets_cross_venue("book"),
    ),
)

TRANSFORMS = (OHLCV, BOOK)

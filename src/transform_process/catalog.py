"""PURE. The transforms in the order in which they run: which silver tables move each, and which SQL files it is made of.

What was loaded is cut into windows of load_time; a transform works on one after the other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tickhouse_core.timestamps import INTERVAL_SECONDS

LOST = "ops_lost_minutes"
"""Where the loader says in which minutes silver lost rows; with a load_time, as rows of silver have one."""

NO_TRADE, WHOLE_DAY = "no_trade", "backfilled"
"""Events that candles look at: ids that are no trades; days that were recorded whole from the venue's files."""

_LONGER = [interval for interval in INTERVAL_SECONDS if interval != "1s"]

Parameters = Mapping[str, str | int | list[str] | list[int]]


@dataclass(frozen=True, slots=True)
class Statement:
    """A file of sql/clickhouse/gold; beside its step's parameters it may use the window and the build_version.

    `needs`, if there is one, is a file of sql/clickhouse/transform that counts what the statement works on: with none it would
    fill nothing, and planning a large statement takes the engine up to half a second. It may also say on which days that is.
    `only_from`: `klines` or `trades`, of which silver may never have had any of the step's interval; so it would then, too.
    `only_after`: a step of the transform that this one reads all of its rows from: it must have had something to do.
    `blocks`, if there is one, is a file there that lists the blocks of time the statement builds anew: it gets `at_once` of them
    at most.
    """

    file: str
    needs: str = ""
    only_from: str = ""
    only_after: str = ""
    blocks: str = ""
    at_once: int = 768


@dataclass(frozen=True, slots=True)
class Step:
    """Statements that fill the table `target`, one after the other; where it has several intervals, the rows of one."""

    name: str
    target: str
    statements: tuple[Statement, ...]
    parameters: Parameters = field(default_factory=dict)


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
    sources: tuple[str, str]
    most_rows: int
    steps: tuple[Step, ...]
    forgets: tuple[Forget, ...]
    """Deletions that go before the steps where silver lost rows (`LOST`) in the window."""

    share: float
    """Of its time that it works at most, where it has to share the processor with a recorder."""

    events: tuple[str, ...] = ()
    """Kinds of events that move it too: they may be loaded after the last row."""


_FROM_TRADES = Statement("ohlcv_base.sql", needs="touched_trades.sql", only_from="trades")
"""Of 1s and 1m."""


def _base(interval: str, *first: Statement) -> Step:
    parameters: Parameters = {"interval": interval, "seconds": INTERVAL_SECONDS[interval]}
    return Step(f"ohlcv_{interval}", "stored_ohlcv", (*first, Statement("ohlcv_klines.sql", only_from="klines")), parameters)


def _roll_up(part: str, interval: str) -> Step:
    parameters: Parameters = {
        "interval": interval,
        "seconds": INTERVAL_SECONDS[interval],
        "part": part,
        "part_seconds": INTERVAL_SECONDS[part],
    }
    statements = (Statement("ohlcv_roll_up.sql"), Statement("ohlcv_own.sql", only_from="klines"))
    return Step(f"ohlcv_{interval}", "stored_ohlcv", statements, parameters)


def _indicators() -> Step:
    parameters: Parameters = {
        "intervals": _LONGER,
        "lengths": [INTERVAL_SECONDS[interval] for interval in _LONGER],
    }
    statement = Statement("indicators.sql", blocks="touched_blocks.sql")
    return Step("indicators", "stored_indicators", (statement,), parameters)


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


def named_sources(sources: tuple[str, str]) -> dict[str, str]:
    """As the parameters of a statement that reads both."""
    return dict(zip(("first_source", "second_source"), sources, strict=True))


def _book(name: str, target: str, whole: int) -> Step:
    """`whole`: of an hour all rows are built, and not only those after what changed."""
    return Step(name, target, (Statement(f"{name}.sql", blocks="touched_books.sql"),), {"whole": whole})


def _symbols(of: str, sources: tuple[str, str]) -> Step:
    return Step(f"symbol_names_{of}", "stored_symbol_names", (Statement("symbol_names.sql"),), named_sources(sources))


def _cross_venue(basis: str, only_after: str) -> Step:
    statement = Statement("cross_venue.sql", needs="shared_markets.sql", only_after=only_after)
    return Step(f"cross_venue_{basis}", "stored_cross_venue", (statement,), {"basis": basis})


_OF_CANDLES = ("silver_trades", "silver_klines")
_OF_BOOKS = ("silver_depth_diffs", "silver_depth_snapshots")

OHLCV = Transform(
    name="ohlcv",
    sources=_OF_CANDLES,
    most_rows=2_000_000,
    share=0.5,
    events=(NO_TRADE, WHOLE_DAY),
    steps=(
        _base("1s", _FROM_TRADES),
        _base("1m"),
        *(_roll_up(part, interval) for part, interval in pairwise(_LONGER)),
        _indicators(),
        _symbols("trades", _OF_CANDLES),
        _cross_venue("trades", only_after="ohlcv_1s"),
    ),
    forgets=(
        Forget("forget_ohlcv.sql", _intervals),
        Forget("forget_indicators.sql", _intervals),
        Forget("forget_cross_venue.sql", lambda minute: [(minute,)], {"basis": "trades"}),
    ),
)

BOOK = Transform(
    name="book",
    sources=_OF_BOOKS,
    most_rows=100_000,
    share=0.35,
    steps=(
        _book("book_top_1s", "stored_book_top", whole=0),
        _book("book_coverage", "stored_book_hours", whole=1),
        _symbols("book", _OF_BOOKS),
        _cross_venue("book", only_after="book_top_1s"),
    ),
    forgets=(
        Forget("forget_book_top.sql", _minutes_of_a_book),
        Forget("forget_book_hours.sql", _hours_of_a_book),
        Forget("forget_cross_venue.sql", _minutes_of_a_book, {"basis": "book"}),
    ),
)

QUOTES = Transform(
    name="quotes",
    sources=("silver_book_tickers", "silver_trades"),  # trades move its watermark where best prices are not recorded any more
    most_rows=2_000_000,
    share=0.35,
    steps=(Step("quotes_1s", "stored_quotes", (Statement("quotes_1s.sql", needs="touched_quotes.sql"),)),),
    forgets=(Forget("forget_quotes.sql", lambda minute: [(start,) for start in (minute - 60, minute, minute + 60)]),),
)

TRANSFORMS = (OHLCV, BOOK, QUOTES)


@dataclass(frozen=True, slots=True)
class Load:
    """Rows that were loaded at one instant (microseconds), of them `lost` minutes in which silver lost rows."""

    load_us: int
    rows: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Loaded from `start_us` up to, not including, `end_us`: `rows` in between, of them `lost` minutes as in `Load`."""

    start_us: int
    end_us: int
    rows: int
    lost: int = 0


def cut_windows(loads: Iterable[Load], start_us: int, end_us: int, most_rows: int) -> Iterator[Window]:
    """Windows without a hole from `start_us` to `end_us`, each with at most `most_rows` rows.

    `loads` may come in any order, from several tables. What was loaded at one instant stays together, however much it
    is. No loads, no window.
    """
    by_instant: dict[int, Load] = {}
    for load in loads:
        same = by_instant.get(load.load_us, Load(load.load_us, 0))
        by_instant[load.load_us] = Load(load.load_us, same.rows + load.rows, same.lost + load.lost)
    rows = lost = 0
    for load_us, load in sorted(by_instant.items()):
        if rows and rows + load.rows > most_rows:
            yield Window(start_us, load_us, rows, lost)
            start_us, rows, lost = load_us, 0, 0
        rows += load.rows
        lost += load.lost
    if rows:
        yield Window(start_us, end_us, rows, lost)

"""PURE. What a backfill is asked for, what the lake lacks of it (months, pages of requests), and what it counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from extract_process.ranges import Grid, Range
from extract_process.venues import DEFAULT_VENUE
from tickhouse_core.timestamps import format_instant

NO_DATA = "venue_has_no_data"
"""The cause of a gap that the venue proved to have no klines in."""

Source = Literal["rest", "archive", "auto"]


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """`start` and `end` in microseconds, end exclusive, None for now; `recheck` compares what the lake has already.

    `newest_first` goes back in time, one page of every symbol in turn: for somebody who looks at charts meanwhile.
    """

    interval: str
    start_us: int
    end_us: int | None = None
    source: Source = "rest"
    concurrency: int = 16
    recheck: bool = False
    venue: str = DEFAULT_VENUE
    newest_first: bool = False


@dataclass(slots=True)
class BackfillReport:
    """Counters while it runs, the summary when it is done."""

    rows_wanted: int = 0
    rows_missing: int = 0
    rows_received: int = 0
    rows_landed: int = 0
    rows_without_data: int = 0
    rows_unproven: int = 0
    months_landed: int = 0
    disagreements: int = 0
    gaps: int = 0
    unusable_files: int = 0
    failures: list[str] = field(default_factory=list)
    """What is missing although nothing proves that the venue has none: one line per month."""

    unknown: tuple[str, ...] = ()
    """Symbols that were left out because neither the venue nor its archive knows them."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one month's object already answers: klines it has, and ranges the venue proved to have none."""

    present: list[Range] = field(default_factory=list)
    no_data: list[Range] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """What one month's object lacks of `span`, the wanted part of the month; `is_new` where it holds no kline yet."""

    month: str
    span: Range
    missing: list[Range]
    is_new: bool


def wanted_range(grid: Grid, start_us: int, end_us: int, server_now_us: int) -> Range | None:
    """The open times of klines that begin in [start, end) and are closed by the server's clock; None if there are none."""
    first = grid.ceiling(start_us)
    last = min(grid.before(grid.ceiling(end_us)), grid.before(grid.floor(server_now_us)))
    return Range(first, last) if first <= last else None


def why_nothing(what: str, grid: Grid, start_us: int, end_us: int | None, final_us: int) -> str:
    """For people: which instants there are beside a range of which nothing is wanted. `final_us`: when its first one is final."""
    start, first = format_instant(start_us), grid.ceiling(start_us)
    if end_us is None or first < end_us:
        return f"nothing to request yet: the {what} of {format_instant(first)} cannot be final before {format_instant(final_us)}"
    beside = f"the last one before is of {format_instant(grid.before(first))}, the next one of {format_instant(first)}"
    return f"nothing to request: no {what} is between {start} and {format_instant(end_us)}; {beside}"


def plan_months(grid: Grid, wanted: Range, coverage: Mapping[str, Coverage]) -> list[MonthPlan]:
    """The months of the wanted range that lack something, oldest first; complete ones do not appear."""
    plans = []
    for month, span in grid.split_by_month(wanted):
        known = coverage.get(month, Coverage())
        missing = grid.missing(span, known.present + known.no_data)
        if missing:
            plans.append(MonthPlan(month, span, missing, is_new=not known.present))
    return plans


def plan_pages(grid: Grid, spans: Iterable[Range], page_rows: int) -> list[Range]:
    """The fewest requests of at most `page_rows` klines for these ranges; neighbours across months are joined first."""
    return [page for span in grid.joined(spans) for page in grid.split(span, page_rows)]


def proven_absent(grid: Grid, asked: Range, open_times: Sequence[int], server_now_us: int, settle_us: int) -> list[Range]:
    """The part of an answered question for which the venue has no klines.

    A kline that closed less than `settle_us` ago may only be late, so its absence proves nothing yet.
    """
    holes = grid.missing(asked, grid.ranges_of(open_times))
    last_settled = grid.before(grid.floor(server_now_us - settle_us))
    return [Range(hole.first, min(hole.last, last_settled)) for hole in holes if hole.first <= last_settled]

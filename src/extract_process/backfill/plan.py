"""PURE. From what is wanted and what the lake holds to what must be asked: months, and pages of requests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from extract_process.ranges import Grid, Range

NO_DATA = "venue_has_no_data"
"""The cause of a gap that the venue proved to have no klines in."""


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

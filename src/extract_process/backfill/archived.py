"""One month of klines from a venue's bulk files: the monthly file, daily ones for what it lacks, and what was wrong.

The archive proves presence, never absence: REST is asked for what its files lack (`auto`), or it is a gap (`archive`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from extract_process.backfill.month_files import in_order, without_rows_of
from extract_process.backfill.plan import MonthPlan
from extract_process.ranges import Grid, Range
from extract_process.venues.api import Archive
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import VenueError
from tickhouse_core.timestamps import DAY_US, format_instant

log = logging.getLogger(__name__)

_MONTH_LENGTH = len("2024-01")
_LONGEST_MONTH = 31
_MOST_UNUSABLE_DAYS = 2
"""Unusable daily files after which the month is given up: then the archive is in trouble, not one file."""


@dataclass(slots=True)
class ArchivedMonth:
    """`rows` by open time, each once; `missing` is what of the plan they lack; `unusable` one line per broken file."""

    rows: pa.Table
    missing: list[Range]
    unusable: list[str] = field(default_factory=list)

    @property
    def why_missing(self) -> str:
        """For people: what was wrong with the files, or that there are none."""
        if not self.unusable:
            return "no file of the archive has them"
        more = f" (and {len(self.unusable) - 1} more files)" if len(self.unusable) > 1 else ""
        return self.unusable[0] + more


async def fetch_archived_month(
    archive: Archive, symbol: str, interval: str, grid: Grid, plan: MonthPlan, *, always_daily: bool
) -> ArchivedMonth:
    """What the bulk files have of a month. Raises nothing for a file: the caller decides what a hole means.

    Daily files fill the holes of a monthly one; where that is missing or unusable, they are asked only if `always_daily`.
    """
    month = ArchivedMonth(KLINES.schema.empty_table(), plan.missing)
    monthly = await _usable(month, archive.fetch_month(symbol, interval, plan.month))
    _add(month, grid, monthly)
    if monthly is not None or always_daily:
        before = len(month.unusable)
        for day in _days_of(month.missing):
            if len(month.unusable) - before >= _MOST_UNUSABLE_DAYS:
                break
            _add(month, grid, await _usable(month, archive.fetch_day(symbol, interval, day)))
    if month.unusable:
        log.warning("archive not usable", extra={"symbol": symbol, "month": plan.month, "why": month.why_missing})
    return month


async def _usable(month: ArchivedMonth, fetching: Awaitable[pa.Table | None]) -> pa.Table | None:
    try:
        return await fetching
    except VenueError as error:
        month.unusable.append(str(error))
        return None


def _add(month: ArchivedMonth, grid: Grid, rows: pa.Table | None) -> None:
    """What is there already stays: a daily file only fills holes."""
    if rows is None:
        return
    month.rows = in_order(pa.concat_tables([month.rows, without_rows_of(month.rows, in_order(rows))]))
    month.missing = grid.without(month.missing, grid.ranges_of(month.rows["open_time"].cast(pa.int64()).to_pylist()))


async def is_archived(archive: Archive, symbol: str, interval: str, start_us: int, end_us: int) -> bool:
    """Whether the archive has any file of the range: a month, or a day of its last weeks."""
    if end_us <= start_us:
        return False
    days = _days_of([Range(start_us, end_us - 1)])
    months = sorted({day[:_MONTH_LENGTH] for day in days})
    for dates in (months, days[-_LONGEST_MONTH:]):
        if any(await asyncio.gather(*(archive.publishes(symbol, interval, date) for date in dates))):
            return True
    return False


async def first_archived(archive: Archive, symbol: str, interval: str, start_us: int, end_us: int) -> int:
    """An open time of the range's first monthly file, 0 where there is none."""
    for month in sorted({day[:_MONTH_LENGTH] for day in _days_of([Range(start_us, end_us - 1)])}):
        rows = await archive.fetch_month(symbol, interval, month)
        if rows is not None and rows.num_rows:
            return int(rows["open_time"][0].value)
    return 0


def _days_of(spans: Iterable[Range]) -> list[str]:
    """`YYYY-MM-DD` of every day that the ranges touch, oldest first."""
    days = {day for span in spans for day in range(span.first // DAY_US, span.last // DAY_US + 1)}
    return [format_instant(day * DAY_US)[:10] for day in sorted(days)]

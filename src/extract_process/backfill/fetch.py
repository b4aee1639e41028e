"""The rows of a page or month, from REST or the archive. What cannot be had is noted on the series and fails its symbol only.

The archive proves presence, never absence: REST is asked for what its files lack (`auto`), or it is a gap (`archive`), except
before the first kline that REST has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from extract_process.backfill.month_files import in_order, without_rows_of
from extract_process.backfill.plan import BackfillOptions, BackfillReport, MonthPlan, Source, plan_pages, proven_absent
from extract_process.backfill.series import KlineSeries
from extract_process.ranges import Grid, Range
from extract_process.venues import Venue
from extract_process.venues.api import Archive, VenueRest
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import UnusableAnswer, VenueError, VenueRefused
from tickhouse_core.event_kinds import GapCause
from tickhouse_core.timestamps import DAY_US, MINUTE_US, format_instant

log = logging.getLogger(__name__)

SETTLE_US = 5 * MINUTE_US
"""How long after its close a kline may still be late; a younger absence is asked for again."""

MOST_UNUSABLE_PAGES = 2
"""Pages of one symbol without a usable answer, each after all tries, before its other pages are not asked for any more."""

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


@dataclass(slots=True)
class Unanswered:
    """What one symbol's pages cost that the venue refused or answered oddly. `why` is the first page's reason."""

    why: VenueError
    first_us: int
    pages: int = 0
    rows: int = 0


class KlineFetcher:
    """Asks for the rows of a job. Counts what it received in `report`.

    Raises VenueBanned and VenueUnavailable, which concern every symbol. An answer that cannot be used, or a refusal, concerns one
    symbol: its range becomes a gap without a proof, and `unanswered` has a line about it.
    """

    def __init__(
        self, venue: Venue, rest: VenueRest, archive: Archive | None, options: BackfillOptions, report: BackfillReport
    ) -> None:
        self.only_archived: frozenset[str] = frozenset()
        """Symbols that the exchange has forgotten and its archive has not."""
        self._venue = venue
        self._rest = rest
        self._archive = archive
        self._options = options
        self._report = report
        self._unanswered: dict[str, Unanswered] = {}

    def unanswered(self) -> list[str]:
        """One line for each symbol whose pages did not all get a usable answer."""
        return [
            f"{symbol} {self._options.interval}: {one.rows:,} klines, the first of {format_instant(one.first_us)}, "
            f"are missing without a proof: {one.why}"
            for symbol, one in self._unanswered.items()
        ]

    def source_of(self, symbol: str) -> Source:
        return "archive" if symbol in self.only_archived else self._options.source

    async def first_open_time(self, symbol: str, bounds: tuple[int, int]) -> int:
        """The open time of a symbol's first kline, which sets the phase of intervals that do not start at a fixed instant."""
        if self._archive is not None and symbol in self.only_archived:
            return await first_archived(self._archive, symbol, self._options.interval, *bounds)
        span = Range(0, self._rest.client.server_now())
        return await self._rest.fetch_first_open_time(symbol, self._options.interval, span) or 0

    async def absent_before_listing(self, series: KlineSeries, missing: list[Range], wanted: Range) -> list[Range]:
        """What of the missing lies before the venue's first kline: one question instead of one per empty page.

        Asked only where the lake holds nothing at the beginning of the wanted range.
        """
        if self.source_of(series.symbol) == "archive" or not missing or missing[0].first != wanted.first:
            return []
        return await self._before_first(series, missing, wanted)

    async def _before_first(self, series: KlineSeries, missing: list[Range], wanted: Range) -> list[Range]:
        """What of the missing lies before the venue's first kline of the wanted range. An unusable answer proves nothing."""
        grid = series.grid
        try:
            first = await self._rest.fetch_first_open_time(series.symbol, self._options.interval, wanted)
            if first is not None and first > grid.after(wanted.last):
                raise UnusableAnswer(f"asked for klines up to {format_instant(wanted.last)}, got others")
        except (UnusableAnswer, VenueRefused) as error:
            said = {"symbol": series.symbol, "why": str(error)}
            log.warning("when trading began is not known, every page is asked for", extra=said)
            return []
        listed = grid.after(wanted.last) if first is None else first
        if listed <= wanted.first:
            return []
        before = Range(wanted.first, grid.before(grid.ceiling(listed)))
        absent = proven_absent(grid, before, [], self._rest.client.server_now(), SETTLE_US)
        return grid.without(missing, grid.without(missing, absent))

    async def fetch_page(self, series: KlineSeries, span: Range) -> pa.Table:
        """Closed klines of one page; what the venue proves not to exist is noted on the series."""
        asked_at = self._rest.client.server_now()
        if (before := self._unanswered.get(series.symbol)) and before.pages >= MOST_UNUSABLE_PAGES:
            return self._leave_out(series, span, before.why)
        try:
            rows = await self._fetch_rows(series, span)
        except (UnusableAnswer, VenueRefused) as error:
            return self._leave_out(series, span, error)
        open_times = rows["open_time"].cast(pa.int64()).to_pylist()
        series.add_absence(proven_absent(series.grid, span, open_times, asked_at, SETTLE_US))
        self._report.rows_received += rows.num_rows
        return rows

    async def _fetch_rows(self, series: KlineSeries, span: Range) -> pa.Table:
        """All rows of a page: off-grid klines among them make more than one answer holds."""
        rows = (await self._rest.fetch_klines(series.symbol, self._options.interval, span)).parsed
        times = rows["open_time"].cast(pa.int64())
        if len(times) and not span.first <= times[0].as_py() <= times[-1].as_py() <= series.grid.after(span.last):
            raise UnusableAnswer(f"asked for klines from {format_instant(span.first)} on, got others")
        last = times[-1].as_py() if rows.num_rows == self._venue.page_rows else span.last
        if last >= span.last:
            return rows
        return pa.concat_tables([rows, await self._fetch_rows(series, Range(last + 1_000, span.last))])

    def _leave_out(self, series: KlineSeries, span: Range, why: VenueError) -> pa.Table:
        """No rows: the range is a gap without a proof, which the next run asks for again."""
        cause: GapCause = "venue_refused" if isinstance(why, VenueRefused) else "unusable_answer"
        if series.symbol not in self._unanswered:
            self._unanswered[series.symbol] = Unanswered(why, span.first)
            log.error("the venue gives no usable klines, other symbols go on", extra={"symbol": series.symbol, "why": str(why)})
        one = self._unanswered[series.symbol]
        rows = series.grid.count(span)
        one.pages += 1
        one.rows += rows
        one.first_us = min(one.first_us, span.first)
        self._report.rows_unproven += rows
        series.add_unexplained(span, cause)
        return KLINES.schema.empty_table()

    async def fetch_archived(self, series: KlineSeries, plan: MonthPlan) -> pa.Table:
        """A month from the archive, checked for completeness: `auto` asks REST for what the files lack."""
        assert self._archive is not None, "a job of the archive needs one"
        interval = self._options.interval
        may_ask_rest = self.source_of(series.symbol) != "archive"
        month = await fetch_archived_month(
            self._archive, series.symbol, interval, series.grid, plan, always_daily=not may_ask_rest
        )
        self._report.rows_received += month.rows.num_rows
        self._report.unusable_files += len(month.unusable)
        if may_ask_rest:
            pages = plan_pages(series.grid, month.missing, self._venue.page_rows)
            return pa.concat_tables([month.rows, *[await self.fetch_page(series, page) for page in pages]])
        absent = await self._absent_from_archive(series, plan, month)
        series.add_absence(absent)
        month.missing = series.grid.without(month.missing, absent)
        for hole in month.missing:
            series.add_unexplained(hole, "archive_has_no_data")
        if rows := sum(map(series.grid.count, month.missing)):
            self._report.rows_unproven += rows
            self._report.failures.append(
                f"{series.symbol} {interval} {plan.month}: {rows:,} klines from {format_instant(month.missing[0].first)} to "
                f"{format_instant(series.grid.after(month.missing[-1].last))} are missing without a proof: {month.why_missing}"
            )
        return month.rows

    async def _absent_from_archive(self, series: KlineSeries, plan: MonthPlan, month: ArchivedMonth) -> list[Range]:
        """Before the first kline no file will come. REST is asked for that alone, where a month begins without a file."""
        is_at_beginning = bool(month.missing) and month.missing[0].first == plan.missing[0].first and not month.unusable
        if not is_at_beginning or series.symbol in self.only_archived:
            return []
        try:
            return await self._before_first(series, month.missing, Range(month.missing[0].first, plan.span.last))
        except VenueError as error:
            log.warning("when trading began is not known", extra={"symbol": series.symbol, "why": str(error)})
            return []

"""The backfill's engine: plan from the lake, ask under the weight budget, land month by month."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa

from extract_process.backfill.archived import fetch_archived_month, first_archived
from extract_process.backfill.plan import MonthPlan, plan_months, plan_pages, proven_absent, wanted_range
from extract_process.backfill.series import KlineSeries, OpenMonth
from extract_process.backfill.symbols import look_up, say_unknown
from extract_process.ranges import Range, grid_of, month_of
from extract_process.venues import DEFAULT_VENUE, Venue
from extract_process.venues.api import Archive, VenueRest
from tickhouse_core.errors import Interrupted, TickhouseError, VenueError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import DAY_US, MINUTE_US, format_instant

log = logging.getLogger(__name__)

SETTLE_US = 5 * MINUTE_US
"""How long after its close a kline may still be late; a younger absence is asked for again."""

_LONGEST_MONTH_US = 31 * DAY_US
_ARCHIVE_ROWS = 5_000_000
"""Klines of archived months in memory at once, about 200 bytes each: one month of 1s klines, or a hundred of 1m."""

_FAILURES_SAID = 3

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
class Job:
    """A piece of work for one of the concurrent workers: one page from REST, or one month from the archive."""

    series: KlineSeries
    span: Range
    plan: MonthPlan | None = None


class Backfill:
    """One run over some symbols. `report` and the REST tally may be read while it runs."""

    def __init__(
        self, venue: Venue, rest: VenueRest, archive: Archive | None, store: ObjectStore, options: BackfillOptions
    ) -> None:
        """`archive` is None where the venue has none: then `options.source` is `rest`."""
        self.report = BackfillReport()
        self._venue = venue
        self.rest = rest
        self.archive = archive
        self._store = store
        self._options = options
        self._series: list[KlineSeries] = []
        self._only_archived: frozenset[str] = frozenset()
        rows_of_a_month = grid_of(options.interval).count(Range(0, _LONGEST_MONTH_US))
        self._archive_room = asyncio.Semaphore(max(1, _ARCHIVE_ROWS // rows_of_a_month))
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(maxsize=2 * options.concurrency)
        self._landings: set[asyncio.Task[None]] = set()

    async def run(self, symbols: list[str], stop: StopRequest) -> None:
        """Leaves the lake complete for the wanted range, or raises after landing what has arrived.

        Raises Interrupted, UsageError (no symbol is known), VenueError (also where rows are missing without a proof, or
        where some symbols are unknown: all others are complete), LakeUnavailable.
        """
        try:
            await self._run_all(list(dict.fromkeys(symbols)), stop)
        finally:
            await self._land(self._series, partial=True)
            await asyncio.gather(*self._landings)
        if self.report.failures:
            may_hint = self._options.source == "archive" and not self._only_archived
            hint = "; --source auto asks REST for them" if may_hint else ""
            raise VenueError(_in_few_words(self.report.failures) + hint)
        if self.report.unknown:
            raise VenueError(f"unknown symbol {', '.join(self.report.unknown)} on {self._venue.name}; all others are complete")

    async def _run_all(self, symbols: list[str], stop: StopRequest) -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        with stop.calling(lambda: loop.call_soon_threadsafe(stopped.set)):
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(_raise_when(stopped))]
                    await self.rest.synchronize_clock()
                    await self._look_up(symbols)
                    running += [tasks.create_task(self._work()) for _ in range(self._options.concurrency)]
                    async for job in self._plan_all([symbol for symbol in symbols if symbol not in self.report.unknown]):
                        await self._jobs.put(job)
                    await self._jobs.join()
                    for task in running:
                        task.cancel()
            except BaseExceptionGroup as group:
                raise _most_telling(group) from group

    async def _look_up(self, symbols: list[str]) -> None:
        """Symbols that nobody knows are said, written down and left out. Raises UsageError where there are no others."""
        archive = None if self._options.source == "rest" else self.archive
        found = await look_up(symbols, self._options.interval, self.rest, archive, self._bounds, self._venue)
        self._only_archived = found.only_archived
        self.report.unknown = found.unknown
        if found.unknown:
            log.error("nobody knows these symbols: they are left out", extra={"symbols": ", ".join(found.unknown)})
            await asyncio.to_thread(say_unknown, self._store, self._venue.name, self._options.interval, found.unknown)

    def _bounds(self) -> tuple[int, int]:
        """The wanted instants, from when the venue began up to now at most."""
        server_now = self.rest.client.server_now()
        start_us = max(self._options.start_us, self._venue.earliest_us)
        return start_us, min(self._options.end_us or server_now, server_now)

    async def _plan_all(self, symbols: list[str]) -> AsyncIterator[Job]:
        """One symbol after the other, or a job of each in turn where the newest come first."""
        plans = [self._plan(symbol) for symbol in symbols]
        at_once = len(plans) if self._options.newest_first else 1
        while plans:
            for plan in plans[:at_once]:
                if (job := await anext(plan, None)) is None:
                    plans.remove(plan)
                else:
                    yield job

    async def _plan(self, symbol: str) -> AsyncIterator[Job]:
        """Everything the lake lacks of one symbol, in order of time; what needs no asking lands at once."""
        grid = grid_of(self._options.interval)
        if self._options.interval in self._venue.floating_intervals:
            grid = grid.with_phase_of(await self._first_open_time(symbol))
        wanted = wanted_range(grid, *self._bounds(), self.rest.client.server_now())
        if wanted is None:
            return
        series = KlineSeries(self._store, self._venue.name, symbol, self._options.interval, grid)
        self._series.append(series)
        months = [month for month, _ in grid.split_by_month(wanted)]
        coverage = {} if self._options.recheck else await asyncio.to_thread(series.lake.read_coverage, months)
        plans = plan_months(grid, wanted, coverage)
        missing = [span for plan in plans for span in plan.missing]
        self.report.rows_wanted += grid.count(wanted)
        self.report.rows_missing += sum(map(grid.count, missing))
        absent = await self._absent_before_listing(series, missing, wanted)
        series.add_absence(absent)
        jobs = [job for plan in plans for job in self._jobs_of_archive(series, plan, absent)]
        from_archive = [span for job in jobs if job.plan for span in job.plan.missing]
        pages = plan_pages(grid, grid.without(missing, absent + from_archive), self._venue.page_rows)
        jobs += [Job(series, page) for page in pages]
        for job in jobs:
            series.expect(job.span)
        await self._land([series])
        for job in sorted(jobs, key=lambda job: job.span.first, reverse=self._options.newest_first):
            yield job

    async def _absent_before_listing(self, series: KlineSeries, missing: list[Range], wanted: Range) -> list[Range]:
        """What of the missing lies before the venue's first kline: one question instead of one per empty page.

        Asked only where the lake holds nothing at the beginning of the wanted range.
        """
        if self._source_of(series.symbol) == "archive" or not missing or missing[0].first != wanted.first:
            return []
        grid = series.grid
        first = await self.rest.fetch_first_open_time(series.symbol, self._options.interval, wanted)
        listed = grid.after(wanted.last) if first is None else first
        if listed <= wanted.first:
            return []
        before = proven_absent(
            grid, Range(wanted.first, grid.before(grid.ceiling(listed))), [], self.rest.client.server_now(), SETTLE_US
        )
        return grid.without(missing, grid.without(missing, before))

    def _source_of(self, symbol: str) -> Source:
        return "archive" if symbol in self._only_archived else self._options.source

    async def _first_open_time(self, symbol: str) -> int:
        if self.archive is not None and symbol in self._only_archived:
            return await first_archived(self.archive, symbol, self._options.interval, *self._bounds())
        span = Range(0, self.rest.client.server_now())
        return await self.rest.fetch_first_open_time(symbol, self._options.interval, span) or 0

    def _jobs_of_archive(self, series: KlineSeries, plan: MonthPlan, absent: list[Range]) -> Iterable[Job]:
        """The month as one job where the archive is to be asked: `auto` only for finished months the lake lacks altogether."""
        missing = series.grid.without(plan.missing, absent)
        is_finished = month_of(self.rest.client.server_now() - DAY_US) > plan.month
        source = self._source_of(series.symbol)
        wanted = source == "archive" or (source == "auto" and is_finished and plan.is_new)
        if wanted and missing:
            yield Job(series, plan.span, replace(plan, missing=missing))

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            if job.plan is None:
                await self._settle(job, await self._fetch_page(job))
            else:
                async with self._archive_room:
                    await self._settle(job, await self._fetch_archive_month(job, job.plan))
            self._jobs.task_done()

    async def _settle(self, job: Job, rows: pa.Table) -> None:
        job.series.add_answer(job.span, rows)
        await self._land([job.series])

    async def _fetch_page(self, job: Job) -> pa.Table:
        """Closed klines of one page; what the venue proves not to exist is noted on the series."""
        series, span = job.series, job.span
        asked_at = self.rest.client.server_now()
        rows = await self._fetch_rows(series, span)
        open_times = rows["open_time"].cast(pa.int64()).to_pylist()
        if open_times and not span.first <= open_times[0] <= open_times[-1] <= series.grid.after(span.last):
            raise VenueError(f"{series.symbol}: asked for klines from {format_instant(span.first)}, got others")
        series.add_absence(proven_absent(series.grid, span, open_times, asked_at, SETTLE_US))
        self.report.rows_received += rows.num_rows
        return rows

    async def _fetch_rows(self, series: KlineSeries, span: Range) -> pa.Table:
        """All rows of a page: off-grid klines among them make more than one answer holds."""
        rows = (await self.rest.fetch_klines(series.symbol, self._options.interval, span)).parsed
        last = rows["open_time"][-1].value if rows.num_rows == self._venue.page_rows else span.last
        if last >= span.last:
            return rows
        return pa.concat_tables([rows, await self._fetch_rows(series, Range(last + 1_000, span.last))])

    async def _fetch_archive_month(self, job: Job, plan: MonthPlan) -> pa.Table:
        """A month from the archive, checked for completeness: `auto` asks REST for what the files lack."""
        assert self.archive is not None, "a job of the archive needs one"
        series, interval = job.series, self._options.interval
        may_ask_rest = self._source_of(series.symbol) != "archive"
        month = await fetch_archived_month(
            self.archive, series.symbol, interval, series.grid, plan, always_daily=not may_ask_rest
        )
        self.report.rows_received += month.rows.num_rows
        self.report.unusable_files += len(month.unusable)
        if may_ask_rest:
            pages = plan_pages(series.grid, month.missing, self._venue.page_rows)
            return pa.concat_tables([month.rows, *[await self._fetch_page(Job(series, page)) for page in pages]])
        for hole in month.missing:
            series.add_unexplained(hole, "archive_has_no_data")
        if rows := sum(map(series.grid.count, month.missing)):
            self.report.rows_unproven += rows
            self.report.failures.append(
                f"{series.symbol} {interval} {plan.month}: {rows:,} klines from {format_instant(month.missing[0].first)} to "
                f"{format_instant(series.grid.after(month.missing[-1].last))} are missing without a proof: {month.why_missing}"
            )
        return month.rows

    async def _land(self, series: list[KlineSeries], *, partial: bool = False) -> None:
        """Month by month. A landing that has begun goes on where its worker is cancelled; `run` waits for it."""
        for one in series:
            for month in one.take_partial() if partial else one.take_complete():
                landing = asyncio.create_task(asyncio.to_thread(self._land_month, one, month))
                self._landings.add(landing)
                await asyncio.shield(landing)
                self._landings.discard(landing)

    def _land_month(self, series: KlineSeries, month: OpenMonth) -> None:
        landed = series.land(month)
        self.report.gaps += len(series.grid.joined(month.no_data)) + len(month.unexplained)
        self.report.rows_without_data += sum(map(series.grid.count, month.no_data))
        if landed is not None:
            self.report.months_landed += 1
            self.report.rows_landed += landed.rows
            self.report.disagreements += len({found.open_time for found in landed.disagreements})
            log.info("month landed", extra={"key": landed.key, "new_rows": landed.rows})


async def _raise_when(stopped: asyncio.Event) -> None:
    await stopped.wait()
    raise Interrupted("stopped by a signal; what has arrived is kept, run again to go on")


def _most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several errors at once the one a person must know: ours before others, the first of them."""
    flat = [error for error in group.exceptions if not isinstance(error, BaseExceptionGroup)]
    ours = [error for error in flat if isinstance(error, TickhouseError)]
    return (ours or flat or [group])[0]


def _in_few_words(failures: list[str]) -> str:
    """The first of them: a run over years may have hundreds."""
    more = f"; and {len(failures) - _FAILURES_SAID} more months" if len(failures) > _FAILURES_SAID else ""
    return "; ".join(failures[:_FAILURES_SAID]) + more

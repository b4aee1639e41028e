"""The backfill's engine: plan from the lake, ask under the weight budget, land month by month."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from extract_process.backfill.fetch import KlineFetcher, is_archived
from extract_process.backfill.plan import (
    BackfillOptions,
    BackfillReport,
    MonthPlan,
    plan_months,
    plan_pages,
    wanted_range,
    why_nothing,
)
from extract_process.backfill.series import KlineSeries, OpenMonth
from extract_process.backfill.stopping import in_few_words, most_telling, unless_stopped
from extract_process.listing import unknown_of
from extract_process.parquet import write_events
from extract_process.ranges import Grid, Range, grid_of, month_of
from extract_process.records import StreamEvent
from extract_process.venues import Venue
from extract_process.venues.api import Archive, VenueRest
from tickhouse_core.errors import (
    UnknownSymbols,
    UnusableAnswer,
    UsageError,
    VenueError,
    VenueRefused,
)
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

log = logging.getLogger(__name__)

_STOPPED = "stopped by a signal; what has arrived is kept, run again to go on"
_LONGEST_MONTH_US = 31 * DAY_US
_ARCHIVE_ROWS = 5_000_000
"""Klines of archived months in memory at once, about 200 bytes each: one month of 1s klines, or a hundred of 1m."""


@dataclass(frozen=True, slots=True)
class Found:
    """`only_archived` are delisted symbols: the exchange has forgotten them and the archive has not."""

    only_archived: frozenset[str]
    unknown: tuple[str, ...]


async def look_up(
    symbols: Sequence[str],
    interval: str,
    rest: VenueRest,
    archive: Archive | None,
    bounds: Callable[[], tuple[int, int]],
    venue: Venue,
) -> Found:
    """`archive` is None where only REST is to be asked; `bounds` are the wanted instants, in microseconds.

    Raises UsageError where nobody knows any of the symbols, and VenueError.
    """
    try:
        unknown = await unknown_of(rest, symbols)
    except UnknownSymbols:
        if archive is None:
            raise
        unknown = tuple(symbols)
    if archive is None:
        return Found(frozenset(), unknown)
    archived = [symbol for symbol in unknown if await is_archived(archive, symbol, interval, *bounds())]
    strangers = tuple(symbol for symbol in unknown if symbol not in archived)
    if len(strangers) == len(symbols):
        raise UsageError(
            f"{', '.join(strangers)}: unknown to the exchange and to the archive in this range: "
            f"write it as the venue does, for example {venue.symbol_example}"
        )
    if archived:
        log.warning("unknown to the exchange, asking only the archive", extra={"symbols": archived})
    return Found(frozenset(archived), strangers)


def say_unknown(store: ObjectStore, venue: str, interval: str, symbols: Sequence[str]) -> None:
    """One event for each, as an object of its own."""
    for number, symbol in enumerate(symbols, start=1):
        instance, now = f"backfill-{symbol}-{interval}", now_us()
        event = StreamEvent(venue, symbol, "klines", instance, "unknown_symbol", None, None, now, None, "", interval)
        write_events(store, [event], now, number)


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
        self._said: set[str] = set()
        self._fetcher = KlineFetcher(venue, rest, archive, options, self.report)
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
            await unless_stopped(self._run_all(list(dict.fromkeys(symbols))), stop, _STOPPED)
        finally:
            await self._land(self._series, partial=True)
            await asyncio.gather(*self._landings)
        self.report.failures += self._fetcher.unanswered()
        if self.report.failures:
            may_hint = self._options.source == "archive" and not self._fetcher.only_archived
            hint = "; --source auto asks REST for them" if may_hint else ""
            raise VenueError(in_few_words(self.report.failures, "months") + hint)
        if self.report.unknown:
            raise VenueError(f"unknown symbol {', '.join(self.report.unknown)} on {self._venue.name}; all others are complete")

    async def _run_all(self, symbols: list[str]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self.rest.synchronize_clock()
                await self._look_up(symbols)
                workers = [tasks.create_task(self._work()) for _ in range(self._options.concurrency)]
                async for job in self._plan_all([symbol for symbol in symbols if symbol not in self.report.unknown]):
                    await self._jobs.put(job)
                await self._jobs.join()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as group:
            raise most_telling(group) from group

    async def _look_up(self, symbols: list[str]) -> None:
        """Symbols that nobody knows are said, written down and left out. Raises UsageError where there are no others."""
        archive = None if self._options.source == "rest" else self.archive
        found = await look_up(symbols, self._options.interval, self.rest, archive, self._bounds, self._venue)
        self._fetcher.only_archived = found.only_archived
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
            try:
                first = await self._fetcher.first_open_time(symbol, self._bounds())
            except (UnusableAnswer, VenueRefused) as error:
                self.report.failures.append(f"{symbol} {self._options.interval}: nothing was fetched: {error}")
                return
            grid = grid.with_phase_of(first)
        wanted = wanted_range(grid, *self._bounds(), self.rest.client.server_now())
        if wanted is None:
            self._say_nothing(grid)
            return
        size = self.rest.contract_sizes.get(symbol, "")
        series = KlineSeries(self._store, self._venue.name, symbol, self._options.interval, grid, size)
        self._series.append(series)
        months = [month for month, _ in grid.split_by_month(wanted)]
        coverage = {} if self._options.recheck else await asyncio.to_thread(series.lake.read_coverage, months)
        plans = plan_months(grid, wanted, coverage)
        missing = [span for plan in plans for span in plan.missing]
        self.report.rows_wanted += grid.count(wanted)
        self.report.rows_missing += sum(map(grid.count, missing))
        absent = await self._fetcher.absent_before_listing(series, missing, wanted)
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

    def _say_nothing(self, grid: Grid) -> None:
        """The same line for many symbols once."""
        options, earliest = self._options, self._venue.earliest_us
        start_us = max(options.start_us, earliest)
        final_us = grid.after(grid.ceiling(start_us))
        said = why_nothing(f"kline of {options.interval}", grid, start_us, options.end_us, final_us)
        if options.end_us is not None and options.end_us <= earliest:
            said = f"nothing to request: {self._venue.name} has klines since {format_instant(earliest)}"
        if said not in self._said:
            log.warning(said)
        self._said.add(said)

    def _jobs_of_archive(self, series: KlineSeries, plan: MonthPlan, absent: list[Range]) -> Iterable[Job]:
        """The month as one job where the archive is to be asked: `auto` only for finished months the lake lacks altogether."""
        missing = series.grid.without(plan.missing, absent)
        is_finished = month_of(self.rest.client.server_now() - DAY_US) > plan.month
        source = self._fetcher.source_of(series.symbol)
        wanted = source == "archive" or (source == "auto" and is_finished and plan.is_new)
        if wanted and missing:
            yield Job(series, plan.span, replace(plan, missing=missing))

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            if job.plan is None:
                await self._settle(job, await self._fetcher.fetch_page(job.series, job.span))
            else:
                async with self._archive_room:
                    await self._settle(job, await self._fetcher.fetch_archived(job.series, job.plan))
            self._jobs.task_done()

    async def _settle(self, job: Job, rows: pa.Table) -> None:
        job.series.add_answer(job.span, rows)
        await self._land([job.series])

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

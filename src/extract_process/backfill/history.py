"""The engine of the futures' histories: what the lake lacks is requested page by page, and landed month by month."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from extract_process.backfill.history_files import Series
from extract_process.backfill.history_series import HistorySeries, WaitingMonth
from extract_process.backfill.plan import plan_pages, why_nothing
from extract_process.backfill.stopping import in_few_words, most_telling, unless_stopped
from extract_process.listing import unknown_of
from extract_process.ranges import Grid, Range, grid_of, month_of
from extract_process.venues.api import HistoryRest
from tickhouse_core.datasets import FUNDING_RATES, OPEN_INTEREST, Dataset
from tickhouse_core.errors import UnusableAnswer, VenueError, VenueRefused
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, format_instant

log = logging.getLogger(__name__)

SETTLE_US = 5 * MINUTE_US
"""How long after its instant a row may still be late; a younger one is requested by the next run."""

LONGEST_WAIT_SECONDS = 300.0
"""From the first answer for a month until it lands, although more of it is requested: a kill costs so much requesting."""

_LONGEST_FUNDING = Grid(FUNDING_RATES.longest_step_us)
"""In each of these parts of a day there is a rate."""

_OLDEST_OPEN_INTEREST_US = 30 * DAY_US - HOUR_US
"""The venue refuses a request that begins more than 30 days ago; the hour is for the time that requests wait."""

MOST_SYMBOLS = 4
"""At once; the venue's limit is the same for one and for all."""

_STOPPED = "stopped by a signal; what has arrived is kept, run again to go on"


@dataclass(frozen=True, slots=True)
class History:
    """One kind. `page`: slots of `grid` in one request; `oldest_us`: how far back the venue goes, None: all of it."""

    dataset: Dataset
    grid: Grid
    rows_grid: Grid
    page: int
    period: str = ""
    oldest_us: int | None = None

    @property
    def channel(self) -> str:
        return str(self.dataset.channel)

    @property
    def named(self) -> str:
        """One row of it, for people."""
        return f"open interest of a period of {self.period}" if self.period else "funding rate of a full hour"


def funding_history() -> History:
    """Rates are settled at full hours. A page of 333 days has 999 rates of eight hours; a fuller one is requested in halves."""
    return History(FUNDING_RATES, Grid(HOUR_US), _LONGEST_FUNDING, page=333 * 24)


def open_interest_history(period: str) -> History:
    """A row per period: `5m` to `1d`. A full answer has 500."""
    grid = grid_of(period)
    return History(OPEN_INTEREST, grid, grid, page=499, period=period, oldest_us=_OLDEST_OPEN_INTEREST_US)


@dataclass(slots=True)
class HistoryReport:
    """Counters while it runs, the summary when it is done. Slots are instants that a row could have."""

    slots_wanted: int = 0
    slots_missing: int = 0
    rows_landed: int = 0
    gaps: int = 0
    differences: int = 0
    """Rows that the venue has otherwise than the lake."""

    months_landed: int = 0
    too_old: int = 0
    """Wanted slots that are older than what the venue keeps; they are no part of `slots_wanted`."""

    failures: list[str] = field(default_factory=list)
    """One line per symbol whose answers could not be used."""

    unknown: tuple[str, ...] = ()


class HistoryBackfill:
    """One run over some symbols. `report` and the client's tally may be read while it runs."""

    def __init__(
        self,
        venue: str,
        history: History,
        rest: HistoryRest,
        store: ObjectStore,
        *,
        recheck: bool = False,
        longest_wait: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        """`recheck`: what was requested before is requested again. `longest_wait`: seconds that answers are in memory only."""
        self.report = HistoryReport()
        self.rest = rest
        self._venue = venue
        self._history = history
        self._store = store
        self._recheck = recheck
        self._longest_wait = longest_wait
        self._room = asyncio.Semaphore(MOST_SYMBOLS)

    async def run(self, symbols: Sequence[str], start_us: int, end_us: int | None, stop: StopRequest) -> None:
        """Leaves the lake complete for the range, `end_us` None: up to now. A range without an instant is a line in the log.

        Raises Interrupted, UsageError (no symbol is known, or one has no such history), VenueError (also where answers could not
        be used, all of the range is too old, or some symbols are unknown: all others are complete), LakeUnavailable.
        """
        for symbol in symbols:
            self.rest.check(symbol, self._history.channel)
        await unless_stopped(self._run(list(dict.fromkeys(symbols)), start_us, end_us), stop, _STOPPED)
        if self.report.failures:
            raise VenueError(in_few_words(self.report.failures, "symbols"))
        if self.report.too_old:
            self._say_too_old(start_us, end_us)
        elif not self.report.slots_wanted:
            final = self._history.grid.ceiling(start_us) + SETTLE_US
            log.warning(why_nothing(self._history.named, self._history.grid, start_us, end_us, final))
        if self.report.unknown:
            raise VenueError(f"unknown symbol {', '.join(self.report.unknown)} on {self._venue}; all others are complete")

    async def _run(self, symbols: list[str], start_us: int, end_us: int | None) -> None:
        await self.rest.markets.synchronize_clock()
        self.report.unknown = await unknown_of(self.rest.markets, symbols)
        try:
            async with asyncio.TaskGroup() as tasks:
                for symbol in symbols:
                    if symbol not in self.report.unknown:
                        tasks.create_task(self._fill(symbol, start_us, end_us))
        except BaseExceptionGroup as group:
            raise most_telling(group) from group

    async def _fill(self, symbol: str, start_us: int, end_us: int | None) -> None:
        """One page after the other. An answer that cannot be used ends its symbol; the next run asks for the rest."""
        async with self._room:
            history = self._history
            wanted = self._wanted(start_us, end_us)
            if wanted is None:
                return
            named = Series(history.dataset, self._venue, symbol, history.period, history.grid, history.rows_grid)
            series = HistorySeries(self._store, named)
            months = [month for month, _ in history.grid.split_by_month(wanted)]
            asked = [] if self._recheck else await asyncio.to_thread(series.lake.read_asked, months)
            missing = history.grid.missing(wanted, asked)
            self.report.slots_wanted += history.grid.count(wanted)
            self.report.slots_missing += sum(map(history.grid.count, missing))
            try:
                await self._ask(series, symbol, plan_pages(history.grid, missing, history.page))
            except (UnusableAnswer, VenueRefused) as error:
                log.error("the venue's answer cannot be used, other symbols go on", extra={"symbol": symbol, "why": str(error)})
                self.report.failures.append(f"{symbol}: {error}")

    async def _ask(self, series: HistorySeries, symbol: str, pages: list[Range]) -> None:
        """A month lands once no later page has more of it; what has arrived lands however this ends."""
        try:
            for page, *later in (pages[place : place + 2] for place in range(len(pages))):
                rows = await self._fetch(symbol, page)
                series.add_answer(page, rows, self.rest.markets.client.server_now())
                await self._land(series, besides=month_of(later[0].first) if later else "")
        finally:
            await self._land(series)

    def _wanted(self, start_us: int, end_us: int | None) -> Range | None:
        """The slots that begin within the range, are over for long enough, and that the venue still has."""
        grid, now = self._history.grid, self.rest.markets.client.server_now()
        asked = Range(grid.ceiling(start_us), grid.before(grid.ceiling(now if end_us is None else end_us)))
        first = max(asked.first, self._oldest())
        too_old = Range(asked.first, min(asked.last, grid.before(first)))
        if too_old.first <= too_old.last:
            self.report.too_old += grid.count(too_old)
        last = min(asked.last, grid.floor(now - SETTLE_US))
        return Range(first, last) if first <= last else None

    def _oldest(self) -> int:
        """The first slot that the venue may still have."""
        kept = self._history.oldest_us
        return 0 if kept is None else self._history.grid.ceiling(self.rest.markets.client.server_now() - kept)

    def _say_too_old(self, start_us: int, end_us: int | None) -> None:
        """A line for a part of the range. Raises VenueError where all of it is too old."""
        days, oldest = -(-(self._history.oldest_us or 0) // DAY_US), format_instant(self._oldest())
        start = format_instant(start_us)
        if self.report.slots_wanted or end_us is None:
            log.warning("the venue has nothing so old any more: not requested", extra={"before": oldest, "wanted_since": start})
            return
        kept = f"{self._venue} has the {self._history.channel.replace('_', ' ')} of the last {days} days"
        advice = f"name an --end after {oldest}, and run this at least every {days} days"
        raise VenueError(f"{start} to {format_instant(end_us)} is too old: {kept}; {advice}")

    async def _fetch(self, symbol: str, page: Range) -> pa.Table:
        """All rows of a page. A full answer may lack some, in an order that no page of the venue says: it is halved."""
        history, time = self._history, self._history.dataset.time_column
        span = Range(page.first, history.grid.after(page.last) - 1)
        if history.period:
            rows = (await self.rest.fetch_open_interest(symbol, history.period, span)).parsed
        else:
            rows = (await self.rest.fetch_funding_rates(symbol, span)).parsed
        times = rows[time].cast(pa.int64())
        if rows.num_rows and not span.first <= pc.min(times).as_py() <= pc.max(times).as_py() <= span.last:
            raise UnusableAnswer(f"asked for rows of {format_instant(span.first)} to {format_instant(span.last)}, got others")
        count = history.grid.count(page)
        if rows.num_rows < self.rest.most_rows[history.channel] or count == 1:
            return rows
        parts = [await self._fetch(symbol, part) for part in history.grid.split(page, -(-count // 2))]
        return pa.concat_tables(parts)

    async def _land(self, series: HistorySeries, besides: str = "") -> None:
        """Months that wait, without one of which more is requested. Where the run is stopped, a landing is waited for."""
        for month in series.take(besides, self._longest_wait):
            landing = asyncio.create_task(asyncio.to_thread(self._land_month, series, month))
            try:
                await asyncio.shield(landing)
            except asyncio.CancelledError:
                await landing
                raise

    def _land_month(self, series: HistorySeries, month: WaitingMonth) -> None:
        landed = series.land(month)
        self.report.months_landed += landed.is_written
        self.report.rows_landed += landed.rows
        self.report.gaps += len(landed.empty)
        self.report.differences += len(landed.differences)

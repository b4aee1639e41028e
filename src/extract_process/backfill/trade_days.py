"""The history of trades, or of aggregates of them, by whole days from the venue's bulk files: what the lake lacks, file by file.

The event `backfilled` of a day is the checkpoint: a day that has it, and objects, is not requested again. Of a month that is over
and lacks all its days the monthly file is read, else the daily ones; the month stands in for days that have none. While the rows
of a replaced file are written, the day is a gap that names its SHA-256: a run that was killed then is repeated.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from extract_process.backfill.day_writer import PART_ROWS, DayWriter, EventWriter, HistoryReport, Market, days_of, span_of
from extract_process.backfill.days_without_file import STOPPED, DaysWithoutFile, date_of, named, stretches_of_days
from extract_process.backfill.recorded_trades import REPLACED, Stretch, ToldDays
from extract_process.backfill.stopping import unless_stopped
from extract_process.backfill.trade_gaps import open_gaps, without
from extract_process.backfill.trade_listing import Listing
from extract_process.ranges import EVERY_ID, Range, month_of
from extract_process.records import StreamEvent
from extract_process.venues import Venue
from extract_process.venues.api import Archive, TradeFile
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import Interrupted, VenueRefused
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import LACKING, GapEvents, healed_times
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, now_us

log = logging.getLogger(__name__)

_COMPACTED = (
    "its file was replaced after the day was compacted: rows that were missing are added, others stay if their sources are gone"
)


class TradeDays:
    """One run over some symbols of a venue. `report` may be read while it runs."""

    def __init__(
        self,
        venue: Venue,
        archive: Archive,
        store: ObjectStore,
        folder: Path,
        dataset: Dataset,
        listing: Listing | None = None,
        part_rows: int = PART_ROWS,
    ) -> None:
        """`folder`: on a disk with room for one file. It is deleted at once, and by a kill too. `listing`: None asks nothing."""
        self.report = HistoryReport()
        self.archive = archive
        self.store = store
        self._venue, self._folder, self._dataset = venue, folder, dataset
        self._listing = listing or Listing()
        self._part_rows = part_rows

    async def run(self, asked: Request, stop: StopRequest, *, again: bool = False) -> None:
        """Whole days that are over, from `asked.start` up to `asked.end`, both at midnight.

        `again`: also days that are complete; they are written where the venue has replaced their file.
        Raises Interrupted, VenueUnavailable, LakeUnavailable. A file that cannot be used costs its days: see `report.failures`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        days = range(asked.start // DAY_US, min(asked.end, now_us()) // DAY_US)
        known = GapEvents(self.store, ("gap", "healed", "heal_failed", "backfilled"))
        events = await asyncio.to_thread(known.of, self._dataset, asked)
        for symbol in asked.symbols:
            mine = events.filter(pc.equal(events.column("symbol"), symbol))
            none = await asyncio.to_thread(known.no_trades, self._dataset, replace(asked, symbols=(symbol,)))
            no_trades = [Range(first, end - 1) for first, end in none]
            await _SymbolDays(self, asked, symbol, mine, no_trades).run(days, stop, again=again)

    async def fetch(self, symbol: str, date: str, use: Callable[[TradeFile], None], stop: StopRequest) -> bool:
        """Whether there is such a file. `use` reads it in a thread. Raises VenueRefused for one that cannot be used."""
        with tempfile.TemporaryFile(dir=self._folder, prefix="trades-") as sink:
            file = await unless_stopped(self.archive.fetch_trades(symbol, date, sink, self._dataset), stop, STOPPED)
            if file is None:
                return False
            self.report.files += 1
            await asyncio.to_thread(use, file)
            return True

    async def contract_size(self, symbol: str) -> str:
        return await self._listing.contract_size(symbol) if self._venue.quantities_are_contracts else ""

    def market(self, symbol: str, asked: Request, events: pa.Table, told: ToldDays) -> Market:
        """`events` are the symbol's."""
        missing = EVERY_ID.joined(span for gap in open_gaps(events, asked, again=True) for span in gap.ids)
        return Market(self._venue, symbol, self._dataset, missing, told.lacking, told.spans, healed_times(events))

    def without_file(self, market: Market, told: ToldDays, no_trades: list[Range], tell: EventWriter) -> DaysWithoutFile:
        return DaysWithoutFile(self.store, market, told, no_trades, tell, self._listing, self.report)

    def writer(self, market: Market, file: TradeFile, days: list[int]) -> DayWriter:
        return DayWriter(self.store, market, file, days, self.report, self._part_rows)


class _SymbolDays:
    """The days of one symbol."""

    def __init__(self, run: TradeDays, asked: Request, symbol: str, events: pa.Table, no_trades: list[Range]) -> None:
        """`events` are the symbol's, `no_trades` the ids that they say are none."""
        self._run, self._symbol = run, symbol
        self._told = ToldDays(events)
        self._market = run.market(symbol, asked, events, self._told)
        self._tell = EventWriter(run.store, self._market)
        self._recorded = self._market.recorded(run.store)
        self._without_file = run.without_file(self._market, self._told, no_trades, self._tell)
        self._done: set[int] = set()

    async def run(self, days: range, stop: StopRequest, *, again: bool) -> None:
        """See `TradeDays.run`."""
        run, report = self._run, self._run.report
        self._done = await asyncio.to_thread(self._complete, days)
        await asyncio.to_thread(self._without_file.heal, self._done, "the day is recorded")
        told = set() if again else self._done | self._told.early
        left = [day for day in days if day not in told]
        report.days += len(days)
        report.complete += len(told & self._done)
        report.early += len(told.intersection(days) - self._done)
        size = await run.contract_size(self._symbol) if left else ""
        try:
            for month in dict.fromkeys(month_of(day * DAY_US) for day in left):
                left = await self._read_month(month, left, stop)
        finally:
            await asyncio.to_thread(self._tell_contract, size)
        await self._without_file.tell(left, self._done, stop)
        await asyncio.to_thread(self._tell_borders, days)

    def _complete(self, days: range) -> set[int]:
        written = [day for day in days if day in self._market.spans and day not in self._told.half_written]
        return {day for day in written if self._recorded.is_there(day)}

    async def _read_month(self, month: str, left: list[int], stop: StopRequest) -> list[int]:
        """The days that are still left after the files of a month."""
        first, last = days_of(month)
        is_over = month < month_of(now_us())
        if is_whole := is_over and set(range(first, last + 1)) <= set(left):
            left = await self._read(month, left, stop)
        mine = [day for day in left if first <= day <= last]
        if is_whole and len(mine) == len(await self._without_file.early(mine, stop)):  # then both say that there is none
            return left
        for day in mine:
            left = await self._read(date_of(day), left, stop)
        if is_over and not is_whole and any(first <= day <= last for day in left):
            left = await self._read(month, left, stop)
        return left

    async def _read(self, date: str, left: list[int], stop: StopRequest) -> list[int]:
        """What is left after one file."""
        first, last = days_of(date)
        wanted = [day for day in left if first <= day <= last]
        found: set[int] = set()

        def use(file: TradeFile) -> None:
            fresh = [day for day in wanted if day not in self._done or file.sha256 != self._told.shas[day]]
            found.update(set(wanted) - set(fresh))
            if fresh:
                self._write(file, fresh, found, stop)
            if first == last and date not in map(date_of, found):
                self._without_file.why[first] = f"{file.name} has no trade of the day"

        try:
            is_published = await self._run.fetch(self._symbol, date, use, stop)
        except VenueRefused as error:
            log.error("the archive's file cannot be used", extra={"symbol": self._symbol, "why": str(error)})
            self._without_file.why |= dict.fromkeys(wanted, str(error))
            is_published = True
        if not is_published:
            log.info("no file is published", extra={"symbol": self._symbol, "date": date})
        return [day for day in left if day not in found]

    def _write(self, file: TradeFile, days: list[int], found: set[int], stop: StopRequest) -> None:
        """Days that the file completes are added to `found`, however it ends. Raises Interrupted, VenueRefused."""
        replaced = {day for day in days if day in self._told.shas and self._recorded.is_there(day)}
        writer = self._run.writer(self._replaced(file, replaced) if replaced else self._market, file, days)
        try:
            for table in file.tables():
                if stop.is_set():
                    raise Interrupted(STOPPED)
                writer.take(table)
            writer.finish()
        finally:
            found.update(writer.done)

    def _replaced(self, file: TradeFile, days: set[int]) -> Market:
        """What is known of the market while days get the rows of another file than they had.

        Rows of compacted objects may stay, and with them the gaps of the old file.
        """
        self._tell.tell([self._tell.of_days("gap", Range(day, day), LACKING, f"{REPLACED}{file.sha256}") for day in sorted(days)])
        compacted = {day for day in days if self._recorded.is_compacted(day)}
        for first, last, why in stretches_of_days((day, _COMPACTED) for day in sorted(compacted)):
            self._run.report.failures.append(f"{self._symbol}: {named(first, last)}: {why}")
            log.warning(why, extra={"symbol": self._symbol, "days": named(first, last), "file": file.name})
        withdrawn = {day: self._told.gaps_of_file(day) for day in days - compacted}
        return replace(self._market, lacking_days=self._market.lacking_days | days, withdrawn=withdrawn)

    def _tell_contract(self, size: str) -> None:
        """Once rows are there: what gold multiplies contracts by."""
        if size and self._market.spans:
            key = self._market.venue.name, self._symbol, "", self._market.instance
            self._tell.tell([StreamEvent(*key, "contract", None, None, now_us(), None, "", size)])

    def _tell_borders(self, days: range) -> None:
        """Ids of days without a file, between two that have one: ids of midnight are the days' own matter."""
        spans, known = self._market.spans, self._told.gaps()
        for before, after in pairwise(sorted(day for day in spans if days.start - 1 <= day <= days.stop)):
            hole = Stretch(spans[before].end, spans[after].first, spans[before].ended, spans[after].began)
            if after > before + 1 and hole.first < hole.end and without([Range(hole.first, hole.end - 1)], known):
                said = f"the files of {date_of(before)} and {date_of(after)}"
                events = self._tell.holes([hole], said, DAY_US)
                self._tell.tell([one for one in events if without([span_of(one)], known)])

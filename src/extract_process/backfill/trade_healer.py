"""Heals gaps of trades from the venue's bulk files: one file at a time, the missing rows only, each heal an event.

A batch's rows are in the lake before its event `healed`. A run that ends in between leaves the gap open; the next one may write
that batch again, which silver and every reader collapse.
"""

import asyncio
import logging
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from extract_process.backfill.stopping import unless_stopped
from extract_process.backfill.trade_gaps import LeftOut, MissingTrades, OpenGap, open_gaps, stretches
from extract_process.parquet import parquet_bytes, write_events
from extract_process.ranges import EVERY_ID, Range
from extract_process.records import StreamEvent
from extract_process.venues import Venue
from extract_process.venues.api import Archive, TradeFile
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import Interrupted, VenueError, VenueRefused, VenueUnavailable
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import LACKING, GapEvents, healed_times
from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

log = logging.getLogger(__name__)

_BATCH_ROWS = 200_000
"""Trades of an object: some 5 MB, and a tenth of a GB while it is made."""

Shuffle = Callable[[list[str]], object]
_MONTH_LENGTH = len("2024-01")
_MOST_UNANSWERED = 2
"""Days in a row, each after all retries."""

_STOPPED = "stopped by a signal; what was healed is kept, run again to go on"


@dataclass(slots=True)
class HealReport:
    """Counters while it runs, the summary when it is done."""

    gaps: int = 0
    missing: int = 0
    recorded: int = 0
    healed: int = 0
    no_trades: int = 0
    lacking: int = 0
    unfetched: int = 0
    """Missing trades of days without a usable file, mostly because none is published yet."""

    files: int = 0
    objects: int = 0
    failures: list[str] = field(default_factory=list)
    """One line per file that cannot be used."""


class TradeHealer:
    """One run over a lake. `report` may be read while it runs."""

    def __init__(
        self, venue: Venue, archive: Archive, store: ObjectStore, folder: Path, shuffle: Shuffle = random.shuffle
    ) -> None:
        """`folder`: on a disk with room for one file. It is deleted at once, and by a kill too.

        `shuffle` orders the symbols: two whose files never come must not end every run before the same others.
        """
        self.report = HealReport()
        self.archive = archive
        self._venue = venue
        self._store = store
        self._folder = folder
        self._shuffle = shuffle

    async def run(self, asked: Request, stop: StopRequest, *, again: bool = False) -> None:
        """`again`: also what a published file lacked before.

        Raises Interrupted, LakeUnavailable, and VenueUnavailable where two symbols in a row got no answer. A file that cannot be
        used, or does not come, costs its day: see `failures`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        events = await asyncio.to_thread(_events_of, self._store, asked, stop)
        gaps = open_gaps(events, asked, again=again)
        self.report.gaps = len(gaps)
        healed_at = healed_times(events)
        gave_up: VenueUnavailable | None = None
        symbols = list(dict.fromkeys(gap.symbol for gap in gaps))
        self._shuffle(symbols)
        for symbol in symbols:
            mine = [gap for gap in gaps if gap.symbol == symbol]
            missing = await asyncio.to_thread(self._missing, mine, healed_at, stop)
            if not missing.ids:
                continue
            before, gave_up = gave_up, await self._heal(symbol, mine, missing, stop)
            if before is not None and gave_up is not None:
                raise gave_up

    def _missing(self, gaps: list[OpenGap], healed_at: list[int], stop: StopRequest) -> MissingTrades:
        """Without what another recorder has: a gap is what one of them missed. Raises Interrupted."""
        leaves_out = self._venue.leaves_out_no_trades
        missing = MissingTrades((span for gap in gaps for span in gap.ids), leaves_out_no_trades=leaves_out)
        before = missing.count
        for start, end, ids in stretches(gaps):
            _go_on(stop)
            asked = Request(self._venue.name, (gaps[0].symbol,), start, end)
            for table in RowScan(self._store, TRADES, asked, healed_at, ["trade_id"], ids).tables():
                _go_on(stop)
                missing.recorded(whole_numbers(table.column("trade_id")))
        self.report.missing += before
        self.report.recorded += before - missing.count
        return missing

    async def _heal(self, symbol: str, gaps: list[OpenGap], missing: MissingTrades, stop: StopRequest) -> VenueUnavailable | None:
        """Day by day. A gap's times are ours: where a file shows that ids are of the day beside it, that is fetched too.

        A day without an answer is a failure, and the last day is next: files that never come keep no other day from being healed.
        Two in a row end it. Returns the last error where no day was answered.
        """
        days = {day for gap in gaps for day in gap.days}
        beside = {day + step for day in days for step in (-1, 1)} - days
        lake = _Batches(self._store, self._venue.name, symbol, self.report)
        seen: dict[int, tuple[Range, TradeFile]] = {}
        answers, unanswered = 0, list[VenueUnavailable]()
        while days and missing.ids and len(unanswered) < _MOST_UNANSWERED:
            day = max(days) if unanswered else min(days)
            days.remove(day)
            try:
                found = await self._heal_day(symbol, day, missing, lake, stop)
            except VenueUnavailable as error:
                self._failed(symbol, error)
                unanswered.append(error)
                continue
            answers += 1
            unanswered.clear()
            if found is None:
                continue
            seen[day] = span, file = found
            if len(file.date) == _MONTH_LENGTH:
                days = {one for one in days if not _date_of(one).startswith(file.date)}
            before = {day - 1} if missing.ids and missing.ids[0].first < span.first else set()
            after = {day + 1} if missing.ids and missing.ids[-1].last > span.last else set()
            days |= (before | after) & beside
            beside -= days
        await asyncio.to_thread(self._tell_lacking, lake, missing, seen)
        return unanswered[-1] if unanswered and not answers else None

    async def _heal_day(
        self, symbol: str, day: int, missing: MissingTrades, lake: "_Batches", stop: StopRequest
    ) -> tuple[Range, TradeFile] | None:
        """The ids that the day's file has; None where no usable file is published.

        Where a month is over, its file stands in for a day's.
        """
        date, now = _date_of(day), format_instant(now_us())
        month = date[:_MONTH_LENGTH]
        for one in (date, month) if month < now[:_MONTH_LENGTH] else (date,):
            with tempfile.TemporaryFile(dir=self._folder, prefix="trades-") as sink:
                try:
                    file = await unless_stopped(self.archive.fetch_trades(symbol, one, sink), stop, _STOPPED)
                    if file is not None:
                        self.report.files += 1
                        return await asyncio.to_thread(_read, file, missing, lake, stop), file
                except VenueRefused as error:
                    self._failed(symbol, error)
                    return None
        log.info("no file of trades is published", extra={"symbol": symbol, "date": date})
        return None

    def _failed(self, symbol: str, error: VenueError) -> None:
        log.error("the archive's file cannot be used", extra={"symbol": symbol, "why": str(error)})
        self.report.failures.append(str(error))

    def _tell_lacking(self, lake: "_Batches", missing: MissingTrades, seen: dict[int, tuple[Range, TradeFile]]) -> None:
        """Ids that the files should have and have not stay a gap, which says so. Of others no file is published."""
        runs: list[Range] = []
        for day in sorted(seen):
            span = seen[day][0]
            is_next = bool(runs) and day - 1 in seen
            runs = [*runs[:-1], Range(runs[-1].first, span.last)] if is_next else [*runs, span]
        names = ", ".join(f"{file.name} (SHA-256 {file.sha256})" for _, file in list(seen.values())[:2])
        lacking = missing.within(runs)
        lake.lacking(lacking, names)
        count = sum(map(EVERY_ID.count, lacking))
        self.report.lacking += count
        self.report.unfetched += missing.count - count


class _Batches:
    """Writes the rows of one symbol, and the events about them. Blocking."""

    def __init__(self, store: ObjectStore, venue: str, symbol: str, report: HealReport) -> None:
        self._store, self._venue, self._symbol = store, venue, symbol
        self._instance = f"archive-{symbol}"
        self._report = report
        self._told = 0
        self._rows: list[pa.Table] = []
        self._left_out: list[LeftOut] = []
        self._now = now_us()

    @property
    def is_full(self) -> bool:
        rows: int = sum(table.num_rows for table in self._rows)
        return rows >= _BATCH_ROWS

    def add(self, rows: pa.Table) -> None:
        if rows.num_rows:
            self._rows.append(rows)

    def left_out(self, left_out: list[LeftOut]) -> None:
        self._left_out += left_out

    def write(self, file: TradeFile) -> None:
        """What was added as one object, received now; then its events."""
        rows = pa.concat_tables([TRADES.schema.empty_table(), *self._rows]).sort_by("trade_id")
        left_out, self._rows, self._left_out = self._left_out, [], []
        if not rows.num_rows and not left_out:
            return
        self._now = now_us()
        if rows.num_rows:
            self._report.objects += 1
            received = pa.repeat(pa.scalar(self._now, INSTANT), rows.num_rows)
            rows = rows.set_column(rows.schema.get_field_index("receipt_time"), TRADES.schema.field("receipt_time"), received)
            key = hourly_key(TRADES, self._venue, self._now, self._instance, self._report.objects)
            self._store.write(key, parquet_bytes(rows, TRADES))
            log.info("trades healed", extra={"symbol": self._symbol, "rows": rows.num_rows, "key": key})
        source = f"{file.name}, SHA-256 {file.sha256}"
        ids = [*EVERY_ID.ranges_of(rows.column("trade_id").to_pylist()), *(one.ids for one in left_out)]
        events = [self._event("no_trade", one.ids, one.at, "", f"left out of {source}") for one in left_out]
        self._tell(events + [self._event("healed", span, self._now, "archive", source) for span in EVERY_ID.joined(ids)])
        self._report.healed += rows.num_rows
        self._report.no_trades += sum(EVERY_ID.count(one.ids) for one in left_out)

    def lacking(self, spans: list[Range], files: str) -> None:
        """The published files do not have these ids."""
        self._now = now_us()
        self._tell([self._event("heal_failed", span, self._now, LACKING, f"not in {files}") for span in spans])

    def _tell(self, events: list[StreamEvent]) -> None:
        if events:
            self._told += 1
            write_events(self._store, events, self._now, self._told)

    def _event(self, kind: EventKind, ids: Range, at: int, cause: str, detail: str) -> StreamEvent:
        """A heal is told at the time when its rows were received: by that readers find them."""
        key = self._venue, self._symbol, "trades", self._instance
        return StreamEvent(*key, kind, ids.first, ids.last, at, None, cause, detail)


def _read(file: TradeFile, missing: MissingTrades, lake: _Batches, stop: StopRequest) -> Range:
    """Takes the missing rows out of a file, batch by batch, and returns the ids that it has. Raises Interrupted, VenueRefused.

    However it ends, what was taken is written: the checksum proved all of it.
    """
    missing.begin_file()
    try:
        for table in file.tables():
            lake.add(missing.take(table))
            _go_on(stop)
            if lake.is_full:
                lake.write(file)
        lake.left_out(missing.end_file())
    finally:
        lake.write(file)
    if missing.seen is None:
        raise VenueRefused(f"{file.name} has no trade of the market in it")
    return missing.seen


def _date_of(day: int) -> str:
    return format_instant(day * DAY_US)[:10]


def _events_of(store: ObjectStore, asked: Request, stop: StopRequest) -> pa.Table:
    return GapEvents(store, ("gap", "healed", "heal_failed"), partial(_go_on, stop)).of(TRADES, asked)


def _go_on(stop: StopRequest) -> None:
    if stop.is_set():
        raise Interrupted(_STOPPED)

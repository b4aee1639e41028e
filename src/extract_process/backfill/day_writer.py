"""One bulk file of trades or aggregates on its way into the lake: its rows day by day, in parts, and what is said of each day.

The parts of a day come first, then its events, and `backfilled` last: a day without that event is written again by the next run,
under the same keys. Parts are cut by number of rows, so that the file of a month and that of a day give the same ones. A part of
an older file whose key the new one does not have is written without rows: loaders and compactions take its rows out by that.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from extract_process.backfill.recorded_trades import RecordedTrades, Stretch, joined, ranges_of, stretches_of
from extract_process.backfill.trade_gaps import MOST_LEFT_OUT, by_id, common, without
from extract_process.parquet import parquet_bytes, write_events
from extract_process.ranges import EVERY_ID, Range, grid_of
from extract_process.records import StreamEvent
from extract_process.venues import Venue
from extract_process.venues.api import TradeFile
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import VenueRefused
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.lake_keys import ArchivedName, archived_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import BACKFILL, LACKING
from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.timestamps import DAY_US, MINUTE_US, now_us, parse_instant

PART_ROWS = 200_000
"""Rows of an object: some 5 MB, and a tenth of a GB while it is made."""

_MONTH_LENGTH = len("2024-01")
_SPARE_US = MINUTE_US
"""So late a row of a day may come behind the first ones of the next."""


@dataclass(slots=True)
class HistoryReport:
    """Counters while it runs, the summary when it is done."""

    days: int = 0
    complete: int = 0
    """Days that were recorded before."""

    recorded: int = 0
    early: int = 0
    lacking: int = 0
    """Days without a usable file; `early` ones are from before the venue's first candle."""

    rows: int = 0
    gaps: int = 0
    healed: int = 0
    no_trades: int = 0
    files: int = 0
    objects: int = 0
    failures: list[str] = field(default_factory=list)
    """One line per stretch of days that is missing, with the reason."""


@dataclass(frozen=True, slots=True)
class Market:
    """Rows of which symbol, and what its events say: open gaps as ids of single trades, days that are gaps themselves, the first
    and last trade of days that are complete, and when rows were healed (us).

    `withdrawn`: by day what the file that is replaced lacked, all of which the new one says anew.
    """

    venue: Venue
    symbol: str
    dataset: Dataset
    missing: list[Range]
    lacking_days: AbstractSet[int]
    spans: dict[int, Stretch]
    healed_at: Collection[int] = ()
    withdrawn: Mapping[int, list[Range]] = field(default_factory=dict)

    @property
    def instance(self) -> str:
        return f"archive-{self.symbol}"

    @property
    def day_instance(self) -> str:
        return f"{BACKFILL}{self.symbol}-{self.dataset.name}"

    def recorded(self, store: ObjectStore) -> RecordedTrades:
        return RecordedTrades(store, self.venue.name, self.symbol, self.dataset, self.healed_at)


class EventWriter:
    """Events about one market. Blocking."""

    def __init__(self, store: ObjectStore, market: Market) -> None:
        self._store, self._market = store, market
        self._told = 0

    def tell(self, events: list[StreamEvent]) -> None:
        if events:
            self._told += 1
            write_events(self._store, events, now_us(), self._told)

    def of_ids(self, kind: EventKind, ids: Range, at: int, ended: int | None, cause: str, detail: str) -> StreamEvent:
        """`ids` are those of single trades."""
        return self._event(self._market.instance, kind, ids, at, ended, cause, detail)

    def of_days(self, kind: EventKind, days: Range, cause: str, detail: str) -> StreamEvent:
        """Of whole days: their ids are instants, as those of a backfill of candles."""
        start, end = days.first * DAY_US, (days.last + 1) * DAY_US
        return self._event(self._market.day_instance, kind, Range(start, end - 1), start, end, cause, detail)

    def holes(self, holes: list[Stretch], said: str, reach: int = MINUTE_US) -> list[StreamEvent]:
        """Ids that neither the files nor the lake have: of no trade where the venue leaves out such, else a gap that is not
        requested again. The lake's rows may be `reach` microseconds beside the holes."""
        if not holes:
            return []
        start, end = min(one.began for one in holes) - reach, max(one.ended for one in holes) + reach
        ids = Range(holes[0].first, holes[-1].end - 1)
        recorded = self._market.recorded(self._store).ids_beside_parts(start, end, ids)
        left = [(hole, ids) for hole in holes for ids in without(ranges_of([hole]), recorded)]
        return [event for hole, ids in left for event in self._hole(hole, ids, said)]

    def _hole(self, hole: Stretch, ids: Range, said: str) -> list[StreamEvent]:
        """`ids` are what is left of a hole of the files. A long one is one of the file: then a recorded gap stays one."""
        is_short = EVERY_ID.count(ids) <= MOST_LEFT_OUT and self._market.venue.leaves_out_no_trades
        if is_short and (hole.end - hole.first <= MOST_LEFT_OUT or not common(self._market.missing, [ids])):
            return [self.of_ids("no_trade", ids, hole.began, None, "", f"left out of {said}")]
        gap = self.of_ids("gap", ids, hole.began, hole.ended, LACKING, f"not in {said}")
        return [gap, self.of_ids("heal_failed", ids, hole.began, hole.ended, LACKING, f"not in {said}")]

    def _event(
        self, instance: str, kind: EventKind, ids: Range, at: int, ended: int | None, cause: str, detail: str
    ) -> StreamEvent:
        key = self._market.venue.name, self._market.symbol, str(self._market.dataset.channel), instance
        return StreamEvent(*key, kind, ids.first, ids.last, at, ended, cause, detail)


class DayWriter:
    """Takes the rows of one file in its order. Blocking. Errors: the store's; VenueRefused for rows that are not by time.

    `done`: days that are complete by now. The market's spans have them too.
    """

    def __init__(
        self,
        store: ObjectStore,
        market: Market,
        file: TradeFile,
        wanted: Collection[int],
        report: HistoryReport,
        part_rows: int = PART_ROWS,
    ) -> None:
        """`wanted`: days since 1970. Rows of others are left out."""
        self.done: list[int] = []
        self._store, self._market, self._file, self._report = store, market, file, report
        self._part_rows = part_rows
        self._wanted = frozenset(wanted)
        self._days: dict[int, _Day] = {}
        self._events = EventWriter(store, market)

    def take(self, table: pa.Table) -> None:
        """The next rows of the file."""
        if not table.num_rows:
            return
        times = whole_numbers(table.column("trade_time"))
        days = np.clip(times // DAY_US, *days_of(self._file.date))  # a file may have rows of some seconds beside its period
        found = np.unique(days).tolist()
        for day in found:
            if day in self.done:
                raise VenueRefused(f"{self._file.name}: its rows are not in the order of time")
            if day in self._wanted:
                self._day(day).add(table if len(found) == 1 else table.filter(pa.array(days == day, pa.bool_())))
        self._close(before=int(times.min()) - _SPARE_US)

    def finish(self) -> None:
        """The file is read to its end."""
        self._close(before=None)

    def _day(self, day: int) -> "_Day":
        return self._days.setdefault(day, _Day(self._store, self._market, day, self._report, self._part_rows))

    def _close(self, before: int | None) -> None:
        for day in sorted(self._days):
            if before is None or (day + 1) * DAY_US <= before:
                one = self._days.pop(day)
                one.write_rest()
                one.empty_others()
                self._tell(one)
                self.done.append(day)

    def _tell(self, day: "_Day") -> None:
        market, tell, said = self._market, self._events, f"{self._file.name}, SHA-256 {self._file.sha256}"
        chain = self._with_neighbours(day.number, day.stretches())
        holes = [
            Stretch(before.end, after.first, before.ended, after.began)
            for before, after in pairwise(chain)
            if before.end < after.first  # days overlap by some seconds
        ]
        is_at_midnight = len(chain) > len(day.stretches())
        events = tell.holes(holes, said, DAY_US if is_at_midnight else MINUTE_US)
        gaps = [span_of(one) for one in events if one.event == "gap"]
        self._report.gaps += len(gaps)
        self._report.no_trades += sum(EVERY_ID.count(span_of(one)) for one in events if one.event == "no_trade")
        known = [*ranges_of([*day.stretches(), *holes]), *market.withdrawn.get(day.number, ())]
        healed = common(market.missing, without(EVERY_ID.joined(known), EVERY_ID.joined(gaps)))
        self._report.healed += sum(map(EVERY_ID.count, healed))
        now = now_us()
        events += [tell.of_ids("healed", ids, now, None, "archive", said) for ids in healed]
        if day.number in market.lacking_days:
            events.append(tell.of_days("healed", Range(day.number, day.number), "archive", said))
        self._events.tell(events)
        span, rows = day.span(), f"{day.rows:,} rows of {said}"
        ids = Range(span.first, span.end - 1)
        self._events.tell([tell.of_ids("backfilled", ids, span.began, span.ended, "archive", rows)])
        market.spans[day.number] = span
        self._report.recorded += 1
        self._report.rows += day.rows

    def _with_neighbours(self, day: int, stretches: list[Stretch]) -> list[Stretch]:
        """The days before and after, where they are complete: ids may be missing at midnight."""
        before, after = self._market.spans.get(day - 1), self._market.spans.get(day + 1)
        return [*([before] if before else []), *stretches, *([after] if after else [])]


class _Day:
    """Rows of one day until a part of them is whole."""

    def __init__(self, store: ObjectStore, market: Market, number: int, report: HistoryReport, part_rows: int) -> None:
        self.number, self.rows = number, 0
        self._store, self._market, self._report = store, market, report
        self._waiting: list[pa.Table] = []
        self._count = self._parts = 0
        self._part_rows = part_rows
        self._stretches: list[Stretch] = []
        self._keys: set[str] = set()

    def span(self) -> Stretch:
        """From the first to the last trade."""
        first, last = self.stretches()[0], self.stretches()[-1]
        return Stretch(first.first, last.end, self.within(first.began), self.within(last.ended))

    def add(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._count += rows.num_rows
        self._stretches += stretches_of(rows, self._market.dataset)
        while self._count >= self._part_rows:
            waiting = pa.concat_tables(self._waiting)
            self._write(waiting.slice(0, self._part_rows))
            self._waiting, self._count = [waiting.slice(self._part_rows)], self._count - self._part_rows

    def write_rest(self) -> None:
        """The last part."""
        if self._count:
            self._write(pa.concat_tables(self._waiting))
        self._waiting, self._count = [], 0

    def within(self, at: int) -> int:
        """Rows some seconds beside the day are of it."""
        return min(max(at, self.number * DAY_US), (self.number + 1) * DAY_US - 1)

    def empty_others(self) -> None:
        """Parts of an older file that this one does not have: a new version without rows."""
        dataset = self._market.dataset
        for key in set(self._market.recorded(self._store).parts(self.number)) - self._keys:
            self._store.write(key, parquet_bytes(dataset.schema.empty_table(), dataset))

    def stretches(self) -> list[Stretch]:
        """Of all rows, in order and apart."""
        self._stretches = joined(self._stretches)
        return self._stretches

    def _write(self, rows: pa.Table) -> None:
        dataset = self._market.dataset
        rows = by_id(rows, dataset.id_column)
        times = whole_numbers(rows.column("trade_time"))
        self._parts += 1
        name = ArchivedName(self._market.symbol, int(times.min()), int(times.max()))
        key = archived_key(dataset, self._market.venue.name, self.within(int(times[0])), name, self._parts)
        self._store.write(key, parquet_bytes(rows, dataset))
        self._keys.add(key)
        self.rows += rows.num_rows
        self._report.objects += 1


def span_of(event: StreamEvent) -> Range:
    """The ids of an event that has some."""
    assert event.from_update_id is not None
    assert event.to_update_id is not None
    return Range(event.from_update_id, event.to_update_id)


def days_of(date: str) -> tuple[int, int]:
    """The first and the last day since 1970 of a file: `2024-01-01` or `2024-01`."""
    is_month = len(date) == _MONTH_LENGTH
    start = parse_instant(f"{date}-01" if is_month else date)
    end = grid_of("1M").after(start) if is_month else start + DAY_US
    return start // DAY_US, end // DAY_US - 1

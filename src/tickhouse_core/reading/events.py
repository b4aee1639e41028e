"""The gaps and heals of a lake: what its recorders wrote down themselves, read once and kept."""

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tickhouse_core.datasets import AGG_TRADES, KLINES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import received_from
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import HOUR_US

Step = TypeVar("Step")

_DATE = "/date="
_CHUNK_BYTES, _CHUNK_OBJECTS = 8 * 1024 * 1024, 400
BACKFILL = "backfill-"
"""Begins the instance of gaps that a backfill tells: their ids are instants."""

NO_DATA = "venue_has_no_data"
LACKING = "archive_has_no_data"
"""The cause of what a published file does not have."""

_OF_NO_TRADE = ["symbol", "channel", "started_at", "from_update_id", "to_update_id"]
"""They are many: a busy contract has a thousand an hour."""


class GapEvents:
    """Thread-safe. A gap is written down when it is noticed, days later after a stop: all events since then count.

    An object of events is read once; what is kept of it are gaps and heals, and the ids that are no trades.
    """

    def __init__(
        self,
        store: ObjectStore,
        kinds: tuple[EventKind, ...] = ("gap", "healed", "backfilled"),
        check: Callable[[], object] = lambda: None,
    ) -> None:
        """`kinds`: which events are kept. `check` is called between steps of the reading; what it raises ends it."""
        self._store = store
        self._check = check
        self._kinds = list(kinds)
        self._lock = threading.Lock()
        self._venues: dict[str, _Told] = {}
        self._reader = ObjectRows(store, STREAM_EVENTS)

    @property
    def unreadable(self) -> list[str]:
        """Objects of events that were left out, and why."""
        return self._reader.unreadable

    def of(self, dataset: Dataset, request: Request) -> pa.Table:
        """Gaps, heals and backfilled days (or `kinds`) of the symbols, all where none is named, from the range's beginning on.

        Each once, in the columns of stream_events.
        """
        with self._lock:
            rows = self._all_since(request.venue, request.start).rows(self._reader.schema)
        if request.symbols:
            rows = rows.filter(pc.is_in(rows.column("symbol"), value_set=pa.array(request.symbols, pa.string())))
        rows = rows.filter(pc.equal(rows.column("channel"), dataset.channel))
        if dataset.series_columns:
            rows = about(rows, request.interval)
        return _once(rows)

    def no_trades(self, dataset: Dataset, request: Request) -> list[tuple[int, int]]:
        """Half-open ranges of ids that the venue calls no trades, of one symbol, in the range and around it."""
        (symbol,) = request.symbols
        with self._lock:
            rows = self._all_since(request.venue, request.start).no_trades(self._reader.schema)
        is_told = pc.is_in(rows.column("channel"), value_set=pa.array(told_of(dataset), pa.string()))
        rows = rows.filter(pc.and_(pc.equal(rows.column("symbol"), symbol), is_told))
        at = whole_numbers(rows.column("started_at"))
        rows = rows.filter(pa.array((at >= request.start - HOUR_US) & (at < request.end + HOUR_US), pa.bool_()))
        first, last = (rows.column(name).to_pylist() for name in ("from_update_id", "to_update_id"))
        return joined(zip(first, (number + 1 for number in last), strict=True))

    def _all_since(self, venue: str, since: int) -> "_Told":
        """Rows are in the order of their objects' keys, which is that of the telling, whenever they were read."""
        told = self._venues.setdefault(venue, _Told())
        found = self._checked(received_from(self._store, STREAM_EVENTS, venue, since - HOUR_US))
        listed = sorted(found, key=lambda one: one.key)
        if any(one.key.split(_DATE)[-1][:10] in told.dates for one in told.fresh(listed) if compacted_name(one.key)):
            told = self._venues[venue] = _Told()  # it has rows of before and after those that are known
        kinds = ds.field("event").isin([*self._kinds, "no_trade"]) & (ds.field("venue") == venue)
        wanted = Wanted(kinds, venue, ("event",))
        for is_known, some in groupby(listed, key=told.knows):
            for chunk in () if is_known else self._checked(in_chunks(list(some), _CHUNK_BYTES, _CHUNK_OBJECTS)):
                told.add(chunk, self._reader.read(chunk, wanted))
        return told

    def _checked(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            self._check()
            yield step


class _Told:
    """What was read of one venue. Not thread-safe."""

    def __init__(self) -> None:
        self.dates: set[str] = set()
        self._objects: set[tuple[str, str]] = set()
        self._parts: list[tuple[str, pa.Table, pa.Table]] = []

    def knows(self, summary: ObjectSummary) -> bool:
        return (summary.key, summary.etag) in self._objects

    def fresh(self, listed: Iterable[ObjectSummary]) -> Iterator[ObjectSummary]:
        return (one for one in listed if not self.knows(one))

    def add(self, objects: Sequence[ObjectSummary], found: pa.Table) -> None:
        """Neighbours, none of them known."""
        is_no_trade = pc.equal(found.column("event"), "no_trade")
        no_trades = found.filter(is_no_trade).select(_OF_NO_TRADE)
        bisect.insort_right(self._parts, (objects[0].key, found.filter(pc.invert(is_no_trade)), no_trades), key=itemgetter(0))
        self._objects.update((summary.key, summary.etag) for summary in objects)
        self.dates.update(summary.key.split(_DATE)[-1][:10] for summary in objects)

    def rows(self, schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *(rows for _, rows, _ in self._parts)])

    def no_trades(self, schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table().select(_OF_NO_TRADE), *(rows for _, _, rows in self._parts)])


def told_of(dataset: Dataset) -> list[str]:
    """Channels whose `no_trade` counts for a dataset: an id that is no trade is in no aggregate, but the file of aggregates may
    leave out a trade."""
    return [str(one.channel) for one in {TRADES.name: TRADES, dataset.name: dataset}.values()]


def about(events: pa.Table, interval: str) -> pa.Table:
    """Of events of klines those of an interval, of open interest those of a period (empty: of polls)."""
    return events.filter(pa.array([_is_about(event, interval) for event in events.to_pylist()], pa.bool_()))


def healed_times(events: pa.Table) -> list[int]:
    """When healed rows were received, in microseconds."""
    return sorted(
        {int(at) for at in whole_numbers(events.filter(pc.equal(events.column("event"), "healed")).column("started_at"))}
    )


def gaps_in(events: pa.Table, request: Request, dataset: Dataset) -> pa.Table:
    """The gaps that touch the range, as in stream_events, by time; and `is_open`: neither healed nor nowhere to be had."""
    gaps = events.filter(pc.equal(events.column("event"), "gap"))
    first, last = gap_times(gaps, dataset)
    gaps = gaps.filter(pa.array((first < request.end) & (last >= request.start), pa.bool_()))
    by_time = [(name, "ascending") for name in ("started_at", "symbol", "instance", "from_update_id", "to_update_id", "detail")]
    gaps = gaps.take(pc.sort_indices(gaps, by_time))
    closed = _closed_ranges(events)
    return gaps.append_column("is_open", pa.array([_is_open(gap, closed) for gap in gaps.to_pylist()], pa.bool_()))


def gap_times(gaps: pa.Table, dataset: Dataset) -> tuple[Numbers, Numbers]:
    """From when to when, in microseconds. A gap without an end is a moment; the ids of klines are times themselves.

    Whole days end at midnight, which is of the next day.
    """
    started = whole_numbers(gaps.column("started_at"))
    ended = whole_numbers(pc.coalesce(gaps.column("ended_at"), gaps.column("started_at")))
    if dataset in (TRADES, AGG_TRADES):
        ended = ended - whole_numbers(pc.starts_with(gaps.column("instance"), BACKFILL).cast(pa.int64()))
    if dataset is not KLINES:
        return started, np.maximum(started, ended)
    opened = pc.coalesce(gaps.column("from_update_id"), pa.array(started, pa.int64()).cast(pa.uint64()))
    closed = pc.coalesce(gaps.column("to_update_id"), pa.array(ended, pa.int64()).cast(pa.uint64()))
    return whole_numbers(opened), whole_numbers(closed)


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges, in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return found


def touching(ranges: list[tuple[int, int]], first: int, end: int) -> list[tuple[int, int]]:
    """Those of joined ranges that reach into [first, end)."""
    begin = bisect.bisect_right(ranges, first, key=lambda one: one[1])
    return ranges[begin : bisect.bisect_left(ranges, end, key=lambda one: one[0])]


def absences(events: pa.Table, symbol: str) -> list[tuple[int, int]]:
    """Half-open ranges of ids that the venue said it does not have, without those that it had later."""
    mine = [event for event in events.to_pylist() if event["symbol"] == symbol and event["cause"] == NO_DATA]
    later = joined((event["from_update_id"] or 0, _end(event)) for event in mine if event["event"] == "healed")
    absent = joined((event["from_update_id"] or 0, _end(event)) for event in mine if event["event"] == "gap")
    return _without(absent, later)


def missing_ids(gaps: pa.Table, events: pa.Table) -> list[list[tuple[int, int]]]:
    """Of each gap the ids that are missing still, as half-open ranges: none of a gap that is closed or names no ids."""
    closed, found = _closed_ranges(events), []
    for gap in gaps.to_pylist():
        first, last = gap["from_update_id"], gap["to_update_id"]
        is_named = gap["is_open"] and first is not None and last is not None
        healed = touching(closed.get(_series(gap), []), first, last + 1) if is_named else []
        found.append(_without([(first, last + 1)], healed) if is_named else [])
    return found


def _without(ranges: list[tuple[int, int]], gone: list[tuple[int, int]]) -> list[tuple[int, int]]:
    for first, end in gone:
        parts = ((span[0], min(span[1], first)) for span in ranges), ((max(span[0], end), span[1]) for span in ranges)
        ranges = joined(part for some in parts for part in some if part[0] < part[1])
    return ranges


def _closed_ranges(events: pa.Table) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """What was healed or is nowhere to be had, by symbol and backfill (empty for live): as the check open_gaps has it."""
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for event in events.to_pylist():
        if event["event"] == "healed" or event["cause"] == NO_DATA:
            ranges.setdefault(_series(event), []).append((event["from_update_id"] or 0, _end(event)))
    return {series: joined(found) for series, found in ranges.items()}


def _is_open(gap: dict[str, object], closed: dict[tuple[str, str], list[tuple[int, int]]]) -> bool:
    first, last = int(str(gap["from_update_id"] or 0)), int(str(gap["to_update_id"] or 0))
    ranges = touching(closed.get(_series(gap), []), first, last + 1)
    return not any(start <= first and last < end for start, end in ranges)


def _series(event: dict[str, object]) -> tuple[str, str]:
    instance = str(event["instance"])
    return str(event["symbol"]), instance if instance.startswith(BACKFILL) else ""


def _end(event: dict[str, object]) -> int:
    """Behind the last id. The ids of a backfill are open times, and its ranges end where `ended_at` says."""
    ended = event["ended_at"]
    if str(event["instance"]).startswith(BACKFILL) and ended is not None:
        return int(pa.scalar(ended, pa.timestamp("us", tz="UTC")).value)
    return int(str(event["to_update_id"] or 0)) + 1


def _is_about(event: dict[str, object], interval: str) -> bool:
    """Events have no column for the interval: a backfill's instance ends in it, the detail of live klines begins with it."""
    instance = str(event["instance"])
    return instance.endswith(f"-{interval}") if instance.startswith(BACKFILL) else str(event["detail"]).split(" ")[0] == interval


def _once(rows: pa.Table) -> pa.Table:
    """One of each natural key, the later landed: the order of the lake's keys is that of their first receipt."""
    places = {tuple(row[name] for name in STREAM_EVENTS.natural_key): place for place, row in enumerate(rows.to_pylist())}
    return rows.take(pa.array(sorted(places.values()), pa.int64()))

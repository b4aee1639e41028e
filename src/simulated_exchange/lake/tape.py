"""Reads a venue's rows of a lake ahead of a replay, in a thread of its own: about a thousand are in memory, not the range."""

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import pyarrow as pa

from simulated_exchange.lake.items import Item, Words, snapshots
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, TICKERS, TRADES, Dataset
from tickhouse_core.errors import TickhouseError
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import GapEvents, healed_times
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.timestamps import MINUTE_US

AHEAD_US = MINUTE_US
"""So long before it was received a snapshot is known: also where the recorder's clock was slow."""

_PART_ITEMS, _MOST_PARTS = 250, 4
_ROWS_AT_ONCE = 250
_CHUNK_OBJECTS = 60


def items_of(store: ObjectStore, words: Words, start: int, end: int, *, is_shifted: bool) -> Iterator[Item]:
    """Everything recorded in [start, end) of the venue's time (microseconds), each row once, in order.

    `is_shifted`: it was received at quite another time, such as what was recorded of a replay.
    """
    request = Request(words.name, (), start, end)
    events = GapEvents(store)
    makers: tuple[tuple[Dataset, Callable[[pa.Table], Iterator[Item]]], ...] = (
        (DEPTH_SNAPSHOTS, partial(snapshots, ahead_us=None if is_shifted else AHEAD_US)),
        (DEPTH_DIFFS, words.diffs),
        (TRADES, words.trades),
        (TICKERS, words.tickers),
    )
    sources = []
    for dataset, make in makers:
        healed = healed_times(events.of(dataset, request))
        scan = RowScan(store, dataset, request, healed, chunk_objects=_CHUNK_OBJECTS, received_any_time=is_shifted)
        sources.append(_in_order(_made(scan, make)))
    return heapq.merge(*sources, key=lambda item: item.at)


class Tape:
    """The items of one venue; `peek` and `pop` never wait."""

    def __init__(self, items: Callable[[], Iterator[Item]]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._parts: deque[list[Item]] = deque()
        self._here: deque[Item] = deque()
        self._is_read = self._is_stopped = False
        self.failure: TickhouseError | None = None
        self._thread = threading.Thread(target=self._read, name="lake-tape", daemon=True)
        self._thread.start()

    def peek(self) -> Item | None:
        """The next item; None at the end, and while it is being read."""
        if not self._here:
            with self._changed:
                if self._parts:
                    self._here.extend(self._parts.popleft())
                    self._changed.notify_all()
        return self._here[0] if self._here else None

    def pop(self) -> Item:
        return self._here.popleft()

    def upcoming(self) -> Iterator[Item]:
        """What is in memory of the items that follow."""
        with self._changed:
            parts = list(self._parts)
        yield from self._here
        for part in parts:
            yield from part

    @property
    def is_over(self) -> bool:
        """Everything was read and popped."""
        with self._changed:
            return self._is_read and not self._parts and not self._here

    def wait(self) -> Item | None:
        """The next item; None at the end. Raises TickhouseError where the lake cannot be read."""
        if not self._here:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._parts) or self._is_read)
        item = self.peek()
        if item is None and self.failure is not None:
            raise self.failure
        return item

    def close(self) -> None:
        """Harmless when repeated."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _read(self) -> None:
        try:
            items = self._items()
            while part := list(islice(items, _PART_ITEMS)):
                with self._changed:
                    self._changed.wait_for(lambda: len(self._parts) < _MOST_PARTS or self._is_stopped)
                    if self._is_stopped:
                        return
                    self._parts.append(part)
                    self._changed.notify_all()
        except TickhouseError as failure:
            self.failure = failure
        finally:
            with self._changed:
                self._is_read = True
                self._changed.notify_all()


def _made(scan: RowScan, make: Callable[[pa.Table], Iterator[Item]]) -> Iterator[Item]:
    for table in scan.tables():
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            yield from make(table.slice(start, _ROWS_AT_ONCE))


def _in_order(items: Iterator[Item]) -> Iterator[Item]:
    """Rows go by id: where times run against ids, a row is not earlier than the one before it."""
    at = 0
    for item in items:
        at = max(at, item.at)
        yield item if item.at == at else item._replace(at=at)

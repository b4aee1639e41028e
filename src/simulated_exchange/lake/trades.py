"""The trades that a replay has passed: the latest in memory, older ones read from the lake again, found by their ids."""

import threading
from bisect import bisect_right, insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice

from simulated_exchange.lake.items import Deal, Words
from tickhouse_core.datasets import TRADES
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.timestamps import HOUR_US, MINUTE_US

KEPT = 1_000
"""Of each symbol in memory; the most that one request gives."""

_MARK_EVERY = 1_000
_PAGES = 64
_NEAR_US = HOUR_US


@dataclass(slots=True)
class _Passed:
    latest: "deque[Deal]" = field(default_factory=lambda: deque(maxlen=KEPT))
    marks: list[tuple[int, int]] = field(default_factory=list)
    """Ids and times, ascending: where in the lake an id is."""

    since_mark: int = 0


class LakeTrades:
    """`look_up` reads the lake and may be called from any thread; the rest is for the thread of the exchange."""

    def __init__(self, store: ObjectStore, words: Words, start: int, *, is_shifted: bool) -> None:
        """`start`: the lake has nothing before it (microseconds). `is_shifted`: see `tape.items_of`."""
        self._store, self._words, self._start = store, words, start
        self._is_shifted = is_shifted
        self._passed: dict[str, _Passed] = {}
        self._pages: OrderedDict[tuple[str, int, int], list[Deal]] = OrderedDict()
        self._lock = threading.Lock()

    def on_trade(self, symbol: str, deal: Deal) -> None:
        passed = self._passed.setdefault(symbol, _Passed())
        passed.latest.append(deal)
        if passed.since_mark == 0:
            with self._lock:
                insort(passed.marks, (deal.trade_id, deal.at))
        passed.since_mark = (passed.since_mark + 1) % _MARK_EVERY

    def latest(self, symbol: str, limit: int) -> list[Deal]:
        passed = self._passed.get(symbol)
        return list(passed.latest)[-limit:] if passed else []

    def page(self, symbol: str, from_id: int, limit: int) -> list[Deal]:
        """From an id on: of those in memory, or of what `look_up` found."""
        latest = self.latest(symbol, KEPT)
        if not latest or latest[0].trade_id <= from_id:
            return [deal for deal in latest if deal.trade_id >= from_id][:limit]
        with self._lock:
            found = self._pages.get((symbol, from_id, limit), [])
        return [*found, *(deal for deal in latest if not found or deal.trade_id > found[-1].trade_id)][:limit]

    def look_up(self, symbol: str, from_id: int, limit: int) -> None:
        """Reads what `page` will need, unless it is in memory. Raises LakeUnavailable, AccessRefused."""
        latest = self.latest(symbol, KEPT)
        if not latest or from_id >= latest[0].trade_id:
            return
        ids = from_id, latest[0].trade_id - 1
        scan = self._scan(symbol, self._time_of(symbol, from_id) - MINUTE_US, latest[0].at + MINUTE_US, ids)
        items = islice((item for table in scan.tables() for item in self._words.trades(table)), limit)
        found = [item.fact for item in items if isinstance(item.fact, Deal)]
        with self._lock:
            self._pages[symbol, from_id, limit] = found
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)

    def _time_of(self, symbol: str, wanted: int) -> int:
        """When a trade was made, or an hour or two before. Where the marks are far apart the lake is probed in the middle."""
        while True:
            with self._lock:
                marks = list(self._passed[symbol].marks)
            place = bisect_right(marks, (wanted, 2**63))
            low = marks[place - 1][1] if place else self._start
            high = marks[place][1] if place < len(marks) else marks[-1][1]
            if high - low <= 2 * _NEAR_US:
                return low
            probe = self._first_after(symbol, (low + high) // 2, high)
            if probe is None or probe in marks:
                return low
            with self._lock:
                insort(self._passed[symbol].marks, probe)

    def _first_after(self, symbol: str, at: int, until: int) -> tuple[int, int] | None:
        """Id and time of the first trade from an instant on."""
        step = MINUTE_US
        while at < until:
            for table in self._scan(symbol, at, min(at + step, until), None).tables():
                return int(whole_numbers(table.column("trade_id"))[0]), int(whole_numbers(table.column("trade_time"))[0])
            at, step = at + step, step * 4
        return None

    def _scan(self, symbol: str, start: int, end: int, ids: tuple[int, int] | None) -> RowScan:
        request = Request(self._words.name, (symbol,), start, end)
        return RowScan(self._store, TRADES, request, id_range=ids, received_any_time=self._is_shifted)

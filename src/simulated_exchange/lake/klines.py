"""Klines of a lake as REST and sockets want them: pages of closed ones, read block by block."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache

from simulated_exchange.lake.items import Bar, Words, columns
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import INTERVALS, Interval
from simulated_exchange.market.klines import Kline, KlineQuery, NotRecorded, TimeUnit
from tickhouse_core.datasets import KLINES
from tickhouse_core.lake_keys import klines_prefix, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import earliest_kline
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan

_BLOCK = 1_500
"""Open times of one series that are read together."""

_MONTH_MS = 31 * 86_400_000
_BLOCKS = 64
"""In memory, about 80 MB."""

_NAMES = Bar._fields


class LakeKlines:
    """A `KlineSource`. Thread-safe; times are milliseconds. The kline that is running is not known: it is in no page."""

    def __init__(self, store: ObjectStore, words: Words, instruments: dict[str, Instrument]) -> None:
        self._store, self._words = store, words
        self.instruments = instruments
        self._block: Callable[[str, str, int], Sequence[Bar]] = lru_cache(_BLOCKS)(self._read)
        self._earliest: Callable[[str, str], int] = lru_cache(4_096)(self._first_open)
        self._intervals: Callable[[str], Sequence[str]] = lru_cache(4_096)(self._find_intervals)

    def rows(self, query: KlineQuery) -> bytes:
        """Closed by `query.now`: the others are not over yet."""
        recorded = self._intervals(query.symbol)
        if recorded and query.interval.name not in recorded:
            raise NotRecorded(f"This lake has {', '.join(recorded)} of {query.symbol}.")
        bars = self.bars(query.symbol, query.interval, query.first, query.last, query.limit, newest=query.newest, now=query.now)
        return ",".join(_row(bar, query.unit) for bar in bars).encode()

    def bars(self, symbol: str, interval: Interval, first: int, last: int, limit: int, *, newest: bool, now: int) -> list[Bar]:
        """That open in [first, last] and have closed: the oldest `limit` of them, or the newest; ascending."""
        length = (interval.length or _MONTH_MS) * _BLOCK
        first = max(first, self._earliest(symbol, interval.name))
        blocks = range(first - first % length, min(last, now) + 1, length)
        found: list[Bar] = []
        for start in reversed(blocks) if newest else blocks:
            block = self._block(symbol, interval.name, start)
            here = block[bisect_left(block, (first,)) : bisect_left(block, (last + 1,))]
            closed = [bar for bar in here if bar.close_time < now]
            found = [*closed, *found] if newest else [*found, *closed]
            if len(found) >= limit:
                break
        return found[-limit:] if newest else found[:limit]

    def traded(self, symbol: str, opened: int, now: int) -> list[Kline]:
        """Rows are all there is."""
        return []

    def minutes(self, symbol: str, start: int, end: int) -> list[Kline]:
        """Rows are all there is."""
        return []

    def minute_opens(self, symbol: str, start: int, number: int) -> Sequence[int]:
        """No book is generated here."""
        return [1] * number

    def is_halted(self, symbol: str, now: int) -> bool:
        """A lake does not say."""
        return False

    def _find_intervals(self, symbol: str) -> Sequence[str]:
        folder = object_key(KLINES, {"venue": self._words.name, "symbol": symbol}, "")
        keys = (parse_object_key(f"{folder}{name}/x") for name in self._store.folders_in(folder))
        return sorted(key.partitions["interval"] for key in keys if key is not None and "interval" in key.partitions)

    def _first_open(self, symbol: str, interval: str) -> int:
        prefix = klines_prefix(self._words.name, symbol, interval)
        return min((earliest_kline(one.key, interval) for one in self._store.list_keys(prefix)), default=2**62) // 1_000

    def _read(self, symbol: str, interval: str, start: int) -> Sequence[Bar]:
        end = start + (INTERVALS[interval].length or _MONTH_MS) * _BLOCK
        request = Request(self._words.name, (symbol,), start * 1_000, end * 1_000, interval)
        bars = []
        for table in RowScan(self._store, KLINES, request).tables():
            for closed, (opened, closes, *values) in zip(
                table.column("is_closed").to_pylist(), columns(table, *_NAMES), strict=True
            ):
                if closed:
                    bars.append(Bar(int(opened or 0) // 1_000, int(closes or 0) // 1_000, *values))  # type: ignore[arg-type]
        return bars


def _row(bar: Bar, unit: TimeUnit) -> str:
    opened, closes = bar.open_time * unit, (bar.close_time + 1) * unit - 1
    return (
        f'[{opened},"{bar.open}","{bar.high}","{bar.low}","{bar.close}","{bar.volume}",{closes},"{bar.quote_volume}",'
        f'{bar.trade_count},"{bar.taker_buy_volume}","{bar.taker_buy_quote_volume}","0"]'
    )

"""PURE. The streams that a monitor follows: a book or a tracker of ids each, begun where the run before ended."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

from extract_process.book.local_book import LocalBook
from extract_process.book.top_check import TopCounts
from extract_process.sequence import SequenceTracker
from extract_process.stream_ids import StreamKey

Watch = TypeVar("Watch", LocalBook, SequenceTracker)


@dataclass(slots=True)
class Tracked(Generic[Watch]):
    """One stream; when its last message was received, in microseconds (0: never)."""

    key: StreamKey
    watch: Watch
    last_receipt: int


TrackedDepth: TypeAlias = Tracked[LocalBook]
TrackedIds: TypeAlias = Tracked[SequenceTracker]


class TrackedStreams:
    """By symbol, each from its first message on. What is read most often is read from the tables themselves."""

    def __init__(self, last_ids: Mapping[StreamKey, tuple[int, int]], sparse: Collection[str], tops: TopCounts) -> None:
        """`last_ids`: last id and its receipt_time by stream, of the run before. `sparse`: channels whose ids jump."""
        self._remembered, self._sparse, self._tops = dict(last_ids), sparse, tops
        self.depths: dict[str, TrackedDepth] = {}
        self.book_tickers: dict[str, TrackedIds] = {}
        self._trades: dict[str, TrackedIds] = {}
        self._klines: dict[tuple[str, str], TrackedIds] = {}
        self._others: dict[StreamKey, TrackedIds] = {}

    def all(self) -> Iterable[TrackedDepth | TrackedIds]:
        with_ids = (self._trades.values(), self.book_tickers.values(), self._klines.values(), self._others.values())
        return chain(self.depths.values(), *with_ids)

    def last_ids(self) -> dict[StreamKey, tuple[int, int]]:
        """What a restart must remember, streams of earlier runs included."""
        now = {known.key: (known.watch.last_id, known.last_receipt) for known in self.all()}
        return self._remembered | {key: (last, receipt) for key, (last, receipt) in now.items() if last is not None}

    def depth(self, symbol: str) -> TrackedDepth:
        if (known := self.depths.get(symbol)) is None:
            key = StreamKey("depth", symbol)
            last_id, receipt_time = self._remembered.get(key, (None, 0))
            known = self.depths[symbol] = Tracked(key, LocalBook(last_id, receipt_time, tops=self._tops), receipt_time)
        return known

    def trade(self, symbol: str) -> TrackedIds:
        if (known := self._trades.get(symbol)) is None:
            known = self._trades[symbol] = self._new_ids(StreamKey("trades", symbol))
        return known

    def book_ticker(self, symbol: str) -> TrackedIds:
        if (known := self.book_tickers.get(symbol)) is None:
            known = self.book_tickers[symbol] = self._new_ids(StreamKey("book_tickers", symbol))
        return known

    def kline(self, symbol: str, interval: str) -> TrackedIds:
        if (known := self._klines.get((symbol, interval))) is None:
            known = self._klines[symbol, interval] = self._new_ids(StreamKey("klines", symbol, interval))
        return known

    def other(self, key: StreamKey) -> TrackedIds:
        if (known := self._others.get(key)) is None:
            known = self._others[key] = self._new_ids(key)
        return known

    def ids_of(self, key: StreamKey) -> TrackedIds:
        """Of a stream with ids that is no book."""
        if key.channel == "book_tickers":
            return self.book_ticker(key.symbol)
        if key.channel == "trades":
            return self.trade(key.symbol)
        return self.kline(key.symbol, key.interval) if key.interval else self.other(key)

    def _new_ids(self, key: StreamKey) -> TrackedIds:
        last_id, receipt_time = self._remembered.get(key, (None, 0))
        return Tracked(
            key, SequenceTracker(last_id, key.grid, sparse=key.channel in self._sparse, last_at=receipt_time), receipt_time
        )

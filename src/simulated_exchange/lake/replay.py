"""Sends a lake again: messages made of its rows, in order of the venue's time; and the books and trades that go with them."""

from collections.abc import Iterable
from itertools import chain
from math import inf
from typing import Any

from simulated_exchange.lake.items import Bar, Day, Deal, Snapshot
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.intervals import INTERVALS, Interval
from simulated_exchange.server.messages import Message
from simulated_exchange.server.paced import AT_ONCE, BYTES_AT_ONCE, PacedReplay, Start
from simulated_exchange.server.publisher import Publisher
from tickhouse_core.errors import TickhouseError

MOST_AT_ONCE = 1_500
"""Klines of one stream, where the time between two messages was long."""

_BYTES_A_MESSAGE = 400
"""About: what a message takes is not known before it is rendered."""


class LakeReplay(PacedReplay):
    """What the tape has before the venue's `origin` is not sent, only known."""

    def __init__(self, lake: LakeVenue, publisher: Publisher, speed: float, start: Start) -> None:
        super().__init__(publisher, speed, start, lake.streams)
        self._facts, self._tape, self._origin = lake.facts, lake.tape, lake.origin
        self._named = lake.streams
        self._at = lake.origin
        self._sent = 0
        self._kline_streams: dict[str, tuple[str, str, int]] = {}
        self._klines_due: float = inf

    @property
    def moment(self) -> int:
        """The venue's time that the replay has come to, microseconds; `origin` before it begins."""
        return self._at

    def want(self, names: Iterable[str], now: int) -> None:
        """Klines are read from the lake once somebody wants them."""
        names = list(names)
        for name in names:
            if name not in self._kline_streams and (
                series := self._facts.words.kline_stream(name, self._facts.klines.instruments)
            ):
                self._named.add(name)
                self._kline_streams[name] = (*series, self._at // 1_000)
                self._klines_due = 0
        super().want(names, now)

    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        last, goal = message.last_id, message.last_id + number
        for other in chain.from_iterable(item.messages for item in self._tape.upcoming()):
            if other.stream == message.stream and message.last_id < other.first_id <= goal:
                last = other.last_id
        self._skip[message.stream] = last
        return (message.last_id + 1, last) if last > message.last_id else None

    def report(self) -> dict[str, Any]:
        return {
            "state": self._state(is_over=self._tape.is_over),
            "passed": self._sent,
            "at": self._at,
            "streams": len(self._streams),
        }

    @property
    def is_begun(self) -> bool:
        return self._started is not None

    @property
    def is_over(self) -> bool:
        """Everything has been published."""
        return self._started is not None and self._tape.is_over

    @property
    def failure(self) -> TickhouseError | None:
        """Why the lake could not be read to the end."""
        return self._tape.failure

    def depth(self, symbol: str, limit: int) -> Snapshot | None:
        """The book after the last diff that was passed; see `LakeBook.shown`."""
        return self._facts.depth(symbol, limit)

    def trades(self, symbol: str, from_id: int | None, limit: int) -> list[Deal]:
        """That were passed: from an id (inclusive) on, or the latest."""
        trades = self._facts.trades
        return trades.latest(symbol, limit) if from_id is None else trades.page(symbol, from_id, limit)

    def day(self, symbol: str) -> Day | None:
        """The last ticker that was passed."""
        return self._facts.day(symbol)

    def bars(self, symbol: str, interval: Interval, first: int, last: int) -> list[Bar]:
        """Klines that open in [first, last] (milliseconds) and have closed at the moment of the replay."""
        return self._facts.klines.bars(symbol, interval, first, last, MOST_AT_ONCE, newest=True, now=self._at // 1_000)

    def look_up(self, symbol: str, from_id: int, limit: int) -> None:
        """Reads the trades that `trades` will be asked for; from any thread. Raises LakeUnavailable, AccessRefused."""
        if symbol in self._facts.klines.instruments:
            self._facts.trades.look_up(symbol, from_id, limit)

    def close(self) -> None:
        self._tape.close()

    def _next_offset(self) -> int | None:
        item = self._tape.peek()
        return item.at - self._origin if item else None

    def _publish(self, reached: int | None, now: int) -> None:
        batch_bytes = 0
        for _ in range(AT_ONCE):
            item = self._tape.peek()
            if item is None or (reached is not None and item.at - self._origin > reached) or batch_bytes >= BYTES_AT_ONCE:
                break
            self._tape.pop()
            self._move_to(item.at, now)
            self._facts.note(item)
            for message in item.messages:
                self._sent += 1
                if self._is_sent(message.stream, message.first_id):
                    batch_bytes += _BYTES_A_MESSAGE
                    self._publisher.publish(message, now)
        else:
            return
        if reached is not None and (item is not None and item.at - self._origin > reached):
            self._move_to(self._origin + reached, now)

    def _move_to(self, at: int, now: int) -> None:
        """Time goes on: klines that have closed by then are told first."""
        if at <= self._at:
            return
        self._at = at
        if at // 1_000 >= self._klines_due:
            self._klines_due = min(self._tell_klines(stream, at // 1_000, now) for stream in self._kline_streams)

    def _tell_klines(self, stream: str, at: int, now: int) -> int:
        """Those of a stream that have closed since it was last told of; when the next one closes. `at` in milliseconds."""
        symbol, name, told = self._kline_streams[stream]
        interval = INTERVALS[name]
        first, opened = interval.floor(told), interval.floor(at)
        if opened > first:
            if self._publisher.is_wanted(stream):
                for bar in self._facts.klines.bars(symbol, interval, first, at, MOST_AT_ONCE, newest=False, now=at):
                    for message in self._facts.words.kline(stream, symbol, name, bar):
                        self._publisher.publish(message, now)
            self._kline_streams[stream] = symbol, name, opened
        return interval.next_open(opened)

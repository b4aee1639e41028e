"""Sends a recorded session again: verbatim, in recorded order, at `speed` times its pace or (0) as fast as readers take it.

Messages nobody subscribes to are passed over. When the recording is over, the sockets stay open and silent.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.connection import Connection
from simulated_exchange.server.messages import Channel, Message
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Recorded, Session

SETTLING_US = 500_000  # with start `any`: so long after the last subscription, for clients that subscribe in several frames
_AT_ONCE = 1_000  # messages, then sockets are written to
_BYTES_AT_ONCE = 1 << 18  # the same: one batch can never fill a reader's send buffer
_ENOUGH_WAITING = 1 << 20  # bytes on their way to a reader: at full speed the next message can wait


class Start(StrEnum):
    """What starts a replay: any subscription to a recorded stream, one to each of them, or only the control endpoint."""

    ANY = "any"
    ALL = "all"
    CONTROL = "control"


class SessionReplay:
    """A `MessageSource`, and the `Books` that go with it."""

    def __init__(self, session: Session, publisher: Publisher, speed: float, start: Start) -> None:
        self._session = session
        self._publisher = publisher
        self._speed = speed
        self._start = start
        self._place = 0
        self._sent = 0
        self._started: int | None = None
        self._wanted_at: int | None = None
        self._skip: dict[str, int] = {}
        self._books = {symbol: RecordedBook(session, symbol) for symbol in session.instruments}
        self._trades = {symbol: _trades(session, symbol) for symbol in session.instruments}

    def start(self, now: int) -> None:
        """Starts at once; harmless when it is running."""
        if self._started is None:
            self._started = now

    def want(self, names: Iterable[str], now: int) -> None:
        if any(name in self._session.streams for name in names):
            self._wanted_at = now

    def unwant(self, names: Iterable[str]) -> None:
        """A recording goes on, whoever leaves; but at full speed it waits for somebody to come back."""

    def advance(self, now: int) -> None:
        if self._started is None:
            self._start_if_wanted(now)
        if self._started is None or self._is_waiting_for_readers(now):
            return
        if self._speed:
            reached = int((now - self._started) * self._speed)
            end = bisect_right(self._session.lines, reached, self._place, key=lambda line: line.offset)
        else:
            end = len(self._session.lines)
        self._publish(min(end, self._place + _AT_ONCE), now)

    def is_behind(self, now: int) -> bool:
        if self._started is None or self._place == len(self._session.lines):
            return False
        if not self._speed:
            return not self._is_waiting_for_readers(now)
        return self._session.lines[self._place].offset <= (now - self._started) * self._speed

    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        """A recorded book cannot move by itself: the following diffs are left out, until `number` ids are missing."""
        goal = message.last_id + number
        last = message.last_id
        for _, line in self._session.of(message.symbol, Channel.DEPTH):
            if line.stream == message.stream and message.last_id < line.first_id <= goal:
                last = line.last_id
        self._skip[message.stream] = last
        return (message.last_id + 1, last) if last > message.last_id else None

    def report(self) -> dict[str, Any]:
        """For the tally."""
        total = sum(1 for line in self._session.lines if line.stream)
        over = self._place == len(self._session.lines)
        state = "waiting" if self._started is None else "finished" if over else "running"
        return {"state": state, "passed": self._sent, "messages": total, "streams": len(self._session.streams)}

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        book = self._books.get(symbol)
        return book.snapshot(self._place, limit) if book else None

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        found = _page(self._trades[symbol], self._place, from_id, limit)
        return orjson.dumps([_rest_trade(line) for line in found]).decode()

    def passed(self, symbol: str, kind: str) -> list[Recorded]:
        """The messages of a symbol that the replay has passed, of streams whose names begin so."""
        lines = self._session.lines[: self._place]
        return [line for line in lines if line.symbol == symbol and line.stream.startswith(kind)]

    def _publish(self, end: int, now: int) -> None:
        batch_bytes = 0
        for line in self._session.lines[self._place : end]:
            if batch_bytes >= _BYTES_AT_ONCE:
                return
            self._place += 1
            if not line.stream:
                continue
            self._sent += 1
            batch_bytes += len(line.text)
            if self._publisher.is_wanted(line.stream) and line.first_id > self._skip.get(line.stream, -1):
                self._publisher.publish(_message(line), now)

    def _start_if_wanted(self, now: int) -> None:
        match self._start:
            case Start.ALL if all(map(self._publisher.is_wanted, self._session.streams)):
                self._started = now
            case Start.ANY if self._wanted_at is not None and now - self._wanted_at >= SETTLING_US:
                self._started = now

    def _is_waiting_for_readers(self, now: int) -> bool:
        """At full speed only: nobody is there, has just come (and may be about to subscribe to more), or has enough to read."""
        if self._speed:
            return False
        readers: dict[Connection, None] = {}
        for stream in self._session.streams:
            readers.update(dict.fromkeys(self._publisher.receivers(stream)))
        if not readers or (self._start is Start.ANY and now - (self._wanted_at or 0) < SETTLING_US):
            return True
        return any(reader.wire.waiting() > _ENOUGH_WAITING for reader in readers)


class RecordedBook:
    """The recorded snapshot for the first to ask; later, once the recording has passed it, the same with the diffs since then."""

    def __init__(self, session: Session, symbol: str) -> None:
        self._snapshot = next(((place, line) for place, line in session.snapshots() if line.symbol == symbol), None)
        self._diffs = list(session.of(symbol, Channel.DEPTH))
        self._changes_of = session.changes_of
        self._applied = 0
        self._served = False
        body: dict[str, Any] = {"bids": [], "asks": [], "lastUpdateId": 0}
        if self._snapshot:
            body = orjson.loads(self._snapshot[1].text)
        self._update_id: int = body["lastUpdateId"]
        self._bids, self._asks = (
            {Decimal(price): (price, quantity) for price, quantity in body[side]} for side in ("bids", "asks")
        )

    def snapshot(self, place: int, limit: int) -> str | None:
        """The body of /api/v3/depth when the replay has come to `place`; None if no snapshot was recorded."""
        if self._snapshot is None:
            return None
        if not self._served or place <= self._snapshot[0]:
            self._served = place > 0
            body = orjson.loads(self._snapshot[1].text)
            return _body(body["lastUpdateId"], body["bids"][:limit], body["asks"][:limit])
        self._follow(place)
        bids = [self._bids[price] for price in sorted(self._bids, reverse=True)[:limit]]
        return _body(self._update_id, bids, [self._asks[price] for price in sorted(self._asks)[:limit]])

    def _follow(self, place: int) -> None:
        while self._applied < len(self._diffs) and self._diffs[self._applied][0] < place:
            line = self._diffs[self._applied][1]
            self._applied += 1
            if line.last_id <= self._update_id:
                continue
            for side, levels in zip((self._bids, self._asks), self._changes_of(line.text), strict=True):
                for price, quantity in levels:
                    if quantity.strip("0."):
                        side[Decimal(price)] = (price, quantity)
                    else:
                        side.pop(Decimal(price), None)
            self._update_id = line.last_id


def _message(line: Recorded) -> Message:
    text = line.text
    return Message(line.stream, line.symbol, line.channel, (line.first_id, line.last_id), lambda _: text)


def _body(update_id: int, bids: list[Any], asks: list[Any]) -> str:
    return orjson.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}).decode()


def _trades(session: Session, symbol: str) -> list[tuple[int, int, Recorded]]:
    return sorted((line.first_id, place, line) for place, line in session.of(symbol, Channel.TRADE))


def _page(trades: list[tuple[int, int, Recorded]], place: int, from_id: int | None, limit: int) -> list[Recorded]:
    """Trades the replay has passed: from an id on, or the latest."""
    if from_id is None:
        return [line for _, at, line in trades if at < place][-limit:]
    start = bisect_left(trades, from_id, key=lambda trade: trade[0])
    return [line for _, at, line in trades[start : start + limit] if at < place]


def _rest_trade(line: Recorded) -> dict[str, Any]:
    trade = orjson.loads(line.text)
    quote = f"{Decimal(trade['p']) * Decimal(trade['q']):.8f}"
    names = {"id": trade["t"], "price": trade["p"], "qty": trade["q"], "quoteQty": quote, "time": trade["T"]}
    return {**names, "isBuyerMaker": trade["m"], "isBestMatch": True}

"""Sends a recorded session again: verbatim, in recorded order; and the books and trades that go with it."""

from bisect import bisect_left, bisect_right
from decimal import Decimal
from typing import Any

import orjson

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.messages import Channel, Message
from simulated_exchange.server.paced import AT_ONCE, BYTES_AT_ONCE, PacedReplay, Start
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Recorded, Session


class SessionReplay(PacedReplay):
    """The `MessageSource`, and the `Books` that go with it."""

    def __init__(self, session: Session, publisher: Publisher, speed: float, start: Start) -> None:
        super().__init__(publisher, speed, start, session.streams)
        self._session = session
        self._place = 0
        self._sent = 0
        self._books = {symbol: RecordedBook(session, symbol) for symbol in session.instruments}
        self._trades = {symbol: _trades(session, symbol) for symbol in session.instruments}

    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        goal = message.last_id + number
        last = message.last_id
        for _, line in self._session.of(message.symbol, Channel.DEPTH):
            if line.stream == message.stream and message.last_id < line.first_id <= goal:
                last = line.last_id
        self._skip[message.stream] = last
        return (message.last_id + 1, last) if last > message.last_id else None

    def report(self) -> dict[str, Any]:
        total = sum(1 for line in self._session.lines if line.stream)
        over = self._place == len(self._session.lines)
        return {
            "state": self._state(is_over=over),
            "passed": self._sent,
            "messages": total,
            "streams": len(self._session.streams),
        }

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        book = self._books.get(symbol)
        return book.snapshot(self._place, limit) if book else None

    def best(self, symbol: str) -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
        """The best bid and ask where the replay is."""
        book = self._books.get(symbol)
        return book.best(self._place) if book else (None, None)

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        found = _page(self._trades[symbol], self._place, from_id, limit)
        return orjson.dumps([_rest_trade(line) for line in found]).decode()

    def passed(self, symbol: str, kind: str) -> list[Recorded]:
        """The messages of a symbol that the replay has passed, of streams whose names begin so."""
        lines = self._session.lines[: self._place]
        return [line for line in lines if line.symbol == symbol and line.stream.startswith(kind)]

    def _next_offset(self) -> int | None:
        lines = self._session.lines
        return lines[self._place].offset if self._place < len(lines) else None

    def _publish(self, reached: int | None, now: int) -> None:
        lines = self._session.lines
        end = len(lines) if reached is None else bisect_right(lines, reached, self._place, key=lambda line: line.offset)
        batch_bytes = 0
        for line in lines[self._place : min(end, self._place + AT_ONCE)]:
            if batch_bytes >= BYTES_AT_ONCE:
                return
            self._place += 1
            if not line.stream:
                continue
            self._sent += 1
            batch_bytes += len(line.text)
            if self._is_sent(line.stream, line.first_id):
                self._publisher.publish(_message(line), now)


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

    def best(self, place: int) -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
        """The best bid and ask when the replay has come to `place`, nobody is served by that."""
        if self._snapshot is not None and place > self._snapshot[0]:
            self._follow(place)
        bid, ask = max(self._bids, default=None), min(self._asks, default=None)
        return None if bid is None else self._bids[bid], None if ask is None else self._asks[ask]

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

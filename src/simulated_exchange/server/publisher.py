"""Brings messages to the connections that subscribed to their stream, and on the way lets scripted faults happen to them."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import orjson

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.connection import Connection, Ending, numbers_of
from simulated_exchange.server.faults import SocketFault, SocketFaultKind, SocketFaultPlan
from simulated_exchange.server.messages import BINARY, RESERVED, TEXT, Message, frame
from simulated_exchange.server.tally import SocketTally

Jump = Callable[[Message, int], tuple[int, int] | None]
"""Moves a message's book by so many update ids; the ids no diff will tell of, None if that is not possible here."""


class Publisher:
    """Who subscribes to what. Frames are collected in the connections; `flush` lets them go."""

    def __init__(self, faults: SocketFaultPlan, jump: Jump) -> None:
        self.tally = SocketTally()
        self._faults = faults
        self._jump = jump
        self._receivers: dict[str, list[Connection]] = {}
        self._touched: dict[Connection, None] = {}
        self._held: dict[str, tuple[Message, list[Connection]]] = {}
        self._delayed: list[tuple[int, int, Message, list[Connection]]] = []
        self._sequence = count()

    def set_faults(self, faults: SocketFaultPlan) -> None:
        """Message numbers start again at 1."""
        self._faults = faults

    def reset_tally(self) -> None:
        """Open connections stay in the books, as opened when they were."""
        self.tally = SocketTally()

    def subscribe(self, connection: Connection, names: Sequence[str]) -> None:
        for name in names:
            self._receivers.setdefault(name, []).append(connection)

    def unsubscribe(self, connection: Connection, names: Sequence[str]) -> None:
        for name in names:
            self._receivers[name].remove(connection)
            if not self._receivers[name]:
                del self._receivers[name]

    def is_wanted(self, stream: str) -> bool:
        return stream in self._receivers

    def receivers(self, stream: str) -> list[Connection]:
        """Those who get the next message of a stream."""
        return [connection for connection in self._receivers.get(stream, ()) if connection.gets_messages]

    def publish(self, message: Message, now: int) -> None:
        """Sends one message to everyone who wants it, or lets a fault happen; `now` in microseconds."""
        if self._delayed:
            self.release_delayed(now)
        receivers = self.receivers(message.stream)
        if not receivers:
            return
        if not self._faults.faults:
            self._send(message, receivers)
            return
        number, fault = self._faults.draw(message, numbers_of(receivers))
        if fault is None:
            self._send(message, receivers)
        else:
            hit = [connection for connection in receivers if fault.connection in (None, connection.number)]
            spared = [connection for connection in receivers if connection not in hit]
            if spared:
                self._send(message, spared)
            self._strike(fault, message, number, hit, now)
        self._release_held(message)

    def release_delayed(self, now: int) -> None:
        """Sends delayed messages whose time has come."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, message, receivers = heapq.heappop(self._delayed)
            self._send(message, [connection for connection in receivers if connection.gets_messages])

    def flush(self) -> None:
        """Writes everything collected since the last call."""
        touched, self._touched = self._touched, {}
        for connection in touched:
            connection.flush()

    def _send(self, message: Message, receivers: Sequence[Connection]) -> None:
        if not receivers:
            return
        self.tally.on_message(message)
        for connection in receivers:
            connection.send(message.frame(connection.requests.combined, connection.unit))
            self._touched[connection] = None

    def _send_instead(self, raw: bytes, receivers: Sequence[Connection]) -> None:
        for connection in receivers:
            connection.send(raw)
            self._touched[connection] = None

    def _release_held(self, after: Message) -> None:
        held = self._held.get(after.stream)
        if held and held[0] is not after:
            del self._held[after.stream]
            self._send(held[0], [connection for connection in held[1] if connection.gets_messages])

    def _strike(self, fault: SocketFault, message: Message, number: int, hit: list[Connection], now: int) -> None:
        details: dict[str, Any] | None = {}
        match fault.kind:
            case SocketFaultKind.DROP:
                pass
            case SocketFaultKind.DUPLICATE:
                self._send(message, hit)
                self._send(message, hit)
            case SocketFaultKind.REORDER:
                details = self._hold(message, hit)
            case SocketFaultKind.DELAY:
                heapq.heappush(self._delayed, (now + fault.amount * 1000, next(self._sequence), message, hit))
                details = {"milliseconds": fault.amount}
            case SocketFaultKind.DISCONNECT:
                for connection in hit:
                    connection.drop(Ending.FAULT)
            case SocketFaultKind.HALF_OPEN:
                for connection in hit:
                    connection.go_half_open()
            case SocketFaultKind.MUTE:
                for connection in hit:
                    connection.is_mute = True
            case SocketFaultKind.BROKEN_FRAME:
                self._send_instead(frame(RESERVED, b"broken"), hit)
            case SocketFaultKind.GARBAGE:
                self._send_instead(frame(BINARY, self._faults.noise(64)), hit)
            case SocketFaultKind.WRONG_JSON:
                self._cut_short(message, hit)
            case SocketFaultKind.SEQUENCE_JUMP:
                self._send(message, hit)
                details = self._jumped(message, fault.amount)
            case SocketFaultKind.FLIPPED_LEVEL:
                details = self._send_flipped(message, hit)
        if details is not None:
            self._log(fault, message, number, hit, {"at": now, **details})

    def _hold(self, message: Message, hit: list[Connection]) -> dict[str, Any] | None:
        """Only one message of a stream is held at a time; a second one goes its way."""
        if message.stream in self._held:
            self._send(message, hit)
            return None
        self._held[message.stream] = message, hit
        return {}

    def _cut_short(self, message: Message, hit: Sequence[Connection]) -> None:
        for connection in hit:
            payload = message.payload(combined=connection.requests.combined, unit=connection.unit)
            self._send_instead(frame(TEXT, payload[: len(payload) // 2]), [connection])

    def _jumped(self, message: Message, number: int) -> dict[str, Any] | None:
        missing = self._jump(message, number)
        return {"missing_from": missing[0], "missing_to": missing[1]} if missing else None

    def _send_flipped(self, message: Message, hit: list[Connection]) -> dict[str, Any] | None:
        flipped = _flipped(message.payload(combined=False, unit=TimeUnit.MILLISECOND))
        if flipped is None:
            self._send(message, hit)
            return None
        self._send(message.altered(lambda text: text.replace(flipped["true_level"], flipped["sent_level"], 1)), hit)
        return flipped

    def _log(self, fault: SocketFault, message: Message, number: int, hit: list[Connection], details: dict[str, Any]) -> None:
        self.tally.on_fault(
            {
                "kind": str(fault.kind),
                "stream": message.stream,
                "symbol": message.symbol,
                "channel": str(message.channel),
                "number": number,
                "connections": numbers_of(hit),
                "first_id": message.first_id,
                "last_id": message.last_id,
                **details,
            }
        )


def _flipped(payload: bytes) -> dict[str, Any] | None:
    """The first level with a quantity, and the same level with another one; None if all levels are deletions."""
    diff = orjson.loads(payload)
    for side, price, quantity in _levels(diff):
        if not quantity.strip("0."):
            continue
        digit = str(9 - int(quantity[0]) or 1)
        wrong = digit + quantity[1:]
        return {
            "side": side,
            "price": price,
            "true_quantity": quantity,
            "sent_quantity": wrong,
            "true_level": f'["{price}","{quantity}"',
            "sent_level": f'["{price}","{wrong}"',
        }
    return None


def _levels(diff: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Of either venue's diff."""
    changes = diff["data"]["changes"] if "data" in diff else {"bids": diff["b"], "asks": diff["a"]}
    for side in ("bids", "asks"):
        for price, quantity, *_ in changes[side]:
            yield side, price, quantity

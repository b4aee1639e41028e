"""Open sockets as the exchange sees them: subscriptions, limits and what is waiting to be written. No asyncio here: the bytes
leave through a `Wire`, which `websocket` makes of an aiohttp connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.socket_limits import SECOND_US, SlidingCount, SocketLimits

POLICY_VIOLATION, GOING_AWAY = 1008, 1001


class Wire(Protocol):
    """A connection's way out."""

    def write(self, data: bytes) -> None: ...

    def waiting(self) -> int:
        """Bytes written that the client's machine has not taken yet."""

    def close(self, code: int, reason: str) -> None:
        """The closing handshake."""

    def drop(self) -> None:
        """Ends the TCP connection without a close frame, after what has been written."""

    def abort(self) -> None:
        """Ends the TCP connection at once; what has not left yet is lost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply, None where the venue stays silent, and what has changed."""

    reply: bytes | None
    method: str
    added: Sequence[str] = ()
    removed: Sequence[str] = ()


class ClientRequests(Protocol):
    """What a connection has asked for, and the venue's replies."""

    combined: bool
    streams: dict[str, None]

    def add(self, names: Sequence[str]) -> list[str]:
        """Streams named in the address: the new ones among them."""

    def on_text(self, text: bytes) -> Answer:
        """One text frame of the client."""


class Pulse(Protocol):
    """Who pings whom, and since when nobody has answered."""

    def ping(self, now: int) -> bytes | None: ...

    def pong(self, payload: bytes) -> None: ...

    def is_dead(self, now: int) -> bool: ...


class Talk(NamedTuple):
    """What differs between the venues: requests, how many a client may send, who pings whom."""

    requests: ClientRequests
    messages: SlidingCount
    heartbeat: Pulse


class Ending(StrEnum):
    """Why a connection ended."""

    CLIENT = "client"
    TOO_MANY_MESSAGES = "too_many_messages"
    PONG_TIMEOUT = "pong_timeout"
    LIFE_OVER = "life_over"
    SLOW_READER = "slow_reader"
    FAULT = "fault"
    CONTROL = "control"
    OVER = "over"


class Connection:
    """One socket; frames are collected by `send` and leave with `flush`."""

    def __init__(
        self, number: int, wire: Wire, now: int, limits: SocketLimits, *, unit: TimeUnit, log: dict[str, Any], talk: "Talk"
    ) -> None:
        self.number = number
        self.wire = wire
        self.unit = unit
        self.log = log
        self.requests, self.messages, self.heartbeat = talk
        self.ends_at = now + int(limits.life_seconds * SECOND_US)
        self.is_half_open = False
        self.is_mute = False
        self.ending: Ending | None = None
        self._buffer_limit = limits.send_buffer_bytes
        self._frames: list[bytes] = []

    @property
    def is_silent(self) -> bool:
        """Nothing may be written any more."""
        return self.is_half_open or self.ending is not None

    @property
    def gets_messages(self) -> bool:
        """Whether messages of its streams are sent to it."""
        return not (self.is_mute or self.is_silent)

    def send(self, frame: bytes) -> None:
        self._frames.append(frame)

    def flush(self) -> None:
        """Writes what has been collected; a reader too slow for it is disconnected."""
        frames, self._frames = self._frames, []
        if self.is_silent or not frames:
            return
        self.wire.write(b"".join(frames))
        if self.wire.waiting() > self._buffer_limit:
            self.ending = Ending.SLOW_READER
            self.log["unsent_bytes"] = self.wire.waiting()
            self.wire.abort()

    def close(self, ending: Ending, code: int, reason: str) -> None:
        """Says goodbye; the first ending counts."""
        if self.ending is None and not self.is_half_open:
            self.flush()
        if self.ending is None:
            self.ending = ending
            self.wire.close(code, reason)

    def drop(self, ending: Ending) -> None:
        """Gone without a word."""
        self.flush()
        if self.ending is None:
            self.ending = ending
            self.wire.drop()

    def go_half_open(self) -> None:
        """A fault: silent from now on, and still there."""
        self.flush()
        self.is_half_open = True


def numbers_of(connections: Sequence[Connection]) -> list[int]:
    return [connection.number for connection in connections]

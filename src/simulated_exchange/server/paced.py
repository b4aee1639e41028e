"""When a replay begins and how fast it goes: at so many times its pace, or (0) as fast as readers take it.

Messages nobody subscribes to are passed over. When it is over, the sockets stay open and silent.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from simulated_exchange.server.connection import Connection
from simulated_exchange.server.messages import Message
from simulated_exchange.server.publisher import Publisher

SETTLING_US = 500_000  # with start `any`: so long after the last subscription, for clients that subscribe in several frames
AT_ONCE = 1_000  # messages, then sockets are written to
BYTES_AT_ONCE = 1 << 18  # the same: one batch can never fill a reader's send buffer
_ENOUGH_WAITING = 1 << 20  # bytes on their way to a reader: at full speed the next message can wait


class Start(StrEnum):
    """What starts a replay: any subscription to a recorded stream, one to each of them, only the control endpoint, or nothing."""

    ANY = "any"
    ALL = "all"
    CONTROL = "control"
    NOW = "now"


class PacedReplay(ABC):
    """A `MessageSource`. Times are microseconds."""

    def __init__(self, publisher: Publisher, speed: float, start: Start, streams: Collection[str]) -> None:
        self._publisher = publisher
        self._speed = speed
        self._start = start
        self._streams = streams
        self._started: int | None = None
        self._wanted_at: int | None = None
        self._skip: dict[str, int] = {}

    def start(self, now: int) -> None:
        """Starts at once; harmless when it is running."""
        if self._started is None:
            self._started = now

    def want(self, names: Iterable[str], now: int) -> None:
        if any(name in self._streams for name in names):
            self._wanted_at = now

    def unwant(self, names: Iterable[str]) -> None:  # noqa: B027  # nothing to do is the rule, not a gap
        """A recording goes on, whoever leaves; but at full speed it waits for somebody to come back."""

    def advance(self, now: int) -> None:
        if self._started is None:
            self._start_if_wanted(now)
        if self._started is not None and not self._is_waiting_for_readers(now):
            self._publish(self._reached(now), now)

    def is_behind(self, now: int) -> bool:
        due = self._next_offset()
        if self._started is None or due is None:
            return False
        if not self._speed:
            return not self._is_waiting_for_readers(now)
        return due <= (now - self._started) * self._speed

    @abstractmethod
    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        """A recorded book cannot move by itself: the following diffs are left out, until `number` ids are missing."""

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """For the tally."""

    @abstractmethod
    def _next_offset(self) -> int | None:
        """When the next message is due, from the beginning of the recording on; None if there is none, or not yet."""

    @abstractmethod
    def _publish(self, reached: int | None, now: int) -> None:
        """Sends what is due up to an offset (None: everything), or the next part of it."""

    def _state(self, *, is_over: bool) -> str:
        return "waiting" if self._started is None else "finished" if is_over else "running"

    def _reached(self, now: int) -> int | None:
        return int((now - (self._started or 0)) * self._speed) if self._speed else None

    def _is_sent(self, stream: str, first_id: int) -> bool:
        """Somebody wants it, and no jump of the book has swallowed it."""
        return self._publisher.is_wanted(stream) and first_id > self._skip.get(stream, -1)

    def _start_if_wanted(self, now: int) -> None:
        match self._start:
            case Start.ALL if all(map(self._publisher.is_wanted, self._streams)):
                self._started = now
            case Start.NOW:
                self._started = now
            case Start.ANY if self._wanted_at is not None and now - self._wanted_at >= SETTLING_US:
                self._started = now

    def _is_waiting_for_readers(self, now: int) -> bool:
        """At full speed only: nobody is there, has just come (and may be about to subscribe to more), or has enough to read."""
        if self._speed:
            return False
        readers: dict[Connection, None] = {}
        for stream in self._streams:
            readers.update(dict.fromkeys(self._publisher.receivers(stream)))
        if not readers or (self._start is Start.ANY and now - (self._wanted_at or 0) < SETTLING_US):
            return True
        return any(reader.wire.waiting() > _ENOUGH_WAITING for reader in readers)

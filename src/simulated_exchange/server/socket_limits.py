"""PURE. The venue's limits on sockets. Times are microseconds of the exchange's clock.

"5 incoming messages per second: a PING frame, a PONG frame, a JSON controlled message"; "300 connections per attempt every
5 minutes per IP"; ping frames every 20 s, "pong with the same payload within 1 min"; 24 hours at most.
"""

from collections import deque
from dataclasses import dataclass, field

SECOND_US = 1_000_000
FIVE_MINUTES_US = 300 * SECOND_US


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How strict the exchange is; seconds are those of its clock."""

    client_messages_per_second: int = 5
    streams_per_connection: int = 1_024
    connects_per_five_minutes: int = 300
    ping_seconds: float = 20.0
    pong_seconds: float = 60.0
    life_seconds: float = 86_400.0
    send_buffer_bytes: int = 8 << 20

    def __post_init__(self) -> None:
        if min(self.client_messages_per_second, self.streams_per_connection, self.connects_per_five_minutes) < 1:
            raise ValueError("limits of sockets must be at least 1")
        if min(self.ping_seconds, self.pong_seconds, self.life_seconds) <= 0:
            raise ValueError("ping, pong and life must be longer than 0 seconds")
        if self.send_buffer_bytes < 1:
            raise ValueError("the send buffer must have at least 1 byte")


@dataclass(slots=True)
class SlidingCount:
    """At most `most` events in any `window` microseconds."""

    most: int
    window: int
    _times: deque[int] = field(default_factory=deque)

    def admits(self, now: int) -> bool:
        """Counts one more event; False if it is one too many."""
        while self._times and self._times[0] <= now - self.window:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.most


@dataclass(slots=True)
class Heartbeat:
    """When the next ping of one connection is due, and since when it owes a pong."""

    ping_us: int
    pong_us: int
    next_ping: int
    _owed: dict[bytes, int] = field(default_factory=dict)

    def ping(self, now: int) -> bytes | None:
        """The payload of a ping to be sent now, None if it is not time."""
        if now < self.next_ping:
            return None
        self.next_ping = now + self.ping_us
        payload = b"%d" % (now // 1000)
        self._owed.setdefault(payload, now)
        return payload

    def pong(self, payload: bytes) -> None:
        """ "Unsolicited pong: allowed, does not keep the connection alive"; a later pong settles the earlier pings too."""
        sent = self._owed.get(payload)
        if sent is not None:
            self._owed = {owed: at for owed, at in self._owed.items() if at > sent}

    def is_dead(self, now: int) -> bool:
        return any(at + self.pong_us < now for at in self._owed.values())

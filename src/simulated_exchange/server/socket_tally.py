"""What happened on the sockets: connections, messages and ids sent, faults with the exact ids they concern, so that a test can
compare a client's books - its gaps above all - with the exchange's.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from simulated_exchange.binance.messages import Message
from simulated_exchange.binance.streams import Channel

FAULTS_KEPT = 100_000
CONNECTIONS_KEPT = 10_000

_CONTIGUOUS = (Channel.DEPTH, Channel.TRADE)


@dataclass(slots=True)
class StreamTally:
    """Ids sent on one stream; `missing` are the holes between the first and the last of them, where ids are contiguous."""

    symbol: str
    channel: Channel
    messages: int = 0
    first_id: int = 0
    last_id: int = 0
    missing: list[list[int]] = field(default_factory=list)

    def on_message(self, first: int, last: int) -> None:
        """A message with ids first..last has been written to at least one socket."""
        if not self.messages:
            self.first_id, self.last_id = first, last
        elif first > self.last_id:
            if first > self.last_id + 1 and self.channel in _CONTIGUOUS:
                self.missing.append([self.last_id + 1, first - 1])
            self.last_id = last
        elif last > self.last_id:
            self.last_id = last
        elif self.missing:
            self._fill(first, last)
        self.messages += 1

    def _fill(self, first: int, last: int) -> None:
        """Something was sent late after all."""
        holes = []
        for start, end in self.missing:
            if last < start or end < first:
                holes.append([start, end])
                continue
            if start < first:
                holes.append([start, first - 1])
            if last < end:
                holes.append([last + 1, end])
        self.missing = holes


class SocketTally:
    """Counters since the start or the last reset; logs are bounded."""

    def __init__(self) -> None:
        self.connects = 0
        self.refused_connects: Counter[str] = Counter()
        self.disconnects: Counter[str] = Counter()
        self.client_messages: Counter[str] = Counter()
        self.pings = 0
        self._connections: deque[dict[str, Any]] = deque(maxlen=CONNECTIONS_KEPT)
        self._streams: dict[str, StreamTally] = {}
        self._faults: deque[dict[str, Any]] = deque(maxlen=FAULTS_KEPT)

    def on_connect(self, number: int, address: str, now: int) -> dict[str, Any]:
        """The connection's line in the log; `cause` and `closed_at` follow when it ends. Times are microseconds."""
        self.connects += 1
        line = {"number": number, "address": address, "opened_at": now, "closed_at": None, "cause": None}
        self._connections.append(line)
        return line

    def on_disconnect(self, line: dict[str, Any], cause: str, now: int) -> None:
        line["closed_at"], line["cause"] = now, cause
        self.disconnects[cause] += 1

    def on_message(self, message: Message) -> None:
        stream = self._streams.get(message.stream)
        if stream is None:
            stream = self._streams[message.stream] = StreamTally(message.symbol, message.channel)
        stream.on_message(message.first_id, message.last_id)

    def on_fault(self, line: dict[str, Any]) -> None:
        self._faults.append(line)

    def report(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "connects": self.connects,
            "refused_connects": dict(self.refused_connects),
            "disconnects": dict(self.disconnects),
            "connections": [dict(line) for line in self._connections],
            "client_messages": dict(self.client_messages),
            "pings": self.pings,
            "messages": sum(stream.messages for stream in self._streams.values()),
            "streams": {
                name: {
                    "symbol": stream.symbol,
                    "channel": str(stream.channel),
                    "messages": stream.messages,
                    "first_id": stream.first_id,
                    "last_id": stream.last_id,
                    "missing": [list(hole) for hole in stream.missing],
                }
                for name, stream in self._streams.items()
            },
            "faults": [dict(line) for line in self._faults],
        }

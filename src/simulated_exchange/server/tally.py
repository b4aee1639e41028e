"""What was asked and how it was answered, what went over the sockets, and the faults with the exact ids they concern: a test
compares a client's books, its gaps above all, with these.
"""

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from simulated_exchange.market.intervals import MINUTE
from simulated_exchange.server.messages import Channel, Message

KLINES_LOG_SIZE = 20_000

_TIME = re.compile(r"[0-9]{1,18}")


class Cause(StrEnum):
    """Who made the exchange refuse: its own limits, or a scripted fault."""

    LIMIT = "limiter"
    INJECTED = "injected"


class Tally:
    """Counters since the start or the last reset; the log of klines requests keeps the latest 20,000."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refusals: Counter[tuple[int, Cause]] = Counter()
        self._weight: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._klines: deque[dict[str, Any]] = deque(maxlen=KLINES_LOG_SIZE)

    def on_answer(self, path: str, status: int) -> None:
        """`status` 0 stands for a connection closed without an answer."""
        self._requests[path, status] += 1

    def on_weight(self, weight: int, now: int) -> None:
        self._weight[now - now % MINUTE] += weight

    def on_refusal(self, status: int, cause: Cause) -> None:
        self._refusals[status, cause] += 1

    def on_fault(self, kind: str) -> None:
        self._faults[str(kind)] += 1  # of an enum, which is no key of JSON

    def on_klines(self, sent: Mapping[str, str], status: int) -> None:
        times = {name: int(sent[name]) if _TIME.fullmatch(sent.get(name, "")) else None for name in ("startTime", "endTime")}
        self._klines.append({"symbol": sent.get("symbol"), "interval": sent.get("interval"), **times, "status": status})

    def report(self) -> dict[str, Any]:
        """Plain data, ready for JSON; `weight.per_minute` is keyed by the minute's first millisecond."""
        paths: dict[str, dict[str, int]] = {}
        for (path, status), number in self._requests.items():
            paths.setdefault(path, {})[str(status)] = number
        return {
            "requests": paths,
            "requests_total": self._requests.total(),
            "klines_requests": sum(n for (path, _), n in self._requests.items() if path == "/api/v3/klines"),
            "klines_log": list(self._klines),
            "weight": {
                "total": self._weight.total(),
                "per_minute": {str(minute): weight for minute, weight in sorted(self._weight.items())},
            },
            "refused": {str(status): {str(cause): self._refusals[status, cause] for cause in Cause} for status in (429, 418)},
            "faults": dict(self._faults),
        }


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
        self.disconnects[str(cause)] += 1  # of an enum, which is no key of JSON

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

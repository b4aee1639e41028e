"""KuCoin's sockets: a welcome first, the JSON a client sends (ping, subscribe, unsubscribe) and the replies.
Topics are not in the address, and the client sends the pings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web

from simulated_exchange.config import KucoinLimits
from simulated_exchange.kucoin.limits import SECOND_US, ClientPulse
from simulated_exchange.kucoin.messages import INTERVALS
from simulated_exchange.server.connection import Answer, Connection, Talk
from simulated_exchange.server.messages import TEXT, frame
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.socket_limits import SlidingCount, SocketLimits
from simulated_exchange.server.sockets import MessageSource, Sockets
from simulated_exchange.server.websocket import Address, Listener


class KucoinSockets(Sockets):
    """The open connections of this venue."""

    def __init__(self, limits: SocketLimits, kucoin: KucoinLimits, publisher: Publisher, source: MessageSource) -> None:
        super().__init__(replace(limits, streams_per_connection=kucoin.topics_per_connection), publisher, source)
        self._kucoin = kucoin

    def _talk(self, now: int, *, combined: bool) -> Talk:
        return Talk(
            TopicRequests(self._kucoin.topics_per_connection),
            SlidingCount(self._kucoin.messages_per_ten_seconds, 10 * SECOND_US),
            ClientPulse(int(self._kucoin.silence_seconds * SECOND_US), now),
        )

    def _shutdown_notice(self, connection: Connection, now: int) -> bytes | None:
        return None

    def on_text(self, connection: Connection, text: bytes, now: int) -> None:
        if isinstance(connection.heartbeat, ClientPulse):
            connection.heartbeat.hear(now)
        super().on_text(connection, text, now)


class KucoinListener(Listener):
    """Serves the sockets of this venue."""

    def begin(self, connection: Connection, http: web.BaseRequest, address: Address, now: int) -> None:
        welcome = {"id": http.query.get("connectId", ""), "type": "welcome"}
        connection.send(frame(TEXT, orjson.dumps(welcome)))
        connection.flush()


SYMBOLS_PER_TOPIC = 100

_KINDS = ("/market/level2", "/market/match", "/market/ticker", "/market/candles")


@dataclass(slots=True)
class TopicRequests:
    """What one connection has asked for: a stream is a topic of one symbol. Unknown symbols are acked, and silent."""

    most: int
    combined: bool = False
    streams: dict[str, None] = field(default_factory=dict)

    def add(self, names: Sequence[str]) -> list[str]:
        """Streams cannot be named in the address."""
        return []

    def on_text(self, text: bytes) -> Answer:
        """One text frame of the client."""
        try:
            request = orjson.loads(text)
            kind, number = request["type"], request.get("id")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return Answer(_error("", "400", "request is invalid"), "refused")
        if kind == "ping":
            return Answer(orjson.dumps({"id": str(number), "type": "pong"}), "ping")
        topic = str(request.get("topic", ""))
        streams = _streams(topic)
        if kind not in ("subscribe", "unsubscribe") or not streams:
            code, said = ("400", f"topic {topic} is invalid") if " " in topic else (404, f"topic {topic} is not found")
            return Answer(_error(str(number), code, said), "refused")
        reply = orjson.dumps({"id": str(number), "type": "ack"}) if request.get("response") else None
        if kind == "unsubscribe":
            removed = [name for name in streams if self.streams.pop(name, self) is None]
            return Answer(reply, kind, (), removed)
        new = [name for name in dict.fromkeys(streams) if name not in self.streams]
        if len(self.streams) + len(new) > self.most:
            return Answer(_error(str(number), "509", f"exceed max subscription count limitation of {self.most}"), "refused")
        self.streams.update(dict.fromkeys(new))
        return Answer(reply, kind, new)


def _streams(topic: str) -> list[str]:
    """The streams of a topic, one a symbol; none if it is no topic. No whitespace since 2026-02."""
    kind, colon, symbols = topic.partition(":")
    names = symbols.split(",")
    if kind not in _KINDS or not colon or " " in topic or not all(names) or len(names) > SYMBOLS_PER_TOPIC:
        return []
    if kind == "/market/candles" and any(name.rpartition("_")[2] not in INTERVALS for name in names):
        return []
    return [f"{kind}:{name}" for name in names]


def _error(number: str, code: Any, said: str) -> bytes:
    return orjson.dumps({"id": number, "type": "error", "code": code, "data": said})

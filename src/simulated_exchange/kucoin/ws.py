"""KuCoin's sockets: the token that opens one, a welcome, the JSON a client sends (ping, subscribe, unsubscribe) and the replies.
Topics are not in the address, and the client sends the pings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web

from simulated_exchange.config import KucoinLimits
from simulated_exchange.kucoin.messages import INTERVALS
from simulated_exchange.server.connection import Answer, Connection, Talk
from simulated_exchange.server.messages import TEXT, frame
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.socket_limits import SECOND_US, SlidingCount, SocketLimits
from simulated_exchange.server.sockets import MessageSource, Sockets
from simulated_exchange.server.websocket import Address, Listener

TOKEN_LIFE_US = 24 * 3_600 * SECOND_US
SYMBOLS_PER_TOPIC = 100

_KINDS = ("/market/level2", "/market/match", "/market/ticker", "/spotMarket/level1", "/market/candles")


@dataclass(slots=True)
class Tokens:
    """Tokens given out and used; valid for a day. Reuse is counted, not refused: the venue's text leaves it open."""

    given: int = 0
    used: int = 0
    reused: int = 0
    _valid: dict[str, tuple[int, int]] = field(default_factory=dict)

    def give(self, now: int) -> str:
        self.given += 1
        token = f"simulated-{self.given:06d}"
        self._valid[token] = now, 0
        return token

    def take(self, token: str, now: int) -> bool:
        """Whether a connection may open with this token."""
        if token not in self._valid or now >= self._valid[token][0] + TOKEN_LIFE_US:
            return False
        given_at, times = self._valid[token]
        self._valid[token] = given_at, times + 1
        self.used += 1
        self.reused += times > 0
        return True


@dataclass(slots=True)
class ClientPulse:
    """The client pings here, as a message; one that says nothing for too long is dead, even while data flows."""

    silence_us: int
    last_heard: int

    def hear(self, now: int) -> None:
        self.last_heard = now

    def ping(self, now: int) -> bytes | None:
        """The venue pings nobody."""
        return None

    def pong(self, payload: bytes) -> None:
        """Answers nothing."""

    def is_dead(self, now: int) -> bool:
        return now - self.last_heard > self.silence_us


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

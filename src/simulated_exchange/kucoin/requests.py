"""PURE. The JSON a KuCoin client sends over a socket, and the venue's replies: ping, subscribe, unsubscribe."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulated_exchange.binance.ws import Answer
from simulated_exchange.kucoin.messages import INTERVALS

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

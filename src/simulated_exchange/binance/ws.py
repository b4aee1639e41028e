"""Binance's sockets: the address, the JSON a client sends (SUBSCRIBE and UNSUBSCRIBE) and the replies, server pings, the notice
before the end. Errors are bare objects with a code and a msg.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from simulated_exchange.binance.parameters import time_unit
from simulated_exchange.server.connection import Answer, Connection, Talk
from simulated_exchange.server.socket_limits import SECOND_US, Heartbeat, SlidingCount
from simulated_exchange.server.sockets import Sockets
from simulated_exchange.server.websocket import Address

LONGEST_REQUEST = 4_096  # bytes; "one SUBSCRIBE frame above about 4 KB hangs silently"

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE")


class RequestError(Exception):
    """A refusal: the venue's code and message; `with_id` where the venue repeats the request's id."""

    def __init__(self, code: int, message: str, *, with_id: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.with_id = with_id


@dataclass(slots=True)
class Subscriptions:
    """What one connection has asked for; `combined` starts false on /ws, true on /stream."""

    combined: bool
    most: int = 1_024
    streams: dict[str, None] = field(default_factory=dict)

    def add(self, names: Sequence[str]) -> list[str]:
        """The new ones among `names`; RequestError, and none of them, if that would be too many."""
        new = [name for name in dict.fromkeys(names) if name not in self.streams]
        if len(self.streams) + len(new) > self.most:
            raise RequestError(4, "Too many subscriptions", with_id=True)
        self.streams.update(dict.fromkeys(new))
        return new

    def on_text(self, text: bytes) -> Answer:
        """One text frame of the client. An unknown stream is accepted (result null) and then silent."""
        if len(text) > LONGEST_REQUEST:
            return Answer(None, "oversized")
        request: dict[str, Any] = {}
        try:
            request = _request(text)
            return self._answer(request)
        except RequestError as error:
            body: dict[str, Any] = {"code": error.code, "msg": error.message}
            if error.with_id:
                body["id"] = request["id"]
            return Answer(orjson.dumps(body), "refused")

    def _answer(self, request: dict[str, Any]) -> Answer:
        method, names = request["method"], request["params"]
        added: Sequence[str] = ()
        removed: Sequence[str] = ()
        if method == "SUBSCRIBE":
            added = self.add(names)
        else:
            removed = [name for name in dict.fromkeys(names) if name in self.streams]
            for name in removed:
                del self.streams[name]
        return Answer(orjson.dumps({"result": None, "id": request["id"]}), method, added, removed)


class BinanceSockets(Sockets):
    """The open connections of this venue."""

    def _talk(self, now: int, *, combined: bool) -> Talk:
        limits = self._limits
        ping_us, pong_us = int(limits.ping_seconds * SECOND_US), int(limits.pong_seconds * SECOND_US)
        return Talk(
            Subscriptions(combined, limits.streams_per_connection),
            SlidingCount(limits.client_messages_per_second, SECOND_US),
            Heartbeat(ping_us, pong_us, now + ping_us),
        )

    def _shutdown_notice(self, connection: Connection, now: int) -> bytes | None:
        """`serverShutdown` in both its forms; "no subscription needed"."""
        text = f'{{"e":"serverShutdown","E":{now * connection.unit // 1000}}}'
        return (f'{{"stream":"!serverShutdown","data":{text}}}' if connection.requests.combined else text).encode()


def parse_address(path: str, query: str) -> Address | None:
    """`path` is percent-decoded, `query` is not; None if it is no socket address, VenueError for a bad timeUnit."""
    head, _, rest = path.removeprefix("/").partition("/")
    if head not in ("ws", "stream"):
        return None
    asked = dict(parse_qsl(query, keep_blank_values=True))
    names = rest if head == "ws" else asked.get("streams", "")
    return Address([name for name in names.split("/") if name], head == "stream", time_unit(asked.get("timeUnit")))


def _request(text: bytes) -> dict[str, Any]:
    """A method the venue knows, an id, and the names of streams; the venue's own words name the place of a mistake too."""
    try:
        request = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(3, "Invalid JSON") from error
    if not isinstance(request, dict) or str(request.get("method")) not in _METHODS or "id" not in request:
        raise RequestError(2, "Invalid request: expected a method and an id")
    names = request.get("params")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(2, "Invalid request: params must be a list of stream names")
    return request

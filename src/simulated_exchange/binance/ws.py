"""Binance's sockets: the address, the JSON a client sends (SUBSCRIBE and UNSUBSCRIBE) and the replies, server pings, the notice
before the end. Errors are bare objects with a code and a msg.
"""

import json
import re
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
_TEXT_ID = re.compile(r"[0-9A-Za-z]{1,36}")
_SMALLEST_ID, _LARGEST_ID = -(2**63), 2**63 - 1
_BAD_ID = "request ID must be an unsigned integer"
_MISSING = object()


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
        method, params = request["method"], request.get("params")
        added: Sequence[str] = ()
        removed: Sequence[str] = ()
        if method == "SUBSCRIBE":
            added = self.add(_names(params))
        else:
            removed = [name for name in dict.fromkeys(_names(params)) if name in self.streams]
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
    try:
        request = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        line, column = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (1, 1)
        raise RequestError(3, f"Invalid JSON: expected value at line {line} column {column}") from error
    if not isinstance(request, dict):
        raise RequestError(2, "Invalid request: expected an object at line 1 column 1")
    method = request.get("method", _MISSING)
    if method is _MISSING:
        raise RequestError(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    if method not in _METHODS:
        listed = ", ".join(f"`{name}`" for name in _METHODS)
        column = text.find(str(method).encode()) + len(str(method).encode()) + 1
        raise RequestError(2, f"Invalid request: unknown variant `{method}`, expected one of {listed} at line 1 column {column}")
    if not _is_id(request.get("id", _MISSING)):
        raise RequestError(2, f"Invalid request: {_BAD_ID}")
    return request


def _is_id(value: object) -> bool:
    """ "Signed 64-bit int, alphanumeric string up to 36 chars, or null"; leaving it out is an error."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return _SMALLEST_ID <= value <= _LARGEST_ID
    return value is None or (isinstance(value, str) and bool(_TEXT_ID.fullmatch(value)))


def _names(params: object) -> list[str]:
    if not isinstance(params, list):
        raise RequestError(2, "Invalid request: params must be a list of stream names")
    names = [name for name in params if isinstance(name, str)]
    if len(names) < len(params):
        raise RequestError(2, "Invalid request: params must be a list of stream names")
    return names

"""PURE. An HTTP request as a venue sees it, and the answer before it is put on the wire, whole or spoiled by a fault."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import orjson

from simulated_exchange.server.faults import Fault, FaultKind

JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is percent-decoded, `host` how the client calls this machine, `time_unit` the value of Binance's header."""

    method: str
    path: str
    pairs: Sequence[tuple[str, str]]
    address: str
    host: str
    time_unit: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reply, and the fault that the socket has to carry out itself: a dropped body or connection."""

    reply: Reply
    broken_by: FaultKind | None = None


def not_found(path: str) -> Reply:
    """404, "unknown path, JSON body"."""
    return Reply(404, orjson.dumps({"status": 404, "error": "Not Found", "path": path}))


def spoiled(reply: Reply, fault: Fault | None) -> Outcome:
    """What a fault makes of a real reply: its JSON stops in the middle, or the socket ends with it."""
    if fault is None:
        return Outcome(reply)
    if fault.kind is FaultKind.TRUNCATED_BODY:
        return Outcome(replace(reply, body=half(reply.body)))
    return Outcome(reply, fault.kind)


def half(body: bytes) -> bytes:
    return body[: max(1, len(body) // 2)]

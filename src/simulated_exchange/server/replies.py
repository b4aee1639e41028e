"""PURE. An HTTP answer before it is put on the wire, whole or spoiled."""

from dataclasses import dataclass, field, replace

import orjson

JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def not_found(path: str) -> Reply:
    """404, "unknown path, JSON body"."""
    return Reply(404, orjson.dumps({"status": 404, "error": "Not Found", "path": path}))


def cut_short(reply: Reply) -> Reply:
    """A complete HTTP answer whose JSON stops in the middle."""
    return replace(reply, body=half(reply.body))


def half(body: bytes) -> bytes:
    return body[: max(1, len(body) // 2)]

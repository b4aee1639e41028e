"""Serves recorded diffs over a websocket without end: `frame_server.py FILE`. For bench_mirror.py, in a process of its own.

FILE is JSON: symbols, rate (frames a second, 0 = as fast as they are read), diffs as the venue sent them. The protocol is
written by hand, and only as far as a reader needs it: a server library would be slower than what is measured.
"""

import base64
import hashlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_SHORT, _MEDIUM = 126, 1 << 16


def main() -> None:
    plan = orjson.loads(Path(sys.argv[1]).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        print(f"ws://{host}:{port}/", flush=True)
        reader, _ = server.accept()
        with reader:
            _shake_hands(reader)
            _send(reader, plan)


def _send(reader: socket.socket, plan: dict[str, Any]) -> None:
    began, waiting = time.monotonic(), bytearray()
    at_once = max(1, plan["rate"] // 100) if plan["rate"] else 100
    for sent, frame in enumerate(_frames(plan["symbols"], plan["diffs"]), start=1):
        waiting += frame
        if sent % at_once == 0:
            if plan["rate"]:
                time.sleep(max(0.0, began + sent / plan["rate"] - time.monotonic()))
            try:
                reader.sendall(waiting)
            except OSError:
                return  # the reader has had enough
            waiting.clear()


def _frames(symbols: list[str], diffs: list[dict[str, Any]]) -> Iterator[bytes]:
    sides = [orjson.dumps({"b": diff["b"], "a": diff["a"]})[1:] for diff in diffs]
    heads = [
        (f'{{"stream":"{name.lower()}@depth@100ms","data":{{"e":"depthUpdate","s":"{name}","E":').encode() for name in symbols
    ]
    first = 1
    while True:
        for side, diff in zip(sides, diffs, strict=True):
            last = first + diff["u"] - diff["U"]
            tail = b'%d,"U":%d,"u":%d,' % (diff["E"], first, last) + side + b"}"
            for head in heads:
                yield _framed(head + tail)
            first = last + 1


def _head(symbol: str) -> str:
    return f'{{"stream":"{symbol.lower()}@depth@100ms","data":{{"e":"depthUpdate","s":"{symbol}","E":'


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    if size < _SHORT:
        return bytes((0x81, size)) + payload
    if size < _MEDIUM:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


def _shake_hands(reader: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += reader.recv(4096)
    key = next(line.split(b":")[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    reader.sendall(head + accept + b"\r\n\r\n")


if __name__ == "__main__":
    main()

"""Answers made smaller: as HTTP has it (`Accept-Encoding`), or in ClickHouse's own blocks (`compress=1`)."""

import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

from tickhouse_core.sql_door.city_hash import city_hash_128
from tickhouse_core.sql_door.wire import NOT_IMPLEMENTED, refusal

_GZIP, _ZLIB = 31, 15
"""Window bits of zlib, which choose the form around the data."""

_BLOCK_BYTES = 1024 * 1024
_LZ4 = 0x82
_HAS_LZ4 = find_spec("lz4") is not None
"""It comes with clickhouse-connect, for Python before 3.14."""

_HEAD_BYTES = 9
"""Method, then both sizes, which count this head too (ClickHouse: src/Compression/CompressedReadBufferBase.cpp)."""


class Encoder(Protocol):
    """Takes an answer piece by piece."""

    def take(self, piece: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Plain:
    """Leaves an answer as it is."""

    def take(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.compressobj(1, wbits=window_bits)

    def take(self, piece: bytes) -> bytes:
        return self._zlib.compress(piece)

    def end(self) -> bytes:
        return self._zlib.flush()


class _Lz4Frames:
    def __init__(self) -> None:
        from lz4.frame import LZ4FrameCompressor

        self._lz4 = LZ4FrameCompressor()
        self._begin = bytes(self._lz4.begin())

    def take(self, piece: bytes) -> bytes:
        begin, self._begin = self._begin, b""
        return begin + bytes(self._lz4.compress(piece))

    def end(self) -> bytes:
        begin, self._begin = self._begin, b""
        return begin + bytes(self._lz4.flush())


class NativeBlocks:
    """Checksum, head and LZ4 data, again and again: what `compress=1` asks for. SqlError where LZ4 is not installed."""

    def __init__(self) -> None:
        if not _HAS_LZ4:
            raise refusal(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "compress=1 needs the Python package lz4 beside this process.")

    def take(self, piece: bytes) -> bytes:
        starts = range(0, len(piece), _BLOCK_BYTES)
        return b"".join(self._block(piece[start : start + _BLOCK_BYTES]) for start in starts)

    def end(self) -> bytes:
        return b""

    def _block(self, part: bytes) -> bytes:
        from lz4.block import compress

        data = bytes(compress(part, store_size=False))
        head = bytes([_LZ4]) + (len(data) + _HEAD_BYTES).to_bytes(4, "little") + len(part).to_bytes(4, "little")
        return city_hash_128(head + data) + head + data


_BY_NAME: dict[str, Callable[[], Encoder]] = {
    **({"lz4": _Lz4Frames} if _HAS_LZ4 else {}),
    "gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(_ZLIB),
}
"""The one that costs least first: an answer goes no further than this machine."""


def chosen(accept_encoding: str) -> tuple[str, Encoder]:
    """The name for `Content-Encoding`, empty for none, and what does it."""
    offered = {part.partition(";")[0].strip().lower() for part in accept_encoding.split(",") if "q=0" not in part}
    for name, make in _BY_NAME.items():
        if name in offered:
            return name, make()
    return "", Plain()

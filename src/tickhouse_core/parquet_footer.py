"""PURE. What a Parquet footer may not say, because pyarrow would end the process when it is asked about that column chunk.

Its C++ accessors of column chunks and statistics throw, and no Python exception comes of it (`std::terminate`). So the
footer's Thrift is read here before pyarrow is asked (Apache Parquet: "parquet.thrift", from FileMetaData down to Statistics and
SizeStatistics). Opening and decoding a file is safe: there the same faults are exceptions.
"""

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from tickhouse_core.parquet_headers import BINARY, I32, INTEGERS, LIST, STRUCT, behind, integer, list_head, varint

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a plain value, which a bound of the statistics must have; bounds of other types are taken as they are."""


class Leaf(NamedTuple):
    """A column of the file, as its schema says: the type of its values, and how deep its levels go."""

    physical_type: str
    most_repetition: int
    most_definition: int


class Unaskable(ValueError):
    """What is wrong with the footer, for people."""


def check_chunks(footer: bytes, leaves: Sequence[Leaf]) -> None:
    """Raises Unaskable for a footer that pyarrow must not be asked about, ValueError or IndexError for broken Thrift."""
    _walk(footer, 0, _Visitor(leaves).file, (4,))


class _Visitor:
    """One method for each kind of struct: takes a field of it (its place, type of Thrift's and number) and says where it ends."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = leaves
        self._leaf = leaves[0] if leaves else Leaf("", 0, 0)

    def file(self, data: bytes, at: int, kind: int, field: int) -> int:
        if field == 4 and kind == LIST:
            size, at = _structs(data, at, "row groups")
            for _ in range(size):
                at = _walk(data, at, self._group, (1,))
            return at
        return behind(data, at, kind)

    def _group(self, data: bytes, at: int, kind: int, field: int) -> int:
        if field != 1 or kind != LIST:
            return behind(data, at, kind)
        size, at = _structs(data, at, "column chunks")
        if size != len(self._leaves):
            raise Unaskable(f"a row group has {size} columns, the schema {len(self._leaves)}")
        for leaf in self._leaves:
            self._leaf = leaf
            at = _walk(data, at, self._chunk, (3, 8))
        return at

    def _chunk(self, data: bytes, at: int, kind: int, field: int) -> int:
        if field == 8 and kind == STRUCT:
            raise Unaskable("the file has encrypted columns: write it without encryption")
        return _walk(data, at, self._column, (1, 3, 12, 16)) if field == 3 and kind == STRUCT else behind(data, at, kind)

    def _column(self, data: bytes, at: int, kind: int, field: int) -> int:
        if field == 1 and kind == I32:
            number, at = integer(data, at)
            if _TYPES[number & 7] != self._leaf.physical_type or number >> 3:
                raise Unaskable(f"a column chunk has type {number}, the schema says {self._leaf.physical_type}")
            return at
        if field == 3 and kind == LIST:
            return self._path(data, at)
        if kind == STRUCT and field == 12:
            return _walk(data, at, self._bounds, (1, 2, 5, 6))
        if kind == STRUCT and field == 16:
            return _walk(data, at, self._sizes, (1, 2, 3))
        return behind(data, at, kind)

    def _path(self, data: bytes, at: int) -> int:
        size, inner, at = list_head(data, at)
        for _ in range(size if inner == BINARY else 0):
            length, at = varint(data, at)
            data[at : at + length].decode()  # UnicodeDecodeError is a ValueError
            at += length
        if inner != BINARY and size:
            raise ValueError("a path is no list of names")
        return at

    def _bounds(self, data: bytes, at: int, kind: int, field: int) -> int:
        if kind == BINARY:
            size, at = varint(data, at)
            width = _WIDTHS.get(self._leaf.physical_type, size)
            if size not in (0, width):
                raise Unaskable(f"a bound in the statistics has {size} bytes, a {self._leaf.physical_type} has {width}")
            return at + size
        return behind(data, at, kind)

    def _sizes(self, data: bytes, at: int, kind: int, field: int) -> int:
        if field == 1 and kind in INTEGERS and self._leaf.physical_type != "BYTE_ARRAY":
            raise Unaskable(f"the size statistics count bytes of text, the values are {self._leaf.physical_type}")
        if field in (2, 3) and kind == LIST:
            most = self._leaf.most_repetition if field == 2 else self._leaf.most_definition
            size, _, _ = list_head(data, at)
            if size not in (0, most + 1):
                raise Unaskable(f"a histogram of levels has {size} entries, the column {most + 1} levels")
        return behind(data, at, kind)


def _structs(data: bytes, at: int, what: str) -> tuple[int, int]:
    size, inner, at = list_head(data, at)
    if inner != STRUCT and size:
        raise ValueError(f"{what} are no structs")
    return size, at


def _walk(data: bytes, at: int, visit: Callable[[bytes, int, int, int], int], fields: Container[int]) -> int:
    """Hands these fields of the struct at a place to `visit`; the place behind the struct."""
    number = 0
    while head := data[at]:
        at, kind = at + 1, head & 15
        if head > 15:
            number += head >> 4
        else:
            number, at = integer(data, at)
        at = visit(data, at, kind, number) if number in fields else behind(data, at, kind)
    return at + 1

"""PURE. Blocks of the format Native as drivers of ClickHouse's protocol read them, when a request names its revision.

chDB writes the oldest form. From a revision on, a block begins with its description and every column with a flag (ClickHouse:
src/Formats/NativeWriter.cpp). Where a column ends follows from its type and its own counts.
"""

import re
from collections.abc import Iterator

from tickhouse_core.sql_door.streams import varint
from tickhouse_core.sql_door.wire import NOT_IMPLEMENTED, refusal

FIRST_REVISION = 54_454
"""DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION, of 2021. clickhouse-go, and Grafana by it, sends a later one."""

_DESCRIPTION = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Field 1: no overflow rows; field 2: bucket -1; the end."""

_NO_CUSTOM_FORM = b"\x00"

_BYTES = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))
"""Digits up to which a Decimal has so many bytes."""

_SUM_OF_VALUES = "SimpleAggregateFunction"
_INDEX_BYTES = (1, 2, 4, 8)
_NAME_OF_ELEMENT = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[A-Za-z_]\w*) (?=\S)")


def with_revision(piece: bytes) -> bytes:
    """The same blocks in the later form. SqlError for a type whose size is not known here."""
    return b"".join(_parts(piece))


def _parts(piece: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(piece):
        begin = at
        columns, at = varint(piece, at)
        rows, at = varint(piece, at)
        yield _DESCRIPTION + piece[begin:at]
        for _ in range(columns):
            begin = at
            _, at = _text(piece, at)
            kind, at = _text(piece, at)
            yield piece[begin:at] + _NO_CUSTOM_FORM
            begin = at
            if rows:
                at = _after_values(piece, _after_prefix(kind, at), kind, rows)
            yield piece[begin:at]


def _after_prefix(kind: str, at: int) -> int:
    """What stands before all values of a column: the version of each dictionary in it."""
    name, inner = _split(kind)
    if name == "LowCardinality":
        return at + 8
    for part in inner if name in ("Array", "Tuple", "Map", "Nullable", "Nested") else ():
        at = _after_prefix(part, at)
    return at


def _after_values(piece: bytes, at: int, kind: str, rows: int) -> int:
    name, inner = _split(kind)
    if name == "String":
        for _ in range(rows):
            size, at = varint(piece, at)
            at += size
        return at
    if name == "Nullable":
        return _after_values(piece, at + rows, inner[0], rows)
    if name == "Tuple":
        for part in inner:
            at = _after_values(piece, at, part, rows)
        return at
    if name in ("Array", "Map", "Nested"):
        values = _number(piece, at + 8 * (rows - 1)) if rows else 0  # the last offset
        at += 8 * rows
        for part in inner:
            at = _after_values(piece, at, part, values)
        return at
    if name == "LowCardinality":
        return _after_dictionary(piece, at, inner[0]) if rows else at
    if name == "FixedString":
        return at + rows * int(inner[0])
    if name == "Decimal":
        return at + rows * next(size for digits, size in _DECIMALS if int(inner[0]) <= digits)
    if name in _BYTES or name.startswith("Interval"):
        return at + rows * _BYTES.get(name, 8)
    raise refusal(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", f"A column of the type {kind} cannot be sent in this format: cast it.")


def _after_dictionary(piece: bytes, at: int, kind: str) -> int:
    """Kind of index, its own values, then an index for each row. Null is one of the values, without a flag."""
    plain = kind.removeprefix("Nullable(").removesuffix(")") if kind.startswith("Nullable(") else kind
    width = _INDEX_BYTES[_number(piece, at) & 0xFF]
    values = _number(piece, at + 8)
    at = _after_values(piece, at + 16, plain, values)
    return at + 8 + width * _number(piece, at)


def _split(kind: str) -> tuple[str, list[str]]:
    """A type's name and its arguments; names of a tuple's elements are left out."""
    name, opened, rest = kind.partition("(")
    if not opened or name in _BYTES:
        return name, []
    if name == _SUM_OF_VALUES:  # its values are those of its type
        return _split(rest[:-1].partition(",")[2].strip())
    arguments, depth, begin, quote = [], 0, 0, ""
    inner = rest[:-1]
    position = 0
    while position < len(inner):
        letter = inner[position]
        if quote:
            position += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'`":
            quote = letter
        elif letter == "," and not depth:
            arguments.append(inner[begin:position].strip())
            begin = position + 1
        depth += 0 if quote else (letter == "(") - (letter == ")")
        position += 1
    arguments.append(inner[begin:].strip())
    if name in ("Tuple", "Nested"):
        arguments = [_NAME_OF_ELEMENT.sub("", argument, count=1) for argument in arguments]
    return name, arguments


def _text(piece: bytes, at: int) -> tuple[str, int]:
    size, at = varint(piece, at)
    return piece[at : at + size].decode(errors="replace"), at + size


def _number(piece: bytes, at: int) -> int:
    return int.from_bytes(piece[at : at + 8], "little")

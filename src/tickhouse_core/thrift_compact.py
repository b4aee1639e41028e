"""PURE. Thrift's compact protocol as far as Parquet's footer and page headers need it (Apache Thrift: "thrift-compact-protocol").

A file may have 100,000 column chunks of 30 fields each: everything goes by a place in the bytes and makes no objects.
Bytes that are no sound Thrift raise ValueError or IndexError.
"""

BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = 3, 7, 8, 9, 10, 11, 12, 13
BOOLEANS = (1, 2)
I32 = 5
INTEGERS = (4, I32, 6)
_WIDTHS = {1: 1, 2: 1, BYTE: 1, DOUBLE: 8, UUID: 16}
"""Bytes of an element of a list, for types that have one width: a list of them is skipped at once, however long it says it is."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number and the place behind it."""
    value = shift = 0
    while (byte := data[at]) > 127:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


def integer(data: bytes, at: int) -> tuple[int, int]:
    """A signed number and the place behind it."""
    said, at = varint(data, at)
    return (said >> 1) ^ -(said & 1), at


def list_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Length, type of the elements, and the place of the first."""
    head = data[at]
    if head >> 4 == 15:
        size, at = varint(data, at + 1)
        return size, head & 15, at
    return head >> 4, head & 15, at + 1


def fields_of(data: bytes, at: int) -> tuple[dict[int, int], dict[int, int], int]:
    """Of a struct: its numbers of 32 bits and the places of its structs, by field, and the place behind it.

    As Thrift's reader for C++, which Arrow has: of a field that is there twice the last one counts, one of another type is passed
    over, and numbers are cut to their bits.
    """
    numbers: dict[int, int] = {}
    structs: dict[int, int] = {}
    field = 0
    while head := data[at]:
        kind, at = head & 15, at + 1
        if head > 15:
            field = (field + (head >> 4)) & 0xFFFF
        else:
            said, at = integer(data, at)
            field = said & 0xFFFF
        if kind == I32:
            said, at = varint(data, at)
            said &= 0xFFFFFFFF
            numbers[field] = (said >> 1) ^ -(said & 1)
            continue
        if kind == STRUCT:
            structs[field] = at
        at = behind(data, at, kind)
    return numbers, structs, at + 1


def behind(data: bytes, at: int, kind: int) -> int:
    """The place behind the value of a field. A boolean field's value is its type."""
    return at if kind in BOOLEANS else _behind_element(data, at, kind)


def _behind_element(data: bytes, at: int, kind: int) -> int:
    if kind in INTEGERS:
        while data[at] > 127:
            at += 1
        return at + 1
    if kind == BINARY:
        size, at = varint(data, at)
        return at + size
    if kind == STRUCT:
        while head := data[at]:
            at += 1
            if head < 16:
                at = _behind_element(data, at, INTEGERS[0])
            at = behind(data, at, head & 15)
        return at + 1
    if kind in (LIST, SET):
        size, inner, at = list_head(data, at)
        return _behind_elements(data, at, size, (inner,))
    if kind == MAP:
        size, at = varint(data, at)
        return _behind_elements(data, at + 1, size, (data[at] >> 4, data[at] & 15)) if size else at
    if kind in _WIDTHS:
        return at + _WIDTHS[kind]
    raise ValueError(f"no type of Thrift's: {kind}")


def _behind_elements(data: bytes, at: int, size: int, kinds: tuple[int, ...]) -> int:
    """Of a list, or of a map's keys and values in turn."""
    if all(kind in _WIDTHS for kind in kinds):
        return at + size * sum(_WIDTHS[kind] for kind in kinds)
    for _ in range(size):
        for kind in kinds:
            at = _behind_element(data, at, kind)
    return at

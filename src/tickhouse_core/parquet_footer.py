"""PURE. What of a Parquet file pyarrow cannot be asked: whether columns are encrypted (it ends the process), how large pages are.

Walks Thrift's compact protocol (Apache Thrift: "thrift-compact-protocol"; Apache Parquet: "parquet.thrift") as far as needed.
A file may have 100,000 column chunks of 30 fields each: the walk goes by a place in the bytes and makes no objects.
"""

_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 3, 7, 8, 9, 10, 11, 12, 13
_BOOLEANS = (1, 2)
_INTEGERS = (4, 5, 6)
_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA = 4, 1, 8
_TYPE, _UNPACKED, _PACKED = 1, 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""By the type of a page: the field that says how many values it has, in its own field 1."""

_I32 = 5
_STRUCT_BYTES = 16
"""Of a text of a dictionary in the decoder, beside the text."""


def has_encrypted_columns(footer: bytes) -> bool:
    """Of a file that pyarrow opens, so its footer is sound Thrift. Raises ValueError or IndexError where it is not."""
    return _has(footer, 0, (_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA))[0]


def bytes_of_pages(body: bytes, at: int, end: int, values: int) -> tuple[int, int]:
    """What the pages of a column chunk say they are once unpacked, and their number. Arrow takes memory for it, whatever the
    footer said.

    As far as Arrow reads: to the end of the chunk, or until `values` were there. Raises ValueError or IndexError where a
    header cannot be read.
    """
    total = pages = 0
    while at < end and values > 0:
        said, structs, at = _fields(body, at)
        kind = said.get(_TYPE, -1)
        header = structs.get(_HEADERS.get(kind, -1))
        counted = _fields(body, header)[0].get(1, 0) if header is not None else 0
        unpacked, packed = said.get(_UNPACKED, 0), said.get(_PACKED, 0)
        if min(counted, unpacked, packed) < 0:
            raise ValueError("a page of less than nothing")
        if kind == _DICTIONARY:
            total += counted * _STRUCT_BYTES if counted > unpacked else 0
        else:
            values -= counted
        total += unpacked
        pages += 1
        at += packed
    return total, pages


def _fields(data: bytes, at: int) -> tuple[dict[int, int], dict[int, int], int]:
    """Of a struct: its numbers of 32 bits and the places of its structs, by field, and the place behind it.

    As Thrift's reader for C++: the last of several counts, what is of another type is passed over, and numbers are cut.
    """
    numbers: dict[int, int] = {}
    structs: dict[int, int] = {}
    field = 0
    while head := data[at]:
        kind, at = head & 15, at + 1
        if head > 15:
            field = (field + (head >> 4)) & 0xFFFF
        else:
            said, at = _varint(data, at)
            field = ((said >> 1) ^ -(said & 1)) & 0xFFFF
        if kind == _I32:
            said, at = _varint(data, at)
            said &= 0xFFFFFFFF
            numbers[field] = (said >> 1) ^ -(said & 1)
            continue
        if kind == _STRUCT:
            structs[field] = at
        at = _behind(data, at, kind)
    return numbers, structs, at + 1


def _has(data: bytes, at: int, path: tuple[int, ...]) -> tuple[bool, int]:
    """Whether the struct at a place has the struct at the end of the path of field numbers, through lists of structs; if not,
    also the place behind it."""
    number = 0
    while head := data[at]:
        at, kind = at + 1, head & 15
        if head > 15:
            number += head >> 4
        else:
            said, at = _varint(data, at)
            number = (said >> 1) ^ -(said & 1)
        if number == path[0] and len(path) == 1 and kind == _STRUCT:
            return True, at
        if number == path[0] and len(path) > 1 and kind == _LIST:
            size, inner, at = _list(data, at)
            if inner != _STRUCT:
                raise ValueError(f"field {number} has no structs")
            for _ in range(size):
                found, at = _has(data, at, path[1:])
                if found:
                    return True, at
        else:
            at = _behind(data, at, kind)
    return False, at + 1


def _behind(data: bytes, at: int, kind: int, *, in_list: bool = False) -> int:
    """The place behind a value. A boolean field's value is its type; in a list it is a byte."""
    if kind in _INTEGERS:
        while data[at] > 127:
            at += 1
        return at + 1
    if kind == _BINARY:
        size, at = _varint(data, at)
        return at + size
    if kind == _STRUCT:
        while head := data[at]:
            at += 1
            if head < 16:
                at = _behind(data, at, _INTEGERS[0])
            at = _behind(data, at, head & 15)
        return at + 1
    if kind in _BOOLEANS:
        return at + in_list
    if kind in (_LIST, _SET):
        size, inner, at = _list(data, at)
        for _ in range(size):
            at = _behind(data, at, inner, in_list=True)
        return at
    if kind == _MAP:
        size, at = _varint(data, at)
        kinds = data[at] if size else 0
        at += bool(size)
        for _ in range(size):
            at = _behind(data, _behind(data, at, kinds >> 4, in_list=True), kinds & 15, in_list=True)
        return at
    if kind in (_BYTE, _DOUBLE, _UUID):
        return at + {_BYTE: 1, _DOUBLE: 8, _UUID: 16}[kind]
    raise ValueError(f"no type of Thrift's: {kind}")


def _list(data: bytes, at: int) -> tuple[int, int, int]:
    """Length, type of the elements, and the place of the first."""
    head = data[at]
    if head >> 4 == 15:
        size, at = _varint(data, at + 1)
        return size, head & 15, at
    return head >> 4, head & 15, at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) > 127:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1

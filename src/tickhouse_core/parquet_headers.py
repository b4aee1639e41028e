"""PURE. What the Thrift structures of a Parquet file say (Apache Parquet: "parquet.thrift"): page headers.

A decoder allocates what page headers say, and takes as many values as they say: the footer, which says both too, may say
less. A file may have 100,000 column chunks of 30 fields each: everything goes by a place in the bytes and makes no objects.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

_TYPE, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""By the type of a page: the field with its own header. A header of another type's says nothing."""

_OWN_HEADERS = frozenset(_HEADERS.values())
_COUNT, _ENCODING = 1, {_DATA: 2, _DATA_V2: 4}
_DELTA_BYTE_ARRAY = 7
_TEXT_BYTES = 16
"""Of a text of a dictionary in the decoder, beside the text."""

_USUAL_BYTES = 256
"""Of a header; nearly all have fewer."""

_MOST_BYTES = 16 * 1024**2
"""Of a header, as for parquet-cpp."""

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


def fields_of(data: bytes, at: int, inside: Container[int] = ()) -> tuple[dict[int, int], dict[int, dict[int, int]], int]:
    """Of a struct: its numbers of 32 bits by field, those of its structs `inside`, and the place behind it.

    As Thrift's reader for C++, which Arrow has: of a field that is there twice the last one counts, one of another type is passed
    over, and numbers are cut to their bits.
    """
    numbers: dict[int, int] = {}
    structs: dict[int, dict[int, int]] = {}
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
        elif kind == STRUCT and field in inside:
            structs[field], _, at = fields_of(data, at)
        else:
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
            kind = head & 15
            if kind in INTEGERS:  # here as well, because a footer has hundreds of them
                while data[at] > 127:
                    at += 1
                at += 1
            elif kind not in BOOLEANS:
                at = _behind_element(data, at, kind)
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


@dataclass(frozen=True, slots=True)
class ChunkPages:
    """`size`: bytes of all pages once decompressed, headers included. `values`: of the data pages, nulls included.
    `number` of pages, and `unusual`: bytes of headers above what is usual.

    `shares`: whether texts of a page are encoded by how much they share with the one before (DELTA_BYTE_ARRAY): each may be as
    long as the page.
    """

    size: int
    values: int
    shares: bool
    number: int
    unusual: int


def pages_of(body: bytes, start: int, end: int, values: int) -> ChunkPages:
    """Of the chunk from `start` to `end` in the file, which has `values` values by the footer.

    As decoders do, it ends once the pages have those; the last page may have more. Raises ValueError or IndexError for
    headers that are broken.
    """
    at, size, seen, shares, pages, unusual = start, 0, 0, False, 0, 0
    while seen < values and at < end:
        try:
            page = _page(body[at : at + _USUAL_BYTES])
        except IndexError:
            page = _page(body[at : at + _MOST_BYTES])
        if min(page.uncompressed, page.compressed, page.values) < 0:
            raise ValueError(f"the page at byte {at} has sizes below 0")
        if page.kind == _DICTIONARY:
            size += page.values * _TEXT_BYTES if page.values > page.uncompressed else 0
        else:
            seen += page.values
        size += page.length + page.uncompressed
        shares = shares or page.encoding == _DELTA_BYTE_ARRAY
        pages += 1
        unusual += max(page.length - _USUAL_BYTES, 0)
        at += page.length + page.compressed
    return ChunkPages(size, seen, shares, pages, unusual)


class _Page(NamedTuple):
    """`length` is the header's; `compressed`: bytes of the page as it is here."""

    kind: int
    length: int
    uncompressed: int
    compressed: int
    values: int
    encoding: int


def _page(body: bytes) -> _Page:
    """What begins with the body. `values` and `encoding` are 0 where the page's own header does not say them."""
    said, headers, length = fields_of(body, 0, _OWN_HEADERS)
    kind = said.get(_TYPE, -1)
    own = headers.get(_HEADERS.get(kind, -1), {})
    encoding = own.get(_ENCODING.get(kind, -1), 0)
    return _Page(kind, length, said.get(_UNCOMPRESSED, 0), said.get(_COMPRESSED, 0), own.get(_COUNT, 0), encoding)

"""PURE. What the headers of a column chunk's pages say (Apache Parquet: "parquet.thrift", PageHeader).

A decoder allocates what they say, and takes as many values as they say: the footer, which says both too, may say less.
"""

from dataclasses import dataclass

from tickhouse_core.thrift_compact import INTEGERS, STRUCT, behind, integer

_UNCOMPRESSED, _COMPRESSED, _DATA, _DATA_V2 = 2, 3, 5, 8
_COUNT = 1
_ENCODING_OF = {_DATA: 2, _DATA_V2: 4}
_DELTA_BYTE_ARRAY = 7

_USUAL_BYTES = 256
"""Of a header; nearly all have fewer."""

_MOST_BYTES = 16 * 1024**2
"""Of a header, as for parquet-cpp."""


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
    """Of the chunk that is `start` to `end` in the file and has so many values by the footer.

    As decoders do, it ends once the pages have those; the last page may have more. Raises ValueError or IndexError for
    headers that are broken.
    """
    at, size, seen, shares, pages, unusual = start, 0, 0, False, 0, 0
    while seen < values and at < end:
        try:
            length, uncompressed, compressed, count, encoding = _header(body[at : at + _USUAL_BYTES])
        except IndexError:
            length, uncompressed, compressed, count, encoding = _header(body[at : at + _MOST_BYTES])
        if min(uncompressed, compressed, count) < 0:
            raise ValueError(f"the page at byte {at} has sizes below 0")
        seen += count
        size += length + uncompressed
        shares = shares or encoding == _DELTA_BYTE_ARRAY
        pages += 1
        unusual += max(length - _USUAL_BYTES, 0)
        at += length + compressed
    return ChunkPages(size, seen, shares, pages, unusual)


def _header(body: bytes) -> tuple[int, int, int, int, int]:
    """Of what begins with it: its length, bytes of the page decompressed and as it is here, the page's values (0 for what is no
    data page) and their encoding. Of a field that is there twice the last one counts, as for decoders."""
    at = uncompressed = compressed = count = encoding = number = 0
    while head := body[at]:
        at, kind = at + 1, head & 15
        if head > 15:
            number += head >> 4
        else:
            number, at = integer(body, at)
        if number == _UNCOMPRESSED and kind in INTEGERS:
            uncompressed, at = integer(body, at)
        elif number == _COMPRESSED and kind in INTEGERS:
            compressed, at = integer(body, at)
        elif number in _ENCODING_OF and kind == STRUCT:
            count, encoding, at = _data_page(body, at, _ENCODING_OF[number])
        else:
            at = behind(body, at, kind)
    return at + 1, uncompressed, compressed, count, encoding


def _data_page(body: bytes, at: int, encoding_field: int) -> tuple[int, int, int]:
    count = encoding = number = 0
    while head := body[at]:
        at, kind = at + 1, head & 15
        if head > 15:
            number += head >> 4
        else:
            number, at = integer(body, at)
        if number == _COUNT and kind in INTEGERS:
            count, at = integer(body, at)
        elif number == encoding_field and kind in INTEGERS:
            encoding, at = integer(body, at)
        else:
            at = behind(body, at, kind)
    return count, encoding, at + 1

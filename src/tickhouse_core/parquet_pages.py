"""PURE. What the headers of a column chunk's pages say (Apache Parquet: "parquet.thrift", PageHeader).

A decoder allocates what they say, and takes as many values as they say: the footer, which says both too, may say less.
"""

from dataclasses import dataclass

from tickhouse_core.thrift_compact import fields_of

_TYPE, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""By the type of a page: the field with its own header. A header of another type's says nothing."""

_COUNT, _ENCODING = 1, {_DATA: 2, _DATA_V2: 4}
_DELTA_BYTE_ARRAY = 7
_TEXT_BYTES = 16
"""Of a text of a dictionary in the decoder, beside the text."""

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
            page = _page(body[at : at + _USUAL_BYTES])
        except IndexError:
            page = _page(body[at : at + _MOST_BYTES])
        if min(page.uncompressed, page.compressed, page.count) < 0:
            raise ValueError(f"the page at byte {at} has sizes below 0")
        if page.kind == _DICTIONARY:
            size += page.count * _TEXT_BYTES if page.count > page.uncompressed else 0
        else:
            seen += page.count
        size += page.length + page.uncompressed
        shares = shares or page.encoding == _DELTA_BYTE_ARRAY
        pages += 1
        unusual += max(page.length - _USUAL_BYTES, 0)
        at += page.length + page.compressed
    return ChunkPages(size, seen, shares, pages, unusual)


@dataclass(frozen=True, slots=True)
class _Page:
    """`length` is the header's; `compressed`: bytes of the page as it is here."""

    kind: int
    length: int
    uncompressed: int
    compressed: int
    count: int
    encoding: int


def _page(body: bytes) -> _Page:
    """What begins with the body. `count` and `encoding` are 0 where the page's own header does not say them."""
    said, headers, length = fields_of(body, 0)
    kind = said.get(_TYPE, -1)
    own: dict[int, int] = {}
    if (at := headers.get(_HEADERS.get(kind, -1))) is not None:
        own, _, _ = fields_of(body, at)
    encoding = own.get(_ENCODING.get(kind, -1), 0)
    return _Page(kind, length, said.get(_UNCOMPRESSED, 0), said.get(_COMPRESSED, 0), own.get(_COUNT, 0), encoding)

"""PURE. CRC-32 sums of a whole object, in its own footer: the checksums of Parquet's pages leave footer and page headers out.

A flipped bit in a footer's bounds leaves rows out, and one in a page header moves them, without a word. `tickhouse.crc32` is
32 hexadecimal digits: how many bytes lie before the footer (16), their sum (8), and the footer's (8), whose own last 8 digits
count as zeros. A tool that writes one of our files again may carry the text over: it says another length then, and nothing.
"""

from typing import Final
from zlib import crc32

KEY: Final = "tickhouse.crc32"
BLANK: Final = "0" * 32
_MARK = b"\x18\x0f" + KEY.encode() + b"\x18\x20"
"""Thrift's compact form of the key and of the length of its text."""

_TAIL = 8
"""Bytes behind the footer: its length, and `PAR1`."""


def footer_of(file: bytes | memoryview) -> bytes | memoryview:
    """The footer of a whole file; less of it, or nothing, where its length makes no sense."""
    size = int.from_bytes(file[-_TAIL:-4], "little")
    return file[max(len(file) - _TAIL - size, 0) : max(len(file) - _TAIL, 0)]


def with_sums(file: bytes | memoryview) -> bytes:
    """A file whose footer has KEY with BLANK, with the sums in its place."""
    whole = memoryview(file)
    footer = bytes(footer_of(whole))
    behind = len(whole) - _TAIL - len(footer)
    place = footer.rindex(_MARK) + len(_MARK)
    said = f"{behind:016x}{crc32(whole[:behind]):08x}".encode()
    footer = footer[:place] + said + footer[place + len(said) :]
    sum_of_footer = f"{crc32(footer):08x}".encode()
    return b"".join((whole[:behind], footer[: place + 24], sum_of_footer, footer[place + 32 :], whole[-_TAIL:]))  # one copy


def has_sums(footer: bytes | memoryview, size: int) -> bool:
    """Whether the footer says sums that are this file's, right or wrong."""
    return _place_of(bytes(footer), size) is not None


def is_damaged(footer: bytes | memoryview, size: int, file: bytes | memoryview | None = None) -> bool:
    """Whether a sum is wrong: of the footer, and where the whole `file` is given, of all before it. `size` is the file's.

    False for a file without sums.
    """
    text = bytes(footer)
    place = _place_of(text, size)
    if place is None:
        return False
    said, behind = text[place : place + 32], size - _TAIL - len(text)
    blank = text[: place + 24] + b"0" * 8 + text[place + 32 :]
    if said[24:] != f"{crc32(blank):08x}".encode():
        return True
    return file is not None and said[16:24] != f"{crc32(memoryview(file)[:behind]):08x}".encode()


def _place_of(footer: bytes, size: int) -> int | None:
    """Where the digits are; None where there are none, or those of another file."""
    place = footer.rfind(_MARK) + len(_MARK)
    is_there = place >= len(_MARK) and footer[place : place + 16] == f"{size - _TAIL - len(footer):016x}".encode()
    return place if is_there else None

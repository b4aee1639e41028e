"""A zip file of Binance's bulk archive: the lines of its one CSV, unpacked in blocks and bounded in every direction."""

import errno
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

_MOST_MEMBERS = 100
_MEMBER_MARK = b"PK\x01\x02"  # each member's entry in the zip's directory begins with it
_DIRECTORY_BYTES = 1024 * 1024
"""The directory is the end of the file; one that is longer has more members than are allowed."""

_BLOCK = 4 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IS_ENCRYPTED = 0x1

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, pa.ArrowException, ValueError, OverflowError)
"""What zipfile raises for bytes that are no zip file or not a whole one, and what parsing raises for other rows."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`header`: how a header line begins; `row_bytes`: the longest row; `rows`: what they are, for people."""

    header: re.Pattern[bytes]
    row_bytes: int
    rows: str


def blocks_of_lines(archive: IO[bytes], shape: Shape, most_rows: int) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time, without byte-order mark and header. Raises what is `UNREADABLE`."""
    archive.seek(0, 2)
    archive.seek(max(0, archive.tell() - _DIRECTORY_BYTES))
    if archive.read().count(_MEMBER_MARK) > _MOST_MEMBERS:
        raise ValueError(f"it holds more than {_MOST_MEMBERS} files")
    try:
        with zipfile.ZipFile(archive) as files, files.open(_csv_of(files)) as member:
            yield from _lines_of(member, shape, most_rows)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a full disk, or a broken one
            raise
        raise zipfile.BadZipFile("its beginning is missing") from error  # zipfile seeks to a place before the file


def in_one_line(error: Exception) -> str:
    """Parsers quote the file, which may have anything in it."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return " ".join(text.split())[:200] or type(error).__name__


def _csv_of(files: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The one CSV; other members (what macOS adds) are left alone. Raises ValueError for what cannot be unpacked."""
    tables = [info for info in files.infolist() if info.filename.endswith(".csv") and not info.filename.startswith("__MACOSX/")]
    if len(tables) != 1:
        raise ValueError(f"it holds {len(tables)} CSV files, not one")
    if tables[0].flag_bits & _IS_ENCRYPTED:
        raise ValueError("it is encrypted")
    if tables[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"it is compressed by method {tables[0].compress_type}, which the archive does not use")
    return tables[0]


def _lines_of(member: IO[bytes], shape: Shape, most_rows: int) -> Iterator[bytes]:
    rest, unpacked, most_bytes = b"", 0, most_rows * shape.row_bytes
    while block := member.read(_BLOCK):
        is_first = not unpacked
        unpacked += len(block)
        if unpacked > most_bytes:
            raise ValueError(f"it unpacks to more than {most_bytes:,} bytes, more than its period's {shape.rows}")
        block = rest + block
        if is_first:
            block = block.removeprefix(_BYTE_ORDER_MARK)
            block = block.partition(b"\n")[2] if shape.header.match(block) else block
        lines, newline, rest = block.rpartition(b"\n")
        if len(rest) > 2 * shape.row_bytes:
            raise ValueError(f"it has a line of more than {2 * shape.row_bytes} bytes")
        if lines.strip():
            yield lines + newline
    if rest.strip():
        yield rest

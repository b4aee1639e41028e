"""Binance's bulk archive of finished days and months (data.binance.vision): verified zip files as klines."""

import asyncio
import hashlib
import io
import logging
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from extract_process.ranges import Range, grid_of
from extract_process.venues.binance.klines import KLINE_COLUMNS, NAME, klines_table
from extract_process.venues.body_limit import BODY_LIMIT
from tickhouse_core.backoff import venue_requests
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import DAY_US, now_us

log = logging.getLogger(__name__)

_INTEGERS = ("open_time", "close_time", "trade_count")
_MONTHLY_ONLY = ("3d", "1w", "1M")  # these have monthly files only
_CHECKSUM_BYTES = 4_096
_PROOF_TRIES = 3
"""A file and its CHECKSUM are replaced one after the other; a pair that differs for longer than seconds is broken."""

_MOST_MEMBERS = 100
_MEMBER_MARK = b"PK\x01\x02"  # each member's entry in the zip's directory begins with it

_SPARE_ROWS = 1_000
"""Files repeat a few rows now and then; a file with more than this above its period's klines is refused."""

_ROW_BYTES = 256
"""The longest row there can be: twelve numbers of at most 19 digits before and 8 after the point, with their commas."""

_BLOCK = 4 * 1024 * 1024
_HEADER = re.compile(rb'"?open[ _]?time"?,', re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IS_ENCRYPTED = 0x1


class _Unproven(VenueUnavailable):
    """A file and its CHECKSUM do not belong together, at the moment."""


class BinanceArchive:
    """Async. None where a file is not published (HTTP 404), which proves nothing about the market.

    Errors, each with the file's name: VenueUnavailable when a file is still cut after all retries; VenueRefused for one that does
    not match its CHECKSUM three times, and at once for one without a CHECKSUM, or that is whole and cannot be read.
    """

    def __init__(self, client: httpx.AsyncClient, market: str = "spot", venue: str = NAME) -> None:
        """The client's base_url is the archive's; `market` is its folder of the venue: `spot`, `futures/um`, `futures/cm`."""
        self.requests = 0
        self._client = client
        self._market = market
        self._venue = venue

    async def fetch_month(self, symbol: str, interval: str, month: str) -> pa.Table | None:
        """All klines of a calendar month (`YYYY-MM`), in the file's order."""
        return await self._fetch(symbol, interval, month)

    async def fetch_day(self, symbol: str, interval: str, day: str) -> pa.Table | None:
        """All klines of a day (`YYYY-MM-DD`); None for intervals above one day, which have no daily files."""
        return None if interval in _MONTHLY_ONLY else await self._fetch(symbol, interval, day)

    async def publishes(self, symbol: str, interval: str, date: str) -> bool:
        """Whether there is a file of this month or day. Nothing of it is read."""
        if len(date) == _DAY_LENGTH and interval in _MONTHLY_ONLY:
            return False
        async for attempt in venue_requests():
            with attempt:
                return await self._is_there(_path_of(self._market, symbol, interval, date))
        raise AssertionError("tenacity re-raises the last error")

    async def _fetch(self, symbol: str, interval: str, date: str) -> pa.Table | None:
        path, most_rows = _path_of(self._market, symbol, interval, date), archive_rows(interval, date)
        unproven = 0
        async for attempt in venue_requests():
            with attempt:
                try:
                    archive = await self._download(path, most_rows * _ROW_BYTES // 2)
                except _Unproven as error:
                    unproven += 1
                    if unproven == _PROOF_TRIES:
                        raise VenueRefused(f"{error}, {_PROOF_TRIES} times") from error
                    raise
        if archive is None:
            return None
        named = {"venue": self._venue, "symbol": symbol, "interval": interval}
        return await asyncio.to_thread(parse_archive, archive, path, **named, most_rows=most_rows)

    async def _download(self, path: str, most_bytes: int) -> bytes | None:
        """The zip file, proven by the SHA-256 in the `.CHECKSUM` beside it (`<sha256>  <file name>`).

        Three different answers: None where there is no file, VenueRefused where only the CHECKSUM is missing,
        _Unproven where the two do not match or the file of a CHECKSUM is missing.
        """
        checksum = await self._get(f"{path}.CHECKSUM", _CHECKSUM_BYTES)
        if checksum is None:
            if await self._is_there(path):
                raise VenueRefused(f"{path} has no CHECKSUM beside it: a file that nothing proves is not taken")
            return None
        archive = await self._get(path, most_bytes)
        if archive is None:
            raise _Unproven(f"{path} is not there, although its CHECKSUM is")
        if checksum.lower().split()[:1] != [hashlib.sha256(archive).hexdigest().encode()]:
            raise _Unproven(f"{path}: {len(archive)} bytes do not match their CHECKSUM")
        return archive

    async def _get(self, path: str, most_bytes: int) -> bytes | None:
        self.requests += 1
        try:
            response = await self._client.get(path, extensions={BODY_LIMIT: most_bytes})
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        return response.content if _is_found(response, path) else None

    async def _is_there(self, path: str) -> bool:
        """By the status alone: the body is not read."""
        self.requests += 1
        try:
            async with self._client.stream("GET", path, extensions={BODY_LIMIT: sys.maxsize}) as response:
                return _is_found(response, path)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error


_DAY_LENGTH = len("2024-01-01")


def _path_of(market: str, symbol: str, interval: str, date: str) -> str:
    frequency, folder = "daily" if len(date) == _DAY_LENGTH else "monthly", "1mo" if interval == "1M" else interval
    return f"/data/{market}/{frequency}/klines/{quote(symbol)}/{folder}/{quote(symbol)}-{folder}-{date}.zip"


def archive_rows(interval: str, date: str) -> int:
    """The most rows that the file of a day (`YYYY-MM-DD`) or month (`YYYY-MM`) can have: its klines, and some."""
    days = 1 if len(date) == _DAY_LENGTH else 31
    return grid_of(interval).count(Range(0, days * DAY_US)) + _SPARE_ROWS


def _is_found(response: httpx.Response, path: str) -> bool:
    """False at 404. Raises what any other refusal stands for."""
    if response.status_code == httpx.codes.NOT_FOUND:
        return False
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise VenueUnavailable(f"{path} answered {response.status_code}")
    if not response.is_success:
        raise VenueRefused(f"{path} answered {response.status_code}")
    return True


def parse_archive(archive: bytes, path: str, *, symbol: str, interval: str, most_rows: int, venue: str = NAME) -> pa.Table:
    """The one CSV of a zip file as rows of the dataset klines; a byte-order mark and a header line are skipped.

    It is unpacked and parsed in blocks, and given up where it has more than `most_rows` rows or 256 bytes for each.
    Raises VenueRefused that begins with `path`: its CHECKSUM held, so that asking again would bring the same file.
    """
    tables, rows = [KLINES.schema.empty_table()], 0
    try:
        if archive.count(_MEMBER_MARK) > _MOST_MEMBERS:
            raise ValueError(f"it holds more than {_MOST_MEMBERS} files")
        with zipfile.ZipFile(io.BytesIO(archive)) as files, files.open(_csv_of(files)) as member:
            for lines in _blocks_of_lines(member, most_rows * _ROW_BYTES):
                columns = _read_csv(lines)
                rows += len(columns["open_time"])
                if rows > most_rows:
                    raise ValueError(f"it has more than {most_rows:,} rows, more klines than its period")
                named = {"venue": venue, "symbol": symbol, "interval": interval, "source": "archive"}
                tables.append(klines_table(columns, **named, receipt_time=now_us()))
    except _UNREADABLE as error:
        raise VenueRefused(f"{path} cannot be read: {_in_one_line(error)}") from error
    if not rows:
        raise VenueRefused(f"{path} has no kline in it")
    klines = pa.concat_tables(tables)
    if _contradicts_itself(klines):
        raise VenueRefused(f"{path} has one kline twice, with different values")
    return klines


_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, pa.ArrowException, ValueError, OverflowError)
"""What zipfile raises for bytes that are no zip file or not a whole one, and what parsing raises for other rows."""


def _in_one_line(error: Exception) -> str:
    """Parsers quote the file, which may have anything in it."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return " ".join(text.split())[:200] or type(error).__name__


def _contradicts_itself(klines: pa.Table) -> bool:
    """Whether rows of one open time differ; rows that are merely repeated do not matter."""
    times = pc.count_distinct(klines["open_time"]).as_py()
    if times == klines.num_rows:
        return False
    said = [name for name in klines.schema.names if name not in ("venue", "symbol", "interval", "source", "receipt_time")]
    return bool(klines.select(said).group_by(said).aggregate([]).num_rows > times)


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


def _blocks_of_lines(member: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time, without byte-order mark and header. Raises ValueError above `most_bytes`."""
    rest, unpacked = b"", 0
    while block := member.read(_BLOCK):
        is_first = not unpacked
        unpacked += len(block)
        if unpacked > most_bytes:
            raise ValueError(f"it unpacks to more than {most_bytes:,} bytes, more than its period's klines")
        block = rest + block
        if is_first:
            block = block.removeprefix(_BYTE_ORDER_MARK)
            block = block.partition(b"\n")[2] if _HEADER.match(block) else block
        lines, newline, rest = block.rpartition(b"\n")
        if len(rest) > 2 * _ROW_BYTES:
            raise ValueError(f"it has a line of more than {2 * _ROW_BYTES} bytes")
        if lines.strip():
            yield lines + newline
    if rest.strip():
        yield rest


def _read_csv(text: bytes) -> dict[str, pa.ChunkedArray]:
    """Numbers as the text they are."""
    types = {name: pa.int64() if name in _INTEGERS else pa.string() for name in KLINE_COLUMNS[:-1]}
    table = pyarrow.csv.read_csv(
        io.BytesIO(text),
        pyarrow.csv.ReadOptions(column_names=list(KLINE_COLUMNS)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return {name: table.column(name) for name in types}

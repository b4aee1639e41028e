"""Binance's bulk archive of finished days and months: verified zip files as klines, and those of trades."""

import asyncio
import io
import re
from typing import IO
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from extract_process.ranges import Range, grid_of
from extract_process.venues.api import TradeFile
from extract_process.venues.binance.archive_files import DAY_LENGTH, ArchiveFiles, folder_of
from extract_process.venues.binance.archive_trades import MOST_TRADE_BYTES, BinanceTradeFile, trades_path
from extract_process.venues.binance.archive_zip import UNREADABLE, Shape, blocks_of_lines, in_one_line
from extract_process.venues.binance.klines import KLINE_COLUMNS, NAME, klines_table
from tickhouse_core.datasets import KLINES, TRADES, Dataset
from tickhouse_core.errors import VenueRefused
from tickhouse_core.timestamps import DAY_US, now_us

_INTEGERS = ("open_time", "close_time", "trade_count")
_MONTHLY_ONLY = ("3d", "1w", "1M")  # these have monthly files only
_SPARE_ROWS = 1_000
"""Files repeat a few rows now and then; a file with more than this above its period's klines is refused."""

_ROW_BYTES = 256
"""The longest row there can be: twelve numbers of at most 19 digits before and 8 after the point, with their commas."""

_SHAPE = Shape(re.compile(rb'"?open[ _]?time"?,', re.IGNORECASE), _ROW_BYTES, "klines")


class BinanceArchive:
    """Async. None where a file is not published (HTTP 404), which proves nothing about the market.

    Errors, each with the file's name: VenueUnavailable when a file is still cut after all retries; VenueRefused for one that does
    not match its CHECKSUM three times, and at once for one without a CHECKSUM, or that is whole and cannot be read.
    """

    def __init__(self, client: httpx.AsyncClient, market: str = "spot", venue: str = NAME) -> None:
        """The client's base_url is the archive's; `market` is its folder of the venue: `spot`, `futures/um`, `futures/cm`."""
        self._files = ArchiveFiles(client)
        self._market = market
        self._venue = venue

    @property
    def requests(self) -> int:
        return self._files.requests

    async def fetch_month(self, symbol: str, interval: str, month: str) -> pa.Table | None:
        """All klines of a calendar month (`YYYY-MM`), in the file's order."""
        return await self._fetch(symbol, interval, month)

    async def fetch_day(self, symbol: str, interval: str, day: str) -> pa.Table | None:
        """All klines of a day (`YYYY-MM-DD`); None for intervals above one day, which have no daily files."""
        return None if interval in _MONTHLY_ONLY else await self._fetch(symbol, interval, day)

    async def fetch_trades(self, symbol: str, date: str, sink: IO[bytes], dataset: Dataset = TRADES) -> TradeFile | None:
        """The file of trades or aggregates (`dataset`) of a day or a calendar month, written into `sink`."""
        path = trades_path(self._market, symbol, date, dataset)
        digest = await self._files.download(path, sink, MOST_TRADE_BYTES)
        return None if digest is None else BinanceTradeFile(sink, path, digest, self._venue, symbol, date, dataset)

    async def publishes(self, symbol: str, interval: str, date: str) -> bool:
        """Whether there is a file of this month or day. Nothing of it is read."""
        if len(date) == DAY_LENGTH and interval in _MONTHLY_ONLY:
            return False
        return await self._files.publishes(_path_of(self._market, symbol, interval, date))

    async def _fetch(self, symbol: str, interval: str, date: str) -> pa.Table | None:
        path, most_rows = _path_of(self._market, symbol, interval, date), archive_rows(interval, date)
        archive = await self._files.read(path, most_rows * _ROW_BYTES // 2)
        if archive is None:
            return None
        named = {"venue": self._venue, "symbol": symbol, "interval": interval}
        return await asyncio.to_thread(parse_archive, archive, path, **named, most_rows=most_rows)


def _path_of(market: str, symbol: str, interval: str, date: str) -> str:
    folder = "1mo" if interval == "1M" else interval
    return f"{folder_of(market, 'klines', symbol, date)}/{folder}/{quote(symbol)}-{folder}-{date}.zip"


def archive_rows(interval: str, date: str) -> int:
    """The most rows that the file of a day (`YYYY-MM-DD`) or month (`YYYY-MM`) can have: its klines, and some."""
    days = 1 if len(date) == DAY_LENGTH else 31
    return grid_of(interval).count(Range(0, days * DAY_US)) + _SPARE_ROWS


def parse_archive(archive: bytes, path: str, *, symbol: str, interval: str, most_rows: int, venue: str = NAME) -> pa.Table:
    """The one CSV of a zip file as rows of the dataset klines; a byte-order mark and a header line are skipped.

    It is unpacked and parsed in blocks, and given up where it has more than `most_rows` rows or 256 bytes for each.
    Raises VenueRefused that begins with `path`: its CHECKSUM held, so that asking again would bring the same file.
    """
    tables, rows = [KLINES.schema.empty_table()], 0
    try:
        for lines in blocks_of_lines(io.BytesIO(archive), _SHAPE, most_rows):
            columns = _read_csv(lines)
            rows += len(columns["open_time"])
            if rows > most_rows:
                raise ValueError(f"it has more than {most_rows:,} rows, more klines than its period")
            named = {"venue": venue, "symbol": symbol, "interval": interval, "source": "archive"}
            tables.append(klines_table(columns, **named, receipt_time=now_us()))
    except UNREADABLE as error:
        raise VenueRefused(f"{path} cannot be read: {in_one_line(error)}") from error
    if not rows:
        raise VenueRefused(f"{path} has no kline in it")
    klines = pa.concat_tables(tables)
    if _contradicts_itself(klines):
        raise VenueRefused(f"{path} has one kline twice, with different values")
    return klines


def _contradicts_itself(klines: pa.Table) -> bool:
    """Whether rows of one open time differ; rows that are merely repeated do not matter."""
    times = pc.count_distinct(klines["open_time"]).as_py()
    if times == klines.num_rows:
        return False
    said = [name for name in klines.schema.names if name not in ("venue", "symbol", "interval", "source", "receipt_time")]
    return bool(klines.select(said).group_by(said).aggregate([]).num_rows > times)


def _read_csv(text: bytes) -> dict[str, pa.ChunkedArray]:
    """Numbers as the text they are."""
    types = {name: pa.int64() if name in _INTEGERS else pa.string() for name in KLINE_COLUMNS[:-1]}
    table = pyarrow.csv.read_csv(
        io.BytesIO(text),
        pyarrow.csv.ReadOptions(column_names=list(KLINE_COLUMNS)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return {name: table.column(name) for name in types}

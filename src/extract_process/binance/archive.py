"""Binance's bulk archive of finished days and months (data.binance.vision): verified zip files as klines."""

import hashlib
import io
import logging
import zipfile
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.csv

from extract_process.binance.messages import KLINE_COLUMNS, klines_table
from tickhouse_core.errors import VenueRefused, VenueUnavailable
from tickhouse_core.retrying import venue_requests
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

_INTEGERS = ("open_time", "close_time", "trade_count")
_MONTHLY_ONLY = ("3d", "1w", "1M")  # these have monthly files only


class BinanceArchive:
    """Async. None where a file is not published (HTTP 404), which proves nothing about the market.

    Errors: VenueUnavailable when a file is still cut or fails its CHECKSUM after all retries, VenueRefused.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        """The client's base_url is the archive's."""
        self.requests = 0
        self._client = client

    async def fetch_month(self, symbol: str, interval: str, month: str) -> pa.Table | None:
        """All klines of a calendar month (`YYYY-MM`), by open time."""
        return await self._fetch("monthly", symbol, interval, month)

    async def fetch_day(self, symbol: str, interval: str, day: str) -> pa.Table | None:
        """All klines of a day (`YYYY-MM-DD`); None for intervals above one day, which have no daily files."""
        return None if interval in _MONTHLY_ONLY else await self._fetch("daily", symbol, interval, day)

    async def _fetch(self, frequency: str, symbol: str, interval: str, date: str) -> pa.Table | None:
        folder = "1mo" if interval == "1M" else interval
        path = f"/data/spot/{frequency}/klines/{quote(symbol)}/{folder}/{quote(symbol)}-{folder}-{date}.zip"
        async for attempt in venue_requests():
            with attempt:
                archive = await self._download(path)
                return None if archive is None else parse_archive(archive, symbol=symbol, interval=interval)
        raise AssertionError("tenacity re-raises the last error")

    async def _download(self, path: str) -> bytes | None:
        """The zip file, proven by the SHA-256 in the `.CHECKSUM` beside it (`<sha256>  <file name>`)."""
        checksum = await self._get(f"{path}.CHECKSUM")
        archive = await self._get(path) if checksum is not None else None
        if checksum is None or archive is None:
            return None
        if checksum.split()[:1] != [hashlib.sha256(archive).hexdigest().encode()]:
            raise VenueUnavailable(f"{path}: {len(archive)} bytes do not match their CHECKSUM")
        return archive

    async def _get(self, path: str) -> bytes | None:
        self.requests += 1
        try:
            response = await self._client.get(path)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise VenueUnavailable(f"{path} answered {response.status_code}")
        if not response.is_success:
            raise VenueRefused(f"{path} answered {response.status_code}")
        return response.content


def parse_archive(archive: bytes, *, symbol: str, interval: str) -> pa.Table:
    """The one CSV of a zip file as rows of the dataset klines; a header line is recognised and skipped.

    Raises VenueUnavailable where it cannot be read (a file that is being replaced).
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            text = files.read(files.namelist()[0])
        body = text if text[:1].isdigit() else text.partition(b"\n")[2]
        return klines_table(_read_csv(body), symbol=symbol, interval=interval, source="archive", receipt_time=now_us())
    except (zipfile.BadZipFile, IndexError, pa.ArrowException, ValueError) as error:
        raise VenueUnavailable(f"archive of {symbol} {interval} cannot be read: {error}") from error


def _read_csv(text: bytes) -> dict[str, pa.ChunkedArray]:
    """Numbers as the text they are; an empty file has no columns and raises ArrowInvalid."""
    types = {name: pa.int64() if name in _INTEGERS else pa.string() for name in KLINE_COLUMNS[:-1]}
    table = pyarrow.csv.read_csv(
        io.BytesIO(text),
        pyarrow.csv.ReadOptions(column_names=list(KLINE_COLUMNS)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return {name: table.column(name) for name in types}

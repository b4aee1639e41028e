"""The bulk archive's klines: finished days and months as zip files with a CHECKSUM, rows equal to REST's.

One CSV per zip without a header, "microseconds (16 digits) from 2025-01-01 on, milliseconds before"; the month interval is
spelled `1mo` here; 3d, 1w and 1mo come in monthly files only; no symbol, no rows or not finished yet is a 404.
"""

import io
import re
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import DAY, HOUR, INTERVALS, Interval
from simulated_exchange.market.klines import KlineQuery, KlineSource, TimeUnit
from simulated_exchange.server.faults import FaultKind

MICROSECONDS_SINCE = 1_735_689_600_000  # 2025-01-01

SPOT = "/data/spot/"

_PATH = re.compile(
    r"(?P<period>daily|monthly)/klines/(?P<symbol>[^/]+)/(?P<interval>[^/]+)"
    r"/(?P=symbol)-(?P=interval)-(?P<date>\d{4}-\d\d(?:-\d\d)?)\.zip(?P<checksum>\.CHECKSUM)?"
)
_HEADER = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
_CLOSE = 4
_ALL_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """Which file a path names: open times in [start, end), milliseconds."""

    symbol: str
    interval: Interval
    start: int
    end: int
    name: str
    wants_checksum: bool


def parse_archive_path(path: str, folder: str = SPOT) -> ArchiveFile | None:
    """The file behind a (percent-decoded) path, with or without `.CHECKSUM`; None if the folder has no such path."""
    match = _PATH.fullmatch(path.removeprefix(folder)) if path.startswith(folder) else None
    if not match:
        return None
    interval = _interval(match["interval"])
    period = period_of(match["period"], match["date"])
    if not interval or not period or (match["period"] == "daily" and not 0 < interval.length <= DAY):
        return None
    name = f"{match['symbol']}-{match['interval']}-{match['date']}"
    return ArchiveFile(match["symbol"], interval, *period, name, bool(match["checksum"]))


class Archive:
    """Builds files on demand and keeps the last few, since a zip and its CHECKSUM are two requests."""

    def __init__(self, source: KlineSource, *, is_spot: bool = True) -> None:
        """Files of futures have a header, and milliseconds at all times."""
        self._source = source
        self._is_spot = is_spot
        self._zip = lru_cache(maxsize=8)(self._build)

    def read(self, file: ArchiveFile, now: int, faults: frozenset[FaultKind] = frozenset()) -> bytes | None:
        """The bytes of the zip or of its CHECKSUM; None if there is no such file at `now` (milliseconds)."""
        if file.symbol not in self._source.instruments or file.end > now:
            return None
        last = min(file.end, file.interval.floor(now)) - 1
        if FaultKind.ARCHIVE_MISSING_ROWS in faults:
            last = min(last, file.end - HOUR - 1)
        content: bytes | None = self._zip(replace(file, wants_checksum=False), last, faults)
        if content is None:
            return None
        return checksum_of(content, file.name, faults) if file.wants_checksum else as_sent(content, faults)

    def _build(self, file: ArchiveFile, last: int, faults: frozenset[FaultKind]) -> bytes | None:
        unit = TimeUnit.MICROSECOND if self._is_spot and file.start >= MICROSECONDS_SINCE else TimeUnit.MILLISECOND
        closed = file.interval.next_open(file.interval.floor(last))
        query = KlineQuery(file.symbol, file.interval, file.start, last, _ALL_ROWS, False, now=closed, unit=unit)
        rows = self._source.rows(query)
        if not rows:
            return None
        lines = rows[1:-1].replace(b'"', b"").split(b"],[")
        if FaultKind.ARCHIVE_DIFFERS in faults:
            _change_one_close(lines, self._source.instruments[file.symbol])
        header = [] if self._is_spot else [_HEADER]
        return zipped(f"{file.name}.csv", b"\n".join([*header, *lines]) + b"\n")


def _interval(text: str) -> Interval | None:
    return INTERVALS["1M"] if text == "1mo" else INTERVALS.get(text) if text != "1M" else None


def period_of(period: str, date: str) -> tuple[int, int] | None:
    try:
        first = datetime.strptime(date, "%Y-%m-%d" if period == "daily" else "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    start = int(first.timestamp()) * 1000
    return start, INTERVALS["1d" if period == "daily" else "1M"].next_open(start)


def _change_one_close(lines: list[bytes], instrument: Instrument) -> None:
    """Moves the close of the middle row by one tick, inside low and high where there is room."""
    cells = lines[len(lines) // 2].decode().split(",")
    tick = Decimal(1).scaleb(-instrument.tick_decimals)
    close, low = Decimal(cells[_CLOSE]), Decimal(cells[_CLOSE - 1])
    cells[_CLOSE] = f"{close - tick if close > low else close + tick:.8f}"
    lines[len(lines) // 2] = ",".join(cells).encode()


def zipped(name: str, content: bytes) -> bytes:
    """The same rows are always the same bytes: the entry carries a fixed date."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def checksum_of(content: bytes, name: str, faults: frozenset[FaultKind]) -> bytes:
    """`<sha256>  <file>.zip`, as `sha256sum -c` reads it."""
    content = content if FaultKind.ARCHIVE_BAD_CHECKSUM not in faults else content[::-1]
    return f"{sha256(content).hexdigest()}  {name}.zip\n".encode()


def as_sent(content: bytes, faults: frozenset[FaultKind]) -> bytes:
    return content[: len(content) // 2] if FaultKind.ARCHIVE_TRUNCATED in faults else content

"""Binance's files of trades: both units of time, with a header and without, and what is refused."""

import hashlib
import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest

from extract_process.spool.limits import DISK_RESERVE_BYTES
from extract_process.venues.binance import archive_files
from extract_process.venues.binance.archive import BinanceArchive
from extract_process.venues.binance.archive_trades import BinanceTradeFile, trades_path
from tickhouse_core.datasets import AGG_TRADES
from tickhouse_core.errors import VenueRefused
from tickhouse_core.timestamps import parse_instant

US = parse_instant("2025-03-09T12:00")
MS = parse_instant("2024-03-09T12:00") // 1_000
# The columns are those of https://github.com/binance/binance-public-data; the rows are made up.
SPOT_US = f"51175358,17.80180000,5.69000000,101.29224200,{US},True,True\n51175359,17.8,1,17.8,{US + 1},False,True\n".encode()
SPOT_MS = f"51175358,17.80180000,5.69000000,101.29224200,{MS},True,True\n".encode()
USDM = f"id,price,qty,quote_qty,time,is_buyer_maker\n28457,4.00000100,12.00000000,48.00,{MS},true\n".encode()
COINM = f"id,price,qty,base_qty,time,is_buyer_maker\n28457,9635.0,1,0.01037883,{MS},false\n".encode()


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-trades.csv", content)
    return sink.getvalue()


def file_of(content: bytes, date: str) -> BinanceTradeFile:
    path = trades_path("spot", "BTCUSDT", date)
    return BinanceTradeFile(io.BytesIO(zipped(content)), path, "ab", "binance", "BTCUSDT", date)


@pytest.mark.parametrize(
    ("content", "date", "row"),
    [
        (SPOT_US, "2025-03-09", (51175358, Decimal("17.8018"), Decimal("5.69"), True, US)),
        (SPOT_MS, "2024-03-09", (51175358, Decimal("17.8018"), Decimal("5.69"), True, MS * 1_000)),
        (SPOT_MS, "2024-03", (51175358, Decimal("17.8018"), Decimal("5.69"), True, MS * 1_000)),
        (USDM, "2024-03-09", (28457, Decimal("4.000001"), Decimal(12), True, MS * 1_000)),
        (USDM.partition(b"\n")[2], "2024-03-09", (28457, Decimal("4.000001"), Decimal(12), True, MS * 1_000)),
        (b"\xef\xbb\xbf" + COINM, "2024-03-09", (28457, Decimal("9635.0"), Decimal(1), False, MS * 1_000)),
    ],
)
def test_row_is_a_trade_in_microseconds(content: bytes, date: str, row: tuple[object, ...]) -> None:
    (table,) = file_of(content, date).tables()
    first = table.to_pylist()[0]
    assert (first["venue"], first["symbol"]) == ("binance", "BTCUSDT")
    assert tuple(first[name] for name in ("trade_id", "price", "quantity", "is_buyer_maker")) == row[:4]
    assert round(first["trade_time"].timestamp() * 1_000_000) == row[4]
    assert first["event_time"] == first["trade_time"], "no message said it"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (SPOT_US.replace(b"17.80180000", b"17.80e99"), "cannot be read"),
        (SPOT_US.replace(b"17.80180000", b"-17.80"), "price -17.8.* is negative"),
        (SPOT_US.replace(b"True,True", b"maybe,True"), "cannot be read"),
        (SPOT_US.replace(b",5.69000000", b""), "cannot be read"),
        (SPOT_MS, "it has trades of another time: 2024-03-09"),
        (b"", "has no trade in it"),
        (USDM.partition(b"\n")[0] + b"\n", "has no trade in it"),
    ],
)
def test_file_that_cannot_be_read_is_refused_with_its_name(content: bytes, why: str) -> None:
    with pytest.raises(VenueRefused, match=f"/BTCUSDT-trades-2025-03-09.zip .*{why}"):
        list(file_of(content, "2025-03-09").tables())


AGG_SPOT_US = f"26129,0.01633102,4.70443515,27781,27783,{US},True,True\n26130,0.0163,1,27784,27784,{US + 1},False,True\n".encode()
AGG_SPOT_MS = f"26129,0.01633102,4.70443515,27781,27783,{MS},True,True\n".encode()
AGG_FUTURES = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    f"26129,0.01633102,4.70443515,27781,27783,{MS},true\n"
).encode()
AGG_ROW = (26129, Decimal("0.01633102"), Decimal("4.70443515"), 27781, 27783, True)


def aggregates_of(content: bytes, date: str) -> BinanceTradeFile:
    path = trades_path("spot", "BTCUSDT", date, AGG_TRADES)
    return BinanceTradeFile(io.BytesIO(zipped(content)), path, "ab", "binance", "BTCUSDT", date, AGG_TRADES)


@pytest.mark.parametrize(
    ("content", "date", "at"),
    [
        (AGG_SPOT_US, "2025-03-09", US),
        (AGG_SPOT_MS, "2024-03-09", MS * 1_000),
        (AGG_FUTURES, "2024-03", MS * 1_000),
        (AGG_FUTURES.partition(b"\n")[2], "2024-03-09", MS * 1_000),
    ],
)
def test_row_of_aggregates_is_in_microseconds(content: bytes, date: str, at: int) -> None:
    (table,) = aggregates_of(content, date).tables()
    first = table.to_pylist()[0]
    names = ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "is_buyer_maker")
    assert tuple(first[name] for name in names) == AGG_ROW
    assert table["trade_time"].cast("int64")[0].as_py() == at
    assert trades_path("futures/um", "BTCUSDT", "2024-03", AGG_TRADES) == (
        "/data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-03.zip"
    )


def test_placeholder_is_no_aggregate_and_one_that_ends_before_its_first_trade_is_refused() -> None:
    (table,) = aggregates_of(f"26128,0,0,-1,-1,{US},True,True\n".encode() + AGG_SPOT_US, "2025-03-09").tables()
    assert table["agg_trade_id"].to_pylist() == [26129, 26130]
    with pytest.raises(VenueRefused, match="an aggregate ends before its first trade"):
        list(aggregates_of(AGG_SPOT_US.replace(b"27781,27783", b"27783,27781"), "2025-03-09").tables())


def test_row_without_a_price_is_no_trade() -> None:
    (table,) = file_of(SPOT_US.replace(b"17.80180000", b"0.00000000"), "2025-03-09").tables()
    assert table["trade_id"].to_pylist() == [51175359]


async def test_file_larger_than_memory_is_read_in_blocks() -> None:
    """A million trades, 70 MB of text: more do not need more memory."""
    lines = "".join(f"{number},17.80180000,5.69000000,101.29224200,{US + number},True,True\n" for number in range(1_000_000))
    content = zipped(lines.encode())
    checksum = f"{hashlib.sha256(content).hexdigest()}  BTCUSDT-trades-2025-03-09.zip\n".encode()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=checksum if request.url.path.endswith(".CHECKSUM") else content)

    archive = BinanceArchive(httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://archive.test"))
    with tempfile.TemporaryFile() as sink:
        file = await archive.fetch_trades("BTCUSDT", "2025-03-09", sink)
        assert file is not None
        tracemalloc.start()
        rows = sum(table.num_rows for table in file.tables())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert rows == 1_000_000
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert peak < 40_000_000 < len(lines)


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}], ids=["of a known length", "of an unknown one"])
async def test_a_file_takes_no_room_that_recorders_need(headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders stop channels where the disk is nearly full."""
    content = zipped(SPOT_US)
    checksum = f"{hashlib.sha256(content).hexdigest()}  BTCUSDT-trades-2025-03-09.zip\n".encode()

    def answer(request: httpx.Request) -> httpx.Response:
        is_proof = request.url.path.endswith(".CHECKSUM")
        return httpx.Response(200, content=checksum if is_proof else iter_of(content) if headers else content, headers=headers)

    async def iter_of(body: bytes) -> AsyncIterator[bytes]:
        yield body

    archive = BinanceArchive(httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://archive.test"))
    assert archive_files.ROOM_BYTES >= 2 * DISK_RESERVE_BYTES
    monkeypatch.setattr(archive_files, "ROOM_BYTES", 1 << 60)
    with tempfile.TemporaryFile() as sink:
        with pytest.raises(VenueRefused, match=r"-2025-03-09\.zip has no room on the disk of SPOOL_DIR: \d+ MB are free"):
            await archive.fetch_trades("BTCUSDT", "2025-03-09", sink)
        assert sink.tell() == 0


def test_a_file_on_disk_whose_beginning_is_missing_is_refused() -> None:
    """A real file refuses to be read before its beginning with OSError, where a buffer in memory raises ValueError."""
    with tempfile.TemporaryFile() as disk:
        disk.write(zipped(SPOT_US)[30:])
        file = BinanceTradeFile(disk, trades_path("spot", "BTCUSDT", "2025-03-09"), "ab", "binance", "BTCUSDT", "2025-03-09")
        with pytest.raises(VenueRefused, match="its beginning is missing"):
            list(file.tables())

import hashlib
import io
import zipfile
from decimal import Decimal

import httpx
import pyarrow as pa
import pytest

from extract_process.binance.archive import BinanceArchive, parse_archive
from tickhouse_core.errors import VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import MINUTE_US, now_us

OPEN_MS = 1_733_011_200_000  # 2024-12-01
OPEN_US = 1_735_689_600_000_000  # 2025-01-01
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
VALUES = "42283.58000000,42298.62000000,42261.02000000,42298.61000000,35.92724000"
MORE = "1519032.17423080,1327,23.18766000,980394.59280420,0"
MILLISECONDS = f"{OPEN_MS},{VALUES},{OPEN_MS + 59_999},{MORE}\n{OPEN_MS + 60_000},{VALUES},{OPEN_MS + 119_999},{MORE}\n"
MICROSECONDS = f"{OPEN_US},{VALUES},{OPEN_US + 59_999_999},{MORE}\n"
MONTH = "/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12.zip"
DAY = "/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12-01.zip"


def zipped(text: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("BTCUSDT-1m-2024-12.csv", text)
    return sink.getvalue()


def checksum(body: bytes, name: str = "BTCUSDT-1m-2024-12.zip") -> bytes:
    return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()


class Files:
    """A file server: a path's answers one after the other, the last one again and again; 404 for the rest."""

    def __init__(self, files: dict[str, list[bytes | int | Exception]]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode("ascii")
        self.asked.append(path)
        answers = self.files.get(path, [404])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, content=answer)

    def archive(self) -> BinanceArchive:
        return BinanceArchive(httpx.AsyncClient(transport=httpx.MockTransport(self), base_url="https://archive.test"))


def published(path: str, text: str) -> dict[str, list[bytes | int | Exception]]:
    body = zipped(text)
    return {path: [body], f"{path}.CHECKSUM": [checksum(body)]}


def parse(text: str) -> pa.Table:
    return parse_archive(zipped(text), symbol="BTCUSDT", interval="1m")


def test_a_row_of_the_archive_is_a_kline_with_exact_decimals() -> None:
    table = parse(MILLISECONDS)
    assert table.num_rows == 2
    row = table.slice(0, 1).to_pylist()[0]
    decimals = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]
    assert [row[name] for name in decimals] == [
        *(Decimal("42283.58"), Decimal("42298.62"), Decimal("42261.02"), Decimal("42298.61"), Decimal("35.92724")),
        *(Decimal("1519032.17423080"), Decimal("23.18766"), Decimal("980394.5928042")),
    ]
    rest = [row[name] for name in ("venue", "symbol", "interval", "trade_count", "is_closed", "source")]
    assert rest == ["binance", "BTCUSDT", "1m", 1327, True, "archive"]
    assert abs(table["receipt_time"][0].value - now_us()) < MINUTE_US


@pytest.mark.parametrize(
    ("text", "open_time", "close_time"),
    [
        (MILLISECONDS, OPEN_MS * 1_000, OPEN_MS * 1_000 + 59_999_000),
        (MICROSECONDS, OPEN_US, OPEN_US + 59_999_000),
    ],
    ids=["ms", "us"],
)
def test_instants_of_either_unit_are_the_same_instants(text: str, open_time: int, close_time: int) -> None:
    table = parse(text)
    assert (table["open_time"][0].value, table["close_time"][0].value) == (open_time, close_time)


def test_a_header_line_is_skipped() -> None:
    without = ["open_time", "open", "trade_count"]
    assert parse(f"{HEADER}\n{MILLISECONDS}").select(without).equals(parse(MILLISECONDS).select(without))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"not a zip file",
        zipped(MILLISECONDS)[:-30],
        zipped("1,2,3\n"),
        zipped(f"{OPEN_MS},abc{MILLISECONDS[len(str(OPEN_MS)) + 2 :]}"),
        zipped(""),
    ],
    ids=["nothing", "no zip", "cut", "three columns", "no number", "empty"],
)
def test_a_file_that_cannot_be_read_is_asked_for_again(broken: bytes) -> None:
    with pytest.raises(VenueUnavailable, match=r"^archive of BTCUSDT 1m cannot be read: "):
        parse_archive(broken, symbol="BTCUSDT", interval="1m")


def test_a_zip_file_without_files_is_asked_for_again() -> None:
    sink = io.BytesIO()
    zipfile.ZipFile(sink, "w").close()
    with pytest.raises(VenueUnavailable):
        parse_archive(sink.getvalue(), symbol="BTCUSDT", interval="1m")


async def test_a_month_is_fetched_and_proven_by_its_checksum() -> None:
    files = Files(published(MONTH, MILLISECONDS))
    archive = files.archive()
    table = await archive.fetch_month("BTCUSDT", "1m", "2024-12")
    assert table is not None
    assert table.num_rows == 2
    assert files.asked == [f"{MONTH}.CHECKSUM", MONTH]
    assert archive.requests == 2


async def test_a_day_is_fetched() -> None:
    table = await Files(published(DAY, MILLISECONDS)).archive().fetch_day("BTCUSDT", "1m", "2024-12-01")
    assert table is not None
    assert table.num_rows == 2


@pytest.mark.parametrize(
    ("symbol", "interval", "path"),
    [
        ("BTCUSDT", "1M", "/data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-12.zip"),
        ("BTCUSDT", "1m", "/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12.zip"),
        (
            "币安人生USDT",
            "1d",
            "/data/spot/monthly/klines/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT/1d/"
            "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT-1d-2024-12.zip",
        ),
    ],
)
async def test_a_path_is_spelled_as_the_archive_spells_it(symbol: str, interval: str, path: str) -> None:
    files = Files(published(path, MILLISECONDS))
    assert await files.archive().fetch_month(symbol, interval, "2024-12") is not None
    assert files.asked == [f"{path}.CHECKSUM", path]


async def test_a_file_that_is_not_published_is_none_and_not_asked_for_again() -> None:
    files = Files({})
    assert await files.archive().fetch_month("BTCUSDT", "1m", "2024-12") is None
    assert files.asked == [f"{MONTH}.CHECKSUM"]


@pytest.mark.parametrize("interval", ["3d", "1w", "1M"])
async def test_intervals_above_a_day_have_no_daily_files_to_ask_for(interval: str) -> None:
    files = Files({})
    assert await files.archive().fetch_day("BTCUSDT", interval, "2024-12-01") is None
    assert files.asked == []


async def test_a_file_that_does_not_match_its_checksum_is_fetched_again() -> None:
    good = zipped(MILLISECONDS)
    files = Files({MONTH: [good[:-1], good], f"{MONTH}.CHECKSUM": [checksum(good)]})
    table = await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert table is not None
    assert len(files.asked) == 4


@pytest.mark.parametrize("said", [b"", b"\n", b"0" * 64 + b"  BTCUSDT-1m-2024-12.zip\n", b"<html></html>"])
async def test_a_file_that_never_matches_its_checksum_is_given_up_after_eight_tries(said: bytes) -> None:
    files = Files({MONTH: [zipped(MILLISECONDS)], f"{MONTH}.CHECKSUM": [said]})
    with pytest.raises(VenueUnavailable, match=r"bytes do not match their CHECKSUM$"):
        await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert files.asked.count(MONTH) == 8


@pytest.mark.parametrize("trouble", [500, 503, 429, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")])
async def test_passing_trouble_is_asked_again(trouble: int | Exception) -> None:
    good = zipped(MILLISECONDS)
    files = Files({MONTH: [trouble, good], f"{MONTH}.CHECKSUM": [trouble, checksum(good)]})
    table = await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert table is not None
    assert table.num_rows == 2


async def test_a_refusal_is_not_asked_again() -> None:
    files = Files({f"{MONTH}.CHECKSUM": [403]})
    with pytest.raises(VenueRefused, match=r"CHECKSUM answered 403$"):
        await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert len(files.asked) == 1

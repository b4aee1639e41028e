import hashlib
import io
import tracemalloc
import zipfile
from decimal import Decimal

import httpx
import pyarrow as pa
import pytest

from extract_process.venues.binance.archive import BinanceArchive, archive_rows, parse_archive
from tickhouse_core.errors import VenueRefused
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
    return parse_body(zipped(text))


def parse_body(body: bytes) -> pa.Table:
    return parse_archive(body, MONTH, symbol="BTCUSDT", interval="1m", most_rows=1_000)


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


def test_a_byte_order_mark_costs_no_kline() -> None:
    """With a header line and without one."""
    expected = parse(MILLISECONDS).drop_columns("receipt_time")
    for text in (f"\ufeff{MILLISECONDS}", f"\ufeff{HEADER}\n{MILLISECONDS}", MILLISECONDS.replace("\n", "\r\n")):
        assert parse(text).drop_columns("receipt_time").equals(expected)


def test_rows_of_either_unit_in_one_file_and_exponents_are_exact() -> None:
    mixed = parse(MILLISECONDS + MICROSECONDS.replace(VALUES, "1e5,42298.62,1E-8,1,2"))
    assert [time.value for time in mixed["open_time"]] == [OPEN_MS * 1_000, (OPEN_MS + 60_000) * 1_000, OPEN_US]
    assert (mixed["open"][2].as_py(), mixed["low"][2].as_py()) == (Decimal(100_000), Decimal("0.00000001"))


def test_oddities_that_venues_do_have_are_kept() -> None:
    """Off the grid, closed early, and closed as it opened."""
    row = parse(f"{OPEN_MS + 7},{VALUES},{OPEN_MS + 7},{MORE}\n").to_pylist()[0]
    assert row["open_time"] == row["close_time"]
    assert row["open_time"].microsecond == 7_000


PLACES = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}


@pytest.mark.parametrize("column", PLACES)
def test_an_exponent_is_exact_in_every_column_and_row(column: str) -> None:
    """In capitals or not, of any sign, beside numbers without one."""
    written = ["4.226102e4", "42261.02", "4226102E-2", "0.4226102e+05", "42261020000e-06"]
    rows = [with_cell(PLACES[column], text).replace(str(OPEN_MS), str(OPEN_MS + at)) for at, text in enumerate(written)]
    table = parse("".join(rows))
    assert table[column].to_pylist() == [Decimal("42261.02")] * len(written)
    others = [name for name in PLACES if name != column]
    assert table.select(others).to_pylist() == parse(MILLISECONDS).select(others).to_pylist()[:1] * len(written)


def test_a_file_in_several_blocks_has_every_row() -> None:
    """Whatever the size of a block: a month of 1s klines comes in about a hundred."""
    rows = [f"{OPEN_MS + 1_000 * at},{VALUES},{OPEN_MS + 1_000 * at + 999},{MORE}\n" for at in range(60_000)]
    table = parse_archive(zipped(HEADER + "\n" + "".join(rows)), MONTH, symbol="BTCUSDT", interval="1s", most_rows=60_000)
    assert [time.value for time in table["open_time"]] == [(OPEN_MS + 1_000 * at) * 1_000 for at in range(60_000)]


def test_members_that_are_no_csv_are_left_alone() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as files:
        files.writestr("__MACOSX/._BTCUSDT-1m-2024-12.csv", b"junk")
        files.writestr("BTCUSDT-1m-2024-12.csv", MILLISECONDS)
    assert parse_body(sink.getvalue()).num_rows == 2


def patched(body: bytes, *changes: tuple[int, int]) -> bytes:
    """A zip with bytes of its headers replaced."""
    changed = bytearray(body)
    for at, value in changes:
        changed[at] = value
    return bytes(changed)


def with_cell(place: int, value: str) -> str:
    cells = MILLISECONDS.split("\n")[0].split(",")
    cells[place] = value
    return ",".join(cells) + "\n"


GOOD = zipped(MILLISECONDS)
DIRECTORY = GOOD.find(b"PK\x01\x02")
MANY_MEMBERS = io.BytesIO()
with zipfile.ZipFile(MANY_MEMBERS, "w") as many:
    for number in range(200):
        many.writestr(f"{number}.txt", b"")
TWO_TABLES = io.BytesIO()
with zipfile.ZipFile(TWO_TABLES, "w") as two:
    two.writestr("a.csv", MILLISECONDS)
    two.writestr("b.csv", MILLISECONDS)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"", "not a zip file"),
        (b"not a zip file", "not a zip file"),
        (GOOD[:-30], "not a zip file"),
        (patched(GOOD, (DIRECTORY + 8, GOOD[DIRECTORY + 8] | 1), (6, GOOD[6] | 1)), "it is encrypted"),
        (patched(GOOD, (DIRECTORY + 10, 99), (8, 99)), "compressed by method 99"),
        (patched(GOOD, (60, GOOD[60] ^ 0xFF), (62, GOOD[62] ^ 0xFF)), ""),
        (MANY_MEMBERS.getvalue(), "it holds more than 100 files"),
        (TWO_TABLES.getvalue(), "it holds 2 CSV files, not one"),
        (zipped("1,2,3\n"), "Expected 12 columns"),
        (zipped(with_cell(1, "abc")), "abc"),
        (zipped(with_cell(1, "nan")), "nan"),
        (zipped(with_cell(1, "")), ""),
        (zipped(with_cell(1, "9" * 21)), ""),
        (zipped(with_cell(1, "-1")), "open -1.0{18} is negative"),
        (zipped(with_cell(8, "-1")), "trade_count -1 is negative"),
        (zipped(with_cell(0, "9223372036854775807")), "9223372036854775807 us are none that a market can have"),
        (zipped(with_cell(0, "99999999999999")), "none that a market can have"),
        (zipped(with_cell(0, "-1")), "none that a market can have"),
        (zipped(with_cell(6, "0")), "times from 0 to 0 us are none"),
        (
            zipped(MILLISECONDS + with_cell(2, "42261.01")),
            "in the kline of 2024-12-01T00:00:00Z high 42261.01 is below low 42261.02",
        ),
        (
            zipped(with_cell(6, str(OPEN_MS - 1))),
            "close_time 2024-11-30T23:59:59.999000Z is below open_time 2024-12-01T00:00:00Z",
        ),
        (zipped("x" * 5_000), "it has a line of more than 512 bytes"),
        (zipped(MILLISECONDS * 600), "it has more than 1,000 rows"),
        (zipped("\n" * 300_000), "it unpacks to more than 256,000 bytes"),
        (zipped(bytes(range(256)).decode("latin1")), ""),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_its_name(broken: bytes, why: str) -> None:
    with pytest.raises(VenueRefused, match=rf"^{MONTH} cannot be read: .*{why}"):
        parse_body(broken)


@pytest.mark.parametrize(
    "text", ["", "\n", "\ufeff", f"{HEADER}\n", HEADER], ids=["empty", "line", "mark", "header", "no line end"]
)
def test_a_file_without_a_kline_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(VenueRefused, match=rf"^{MONTH} (has no kline in it$|cannot be read: )"):
        parse(text)


def test_rows_that_are_repeated_are_taken_and_rows_that_differ_are_not() -> None:
    assert parse(MILLISECONDS + MILLISECONDS).num_rows == 4
    with pytest.raises(VenueRefused, match=rf"^{MONTH} has one kline twice, with different values$"):
        parse(MILLISECONDS + with_cell(4, "42298.62"))


def test_what_a_parser_quotes_of_a_file_stays_one_line() -> None:
    with pytest.raises(VenueRefused) as caught:
        parse("1,2\n\x00\x1b[31m" + "x" * 400 + "\n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(MONTH) + 230


def test_a_zip_file_without_files_is_refused() -> None:
    sink = io.BytesIO()
    zipfile.ZipFile(sink, "w").close()
    with pytest.raises(VenueRefused, match=r"it holds 0 CSV files"):
        parse_body(sink.getvalue())


@pytest.mark.parametrize("change", [0xFF, 0x01, 0x80])
def test_whatever_byte_is_broken_nothing_else_is_raised(change: int) -> None:
    """The only other way out is a table: some bytes (dates, attributes) do not matter."""
    refused = 0
    for at in range(len(GOOD)):
        try:
            parse_body(patched(GOOD, (at, GOOD[at] ^ change)))
        except VenueRefused:
            refused += 1
    assert refused > len(GOOD) // 2


def test_a_bomb_is_given_up_before_it_is_large() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as files, files.open("a.csv", "w") as member:
        for _ in range(100):
            member.write(b"\n" * 1_000_000)
    month = archive_rows("1m", "2024-12")
    tracemalloc.start()
    try:
        with pytest.raises(VenueRefused, match=r"it unpacks to more than [0-9,]+ bytes, more than its period's klines$"):
            parse_archive(sink.getvalue(), MONTH, symbol="BTCUSDT", interval="1m", most_rows=month)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_a_file_may_have_the_klines_of_its_period_and_some() -> None:
    assert archive_rows("1m", "2024-12") == 31 * 1_440 + 1 + 1_000
    assert archive_rows("1m", "2024-12-01") == 1_440 + 1 + 1_000
    assert archive_rows("1M", "2024-12") < 1_010


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


async def test_a_checksum_in_capitals_is_the_same() -> None:
    body = zipped(MILLISECONDS)
    files = Files({MONTH: [body], f"{MONTH}.CHECKSUM": [checksum(body).upper()]})
    assert await files.archive().fetch_month("BTCUSDT", "1m", "2024-12") is not None


async def test_a_file_that_is_not_published_is_none_and_asked_for_once() -> None:
    files = Files({})
    archive = files.archive()
    assert await archive.fetch_month("BTCUSDT", "1m", "2024-12") is None
    assert files.asked == [f"{MONTH}.CHECKSUM", MONTH]
    assert not await archive.publishes("BTCUSDT", "1m", "2024-12")


async def test_a_file_without_a_checksum_is_another_answer_than_no_file() -> None:
    files = Files({MONTH: [zipped(MILLISECONDS)]})
    archive = files.archive()
    with pytest.raises(VenueRefused, match=rf"^{MONTH} has no CHECKSUM beside it"):
        await archive.fetch_month("BTCUSDT", "1m", "2024-12")
    assert files.asked == [f"{MONTH}.CHECKSUM", MONTH], "not asked for again"
    assert await archive.publishes("BTCUSDT", "1m", "2024-12")


async def test_a_checksum_without_its_file_is_asked_for_again() -> None:
    good = zipped(MILLISECONDS)
    files = Files({MONTH: [404, good], f"{MONTH}.CHECKSUM": [checksum(good)]})
    assert await files.archive().fetch_month("BTCUSDT", "1m", "2024-12") is not None
    files = Files({f"{MONTH}.CHECKSUM": [checksum(good)]})
    with pytest.raises(VenueRefused, match=rf"^{MONTH} is not there, although its CHECKSUM is, 3 times$"):
        await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")


@pytest.mark.parametrize("text", ["", f"{HEADER}\n", "no kline\n"])
async def test_a_whole_file_that_cannot_be_read_is_not_asked_for_again(text: str) -> None:
    """Its CHECKSUM held: the same bytes would come."""
    files = Files(published(MONTH, text))
    with pytest.raises(VenueRefused, match=rf"^{MONTH} "):
        await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert files.asked == [f"{MONTH}.CHECKSUM", MONTH]


@pytest.mark.parametrize("interval", ["3d", "1w", "1M"])
async def test_intervals_above_a_day_have_no_daily_files_to_ask_for(interval: str) -> None:
    files = Files({})
    assert await files.archive().fetch_day("BTCUSDT", interval, "2024-12-01") is None
    assert not await files.archive().publishes("BTCUSDT", interval, "2024-12-01")
    assert files.asked == []


async def test_a_file_that_does_not_match_its_checksum_is_fetched_again() -> None:
    good = zipped(MILLISECONDS)
    files = Files({MONTH: [good[:-1], good], f"{MONTH}.CHECKSUM": [checksum(good)]})
    table = await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert table is not None
    assert len(files.asked) == 4


@pytest.mark.parametrize("said", [b"", b"\n", b"0" * 64 + b"  BTCUSDT-1m-2024-12.zip\n", b"<html></html>"])
async def test_a_file_that_never_matches_its_checksum_is_given_up_after_three_tries(said: bytes) -> None:
    files = Files({MONTH: [zipped(MILLISECONDS)], f"{MONTH}.CHECKSUM": [said]})
    with pytest.raises(VenueRefused, match=rf"^{MONTH}: [0-9]+ bytes do not match their CHECKSUM, 3 times$"):
        await files.archive().fetch_month("BTCUSDT", "1m", "2024-12")
    assert files.asked.count(MONTH) == 3


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

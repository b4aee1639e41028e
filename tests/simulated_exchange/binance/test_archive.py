import csv
import io
import zipfile
from hashlib import sha256
from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.binance.archive import parse_archive_path
from simulated_exchange.server.clock import StandingClock

DAY = 86_400_000
DECEMBER_2024, JANUARY_2025, MARCH_2024 = 1_733_011_200_000, 1_735_689_600_000, 1_709_251_200_000


def path_of(interval: str, date: str, symbol: str = "BTCUSDT") -> str:
    period = "monthly" if len(date) == 7 else "daily"
    return f"/data/spot/{period}/klines/{symbol}/{interval}/{symbol}-{interval}-{date}.zip"


def download(client: httpx.Client, path: str) -> list[list[str]]:
    """The CSV rows of a file whose checksum is right."""
    content = client.get(path).raise_for_status().content
    checksum = client.get(f"{path}.CHECKSUM").raise_for_status().text
    assert checksum == f"{sha256(content).hexdigest()}  {path.rpartition('/')[2]}\n"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        assert name == path.rpartition("/")[2].replace(".zip", ".csv")
        return list(csv.reader(io.StringIO(archive.read(name).decode())))


def rest(client: httpx.Client, interval: str, start: int, end: int, *, symbol: str = "BTCUSDT", us: bool = False) -> Any:
    """All rows that open in [start, end), from the API."""
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"} if us else {}
    rows: list[list[Any]] = []
    while start < end:
        asked: dict[str, Any] = {"symbol": symbol, "interval": interval, "startTime": start, "endTime": end - 1, "limit": 1000}
        page = client.get("/api/v3/klines", params=asked, headers=headers).json()
        if not page:
            break
        rows += page
        start = (page[-1][0] // 1000 if us else page[-1][0]) + 1
    return [[str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("interval", "date", "start", "days"),
    [
        ("1m", "2024-12-31", JANUARY_2025 - DAY, 1),
        ("1h", "2024-12", DECEMBER_2024, 31),
        ("1d", "2024-12", DECEMBER_2024, 31),
        ("1m", "2024-12", DECEMBER_2024, 31),
    ],
)
def test_rows_before_2025_equal_rest_in_milliseconds(
    client: httpx.Client, interval: str, date: str, start: int, days: int
) -> None:
    assert download(client, path_of(interval, date)) == rest(client, interval, start, start + days * DAY)


@pytest.mark.parametrize(("interval", "date", "days"), [("1m", "2025-01-01", 1), ("15m", "2025-01", 31), ("1w", "2025-01", 31)])
def test_rows_from_2025_on_equal_rest_in_microseconds(client: httpx.Client, interval: str, date: str, days: int) -> None:
    rows = download(client, path_of(interval, date))
    assert rows == rest(client, interval, JANUARY_2025, JANUARY_2025 + days * DAY, us=True)
    assert rows
    assert all(len(row[0]) == 16 and row[6].endswith("999999") for row in rows)


def test_the_month_interval_is_spelt_1mo(client: httpx.Client) -> None:
    assert download(client, path_of("1mo", "2024-12")) == rest(client, "1M", DECEMBER_2024, JANUARY_2025)


def test_a_month_begins_with_the_listing(client: httpx.Client) -> None:
    rows = download(client, path_of("1h", "2024-03", "NOVAUSDT"))
    assert rows == rest(client, "1h", MARCH_2024, MARCH_2024 + 31 * DAY, symbol="NOVAUSDT")
    assert len(rows) == 31 * 24 - 11 * 24 - 10


@pytest.mark.parametrize(
    "path",
    [
        path_of("1m", "2025-06"),  # the running month
        path_of("1m", "2025-06-15"),  # today
        path_of("1m", "2024-02", "NOVAUSDT"),  # not listed yet
        path_of("1m", "2024-01", "NOPE"),
        path_of("1w", "2024-01-01"),  # "daily kline files only up to 1d"
        path_of("1M", "2024-01"),
        path_of("1m", "2024-13"),
        path_of("1m", "2024-01").replace(".zip", ".csv"),
        "/data/spot/monthly/klines/BTCUSDT/1m/ETHUSDT-1m-2024-01.zip",
        "/data/option/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip",
    ],
)
def test_files_that_do_not_exist_are_404(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "NoSuchKey" in answer.text
    assert client.get(f"{path}.CHECKSUM").status_code == 404


def test_a_day_is_published_when_it_is_over(client: httpx.Client, clock: StandingClock) -> None:
    clock.now += DAY
    assert len(download(client, path_of("1m", "2025-06-15"))) == 1440


def test_the_archive_costs_no_weight(exchange: RunningExchange, client: httpx.Client) -> None:
    answer = client.get(path_of("1d", "2024-12"))
    assert "X-MBX-USED-WEIGHT-1M" not in answer.headers
    assert exchange.tally()["weight"]["total"] == 0


def test_non_ascii_symbols_have_files(client: httpx.Client, clock: StandingClock) -> None:
    clock.now += 365 * DAY
    path = path_of("1h", "2025-12", "币安人生USDT")
    assert len(download(client, path)) == 31 * 24
    assert parse_archive_path(path) is not None


def test_a_checksum_can_be_wrong(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_faults(["archive_bad_checksum:1"])
    path = path_of("1d", "2024-12")
    assert client.get(f"{path}.CHECKSUM").text[:64] != sha256(client.get(path).content).hexdigest()
    assert len(download(client, path_of("1d", "2024-11"))) == 30


def test_a_file_can_be_truncated(exchange: RunningExchange, client: httpx.Client) -> None:
    path = path_of("1d", "2024-12")
    whole = client.get(path).content
    exchange.set_faults(["archive_truncated"])
    cut = client.get(path).content
    assert whole.startswith(cut)
    assert len(cut) < len(whole)
    assert client.get(f"{path}.CHECKSUM").text[:64] == sha256(whole).hexdigest()


def test_one_row_can_differ_by_one_tick_in_its_close(exchange: RunningExchange, client: httpx.Client) -> None:
    path = path_of("1h", "2024-12")
    honest = download(client, path)
    exchange.set_faults(["archive_differs"])
    pairs = [(left, right) for left, right in zip(honest, download(client, path), strict=True) if left != right]
    ((left, right),) = pairs
    assert [left[:4], left[5:]] == [right[:4], right[5:]]
    assert abs(float(left[4]) - float(right[4])) == pytest.approx(0.01)


def test_the_last_hour_of_a_month_can_be_missing(exchange: RunningExchange, client: httpx.Client) -> None:
    path = path_of("15m", "2024-12")
    honest = download(client, path)
    exchange.set_faults(["archive_missing_rows"])
    assert download(client, path) == honest[:-4]


def test_a_halt_shows_in_the_archive_too(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_halts(["BTCUSDT=2024-12-05/2024-12-06T12:00"])
    assert len(download(client, path_of("1h", "2024-12"))) == 31 * 24 - 36
    assert client.get(path_of("1h", "2024-12-05")).status_code == 404

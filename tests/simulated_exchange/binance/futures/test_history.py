"""The histories that the simulated futures markets serve beside klines, with their own limits, and the archive's trades."""

import csv
import io
import zipfile
from hashlib import sha256
from itertools import pairwise
from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.market.derivatives import FUNDING_EVERY
from simulated_exchange.server.clock import StandingClock

HOUR, DAY = 3_600_000, 86_400_000
OPEN_INTEREST = "/futures/data/openInterestHist"
MARKETS = [
    ("/fapi/v1", "BTCUSDT", {"symbol": "BTCUSDT"}),
    ("/dapi/v1", "BTCUSD_PERP", {"pair": "BTCUSD", "contractType": "PERPETUAL"}),
]


def told(client: httpx.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(path, params=asked).raise_for_status().json()
    return rows


@pytest.mark.parametrize(("api", "symbol", "named"), MARKETS)
def test_rates_are_settled_every_eight_hours_and_a_page_begins_at_its_start(
    api: str, symbol: str, named: dict[str, str], client: httpx.Client, clock: StandingClock
) -> None:
    start = clock.now - 10 * DAY
    rows = told(client, f"{api}/fundingRate", symbol=symbol, startTime=start, endTime=clock.now, limit=1000)
    times = [row["fundingTime"] for row in rows]

    assert len(rows) == 30
    assert all(later // FUNDING_EVERY - earlier // FUNDING_EVERY == 1 for earlier, later in pairwise(times))
    assert all(0 <= at % FUNDING_EVERY < 10 for at in times), "some milliseconds after the hour"
    assert told(client, f"{api}/fundingRate", symbol=symbol, startTime=start, limit=7) == rows[:7]
    assert told(client, f"{api}/fundingRate", symbol=symbol, limit=7) == rows[-7:]
    assert ("markPrice" in rows[0]) == (api == "/fapi/v1")


@pytest.mark.parametrize(("api", "symbol", "named"), MARKETS)
def test_open_interest_reaches_thirty_days_back_and_a_page_ends_at_its_end(
    api: str, symbol: str, named: dict[str, str], client: httpx.Client, clock: StandingClock
) -> None:
    start = clock.now - 2 * DAY
    rows = told(client, OPEN_INTEREST, **named, period="5m", startTime=start, endTime=clock.now, limit=500)
    refused = client.get(OPEN_INTEREST, params={**named, "period": "5m", "startTime": clock.now - 30 * DAY - 1, "endTime": start})

    times = [row["timestamp"] for row in rows]
    assert (len(rows), times[-1]) == (500, clock.now - clock.now % 300_000), "the newest of 577"
    assert all(later - earlier == 300_000 for earlier, later in pairwise(times))
    assert (refused.status_code, refused.json()["code"]) == (400, -1130)


def test_requests_are_limited_beside_weight_and_each_endpoint_on_its_own(client: httpx.Client, clock: StandingClock) -> None:
    clock.now -= clock.now % (5 * 60_000)
    asked = {"symbol": "BTCUSDT", "limit": "1"}
    statuses = [client.get("/fapi/v1/fundingRate", params=asked).status_code for _ in range(501)]

    assert statuses == [200] * 500 + [429]
    assert client.get("/fapi/v1/fundingRate", params=asked).headers["Retry-After"] == "300"
    assert client.get(OPEN_INTEREST, params={"symbol": "BTCUSDT", "period": "5m"}).status_code == 200
    clock.now += 5 * 60_000
    assert client.get("/fapi/v1/fundingRate", params=asked).status_code == 200


@pytest.mark.parametrize(
    ("api", "symbol", "folder", "header"),
    [
        ("/api/v3", "BTCUSDT", "spot", None),
        ("/fapi/v1", "BTCUSDT", "futures/um", "id"),
        ("/dapi/v1", "BTCUSD_PERP", "futures/cm", "id"),
    ],
)
def test_trades_of_a_finished_day_are_a_file_with_its_checksum(
    api: str, symbol: str, folder: str, header: str | None, exchange: RunningExchange, client: httpx.Client, clock: StandingClock
) -> None:
    client.get(f"{api}/trades", params={"symbol": symbol})
    clock.now += 60_000
    trades = told(client, f"{api}/trades", symbol=symbol, limit=1000)
    path = f"/data/{folder}/daily/trades/{symbol}/{symbol}-trades-2025-06-15.zip"
    assert client.get(path).status_code == 404, "the day is not over"

    clock.now += DAY
    content = client.get(path).raise_for_status().content
    checksum = client.get(f"{path}.CHECKSUM").raise_for_status().text
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{symbol}-trades-2025-06-15.csv").decode())))

    assert checksum == f"{sha256(content).hexdigest()}  {symbol}-trades-2025-06-15.zip\n"
    assert (rows[0][0] == "id") == (header is not None)
    rows = rows[1:] if header else rows
    assert [(int(row[0]), row[1], row[2]) for row in rows] == [(one["id"], one["price"], one["qty"]) for one in trades]
    unit = 1 if header else 1_000
    assert [int(row[4]) // unit for row in rows] == [one["time"] for one in trades], "microseconds of spot since 2025"
    assert client.get(path.replace("06-15", "06-14")).status_code == 404, "nothing is known of it"

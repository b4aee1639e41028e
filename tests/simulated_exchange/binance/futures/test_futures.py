"""The simulated futures markets: sockets split by stream, the id before each diff, one limit for both, and archive files."""

import csv
import io
import zipfile
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.binance.futures.messages import ID_STEP
from simulated_exchange.market.derivatives import FUNDING_EVERY
from simulated_exchange.server.clock import StandingClock

from ...sockets import apply, ask, connected, read, read_until

MARKETS = [("usdm", "/fapi/v1", "BTCUSDT", "/public"), ("coinm", "/dapi/v1", "BTCUSD_PERP", "")]
each_market = pytest.mark.parametrize(("market", "api", "symbol", "route"), MARKETS, ids=[name for name, *_ in MARKETS])


def told(client: httpx.Client, path: str, **asked: Any) -> Any:
    """The exchange has a thread of its own, so waiting for it here does no harm."""
    return client.get(path, params=asked).raise_for_status().json()


@each_market
async def test_a_local_book_kept_by_the_venues_rules_is_the_true_book(
    market: str, api: str, symbol: str, route: str, exchange: RunningExchange, client: httpx.Client, clock: StandingClock
) -> None:
    """Drop `u` < L; the first has `U` <= L <= `u`, or nothing happened between; then `pu` is the last `u`."""
    async with connected(f"{exchange.ws_url}/{market}{route}/ws/{symbol.lower()}@depth@100ms") as socket:
        await ask(socket, "UNSUBSCRIBE", [])
        clock.now += 1_050
        snapshot = told(client, f"{api}/depth", symbol=symbol, limit=1000)
        clock.now += 3_000
        exchange.settle()
        true = exchange.book(symbol, limit=30, futures=market)
        diffs = await read_until(socket, lambda diff: diff["u"] == true["lastUpdateId"])
    assert {"E", "T"} <= set(snapshot)
    last_id = snapshot["lastUpdateId"]
    buffered = [diff for diff in diffs if diff["u"] >= last_id]
    assert buffered[0]["pu"] <= last_id <= buffered[0]["u"]
    assert all(diff["U"] > diff["pu"] + 1 for diff in buffered), "ids jump, as one counter serves all symbols"
    assert all(later["pu"] == earlier["u"] and later["u"] % ID_STEP == 0 for earlier, later in pairwise(diffs))
    bids, asks = dict(snapshot["bids"]), dict(snapshot["asks"])
    for diff in buffered:
        apply(bids, diff["b"])
        apply(asks, diff["a"])
    by_price = lambda level: float(level[0])  # noqa: E731
    assert sorted(bids.items(), key=by_price, reverse=True)[:30] == [tuple(level) for level in true["bids"]]
    assert sorted(asks.items(), key=by_price)[:30] == [tuple(level) for level in true["asks"]]


async def test_a_stream_on_the_wrong_path_is_accepted_and_silent(exchange: RunningExchange, clock: StandingClock) -> None:
    async with (
        connected(f"{exchange.ws_url}/usdm/market/stream") as wrong,
        connected(f"{exchange.ws_url}/usdm/public/stream") as right,
    ):
        names = ["btcusdt@depth@100ms", "btcusdt@kline_1m"]
        for socket in (wrong, right):
            assert await ask(socket, "SUBSCRIBE", names) == {"result": None, "id": 1}
        clock.now += 5_000
        exchange.settle()
        assert (await read(right))["stream"] == names[0]
        assert (await read(wrong))["stream"] == names[1]
        sent = exchange.tally()["usdm"]["sockets"]["streams"]
        assert await ask(wrong, "UNSUBSCRIBE", names) != {}, "it was never subscribed, and that is no trouble"
    assert set(sent) == set(names)


@each_market
async def test_trades_and_tops_have_the_markets_fields(
    market: str, api: str, symbol: str, route: str, exchange: RunningExchange, client: httpx.Client, clock: StandingClock
) -> None:
    async with connected(f"{exchange.ws_url}/{market}{route}/stream") as socket:
        await ask(socket, "SUBSCRIBE", [f"{symbol.lower()}@trade", f"{symbol.lower()}@bookTicker"])
        clock.now += 20_000
        exchange.settle()
        messages = await read_until(socket, lambda message: message["data"]["e"] == "trade")
    trade: dict[str, Any] = messages[-1]["data"]
    assert set(trade) == {"e", "E", "T", "s", "t", "p", "q", "X", "m"}
    assert all(set(one["data"]) == {"e", "u", "s", "b", "B", "a", "A", "T", "E"} for one in messages[:-1])
    assert trade["q"].isdecimal() == (market == "coinm"), "contracts are whole"
    recent = told(client, f"{api}/trades", symbol=symbol)
    assert {one["id"]: one["price"] for one in recent}[trade["t"]] == trade["p"]


def test_candles_of_contracts_have_the_coin_beside_them(client: httpx.Client) -> None:
    """A contract of BTC is worth 100 USD: contracts times that, by the coin, is a price between the candle's low and high."""
    asked: dict[str, Any] = {"symbol": "BTCUSD_PERP", "interval": "1m", "limit": 1500}
    for candle in client.get("/dapi/v1/klines", params=asked).raise_for_status().json():
        high, low, contracts, coin, bought, bought_coin = (Decimal(candle[place]) for place in (2, 3, 5, 7, 9, 10))
        for number, amount in ((contracts, coin), (bought, bought_coin)):
            assert low * Decimal("0.9999") <= 100 * number / amount <= high * Decimal("1.0001"), "the coin has eight decimals"
    for trade in told(client, "/dapi/v1/trades", symbol="BTCUSD_PERP"):
        worth = 100 * Decimal(trade["qty"]) / Decimal(trade["price"])
        assert Decimal(trade["baseQty"]) == worth.quantize(Decimal("1e-8"), ROUND_DOWN)


@each_market
async def test_mark_prices_come_every_second_and_liquidations_now_and_then(
    market: str, api: str, symbol: str, route: str, exchange: RunningExchange, client: httpx.Client, clock: StandingClock
) -> None:
    part = "/market" if route else ""
    async with connected(f"{exchange.ws_url}/{market}{part}/stream") as socket:
        await ask(socket, "SUBSCRIBE", [f"{symbol.lower()}@markPrice@1s", f"{symbol.lower()}@forceOrder"])
        until = clock.now + 120_000
        clock.now = until
        exchange.settle()
        messages = await read_until(socket, lambda message: until - 1_000 <= message["data"]["E"])
    marks = [one["data"] for one in messages if one["data"]["e"] == "markPriceUpdate"]
    assert [later["E"] - earlier["E"] for earlier, later in pairwise(marks)] == [1_000] * (len(marks) - 1)
    assert len(marks) >= 119
    assert all(set(mark) == {"e", "E", "s", "p", "ap", "P", "i", "r", "T"} for mark in marks)
    assert all(0 < mark["T"] - mark["E"] <= FUNDING_EVERY and mark["T"] % FUNDING_EVERY == 0 for mark in marks)
    assert all(abs(float(mark["p"]) / float(mark["i"]) - 1) < 0.01 for mark in marks)
    orders = [one["data"] for one in messages if one["data"]["e"] == "forceOrder"]
    assert orders
    assert all(later["E"] - earlier["E"] >= 1_000 for earlier, later in pairwise(orders)), "the venue sends one a second at most"
    assert {one["o"]["S"] for one in orders} <= {"BUY", "SELL"}


@each_market
def test_open_interest_is_the_same_to_all_who_ask_in_one_second(
    market: str, api: str, symbol: str, route: str, client: httpx.Client, clock: StandingClock
) -> None:
    first, second = (told(client, f"{api}/openInterest", symbol=symbol) for _ in range(2))
    assert first == second
    assert (first["symbol"], first["time"]) == (symbol, clock.now)
    assert float(first["openInterest"]) > 0
    assert first["openInterest"].isdecimal() == (market == "coinm"), "contracts are whole"
    clock.now += 3_600_000
    assert told(client, f"{api}/openInterest", symbol=symbol)["openInterest"] != first["openInterest"]
    assert client.get(f"{api}/openInterest", params={"symbol": "NONE"}).json()["code"] == -1121


@each_market
def test_both_markets_have_one_limit_and_every_request_its_weight(
    market: str, api: str, symbol: str, route: str, exchange: RunningExchange, client: httpx.Client
) -> None:
    asked: dict[str, Any] = {"symbol": symbol, "interval": "1m", "limit": 1500}
    assert len(client.get(f"{api}/klines", params=asked).raise_for_status().json()) == 1500
    used = (
        client.get("/fapi/v1/time").headers["X-MBX-USED-WEIGHT-1M"],
        client.get("/dapi/v1/time").headers["X-MBX-USED-WEIGHT-1M"],
    )
    assert used == ("11", "12")
    (limit,) = client.get(f"{api}/exchangeInfo").json()["rateLimits"]
    assert limit["limit"] == 2_400
    codes = [client.get(f"{api}/depth", params={"symbol": symbol, "limit": 1000}).status_code for _ in range(125)]
    assert (codes.count(200), codes[-1]) == ((2_400 - 13) // 20, 429)
    assert client.get("/api/v3/time").status_code == 200, "spot counts for itself"


@pytest.mark.parametrize(
    ("path", "asked", "status", "code"),
    [
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 200}, 400, -4021),
        ("/fapi/v1/historicalTrades", {"symbol": "BTCUSDT", "fromId": 1}, 401, -2014),
        (
            "/dapi/v1/klines",
            {"symbol": "BTCUSD_PERP", "interval": "1d", "startTime": 1, "endTime": 1_750_000_000_000},
            400,
            -4146,
        ),
        ("/dapi/v1/depth", {"symbol": "BTCUSDT"}, 400, -1121),
    ],
)
def test_what_the_markets_refuse(path: str, asked: dict[str, Any], status: int, code: int, client: httpx.Client) -> None:
    answer = client.get(path, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@each_market
def test_a_file_of_the_archive_has_a_header_and_the_rows_of_rest(
    market: str, api: str, symbol: str, route: str, client: httpx.Client
) -> None:
    folder = {"usdm": "um", "coinm": "cm"}[market]
    path = f"/data/futures/{folder}/daily/klines/{symbol}/1h/{symbol}-1h-2025-03-01.zip"
    with zipfile.ZipFile(io.BytesIO(client.get(path).raise_for_status().content)) as archive:
        header, *rows = csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode()))
    assert header[0] == "open_time"
    day = 1_740_787_200_000
    asked: dict[str, Any] = {"symbol": symbol, "interval": "1h", "startTime": day, "endTime": day + 86_399_999}
    told = client.get(f"{api}/klines", params=asked).raise_for_status().json()
    assert rows == [[str(cell) for cell in row] for row in told]
    assert client.get(path.replace(folder, "xx")).status_code == 404

"""KuCoin's REST API against the simulated exchange: limits, refusals, cut answers, the first kline of a symbol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from extract_process.ranges import Range
from extract_process.venues.kucoin.rest import (
    WINDOW_US,
    KucoinRest,
    classify,
    parse_klines,
    parse_token,
    parse_trades,
    tally_of,
)
from extract_process.venues.rate_limit import RateLimit
from extract_process.venues.rest_client import BanStore, Refused, RestClient, host_of, open_client
from simulated_exchange.app import SimulatedExchange
from simulated_exchange.config import ExchangeConfig, KucoinLimits
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.errors import UsageError, VenueBanned, VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import parse_instant

CANDLES = "/api/v1/market/candles"
HOUR = Range(parse_instant("2024-05-01"), parse_instant("2024-05-01T00:59"))


@asynccontextmanager
async def asking(folder: Path, limit: int = 2_000, **config: Any) -> AsyncIterator[tuple[KucoinRest, SimulatedExchange]]:
    async with (
        SimulatedExchange(ExchangeConfig(symbols=4, **config)) as exchange,
        open_client(exchange.url, 10) as client,
    ):
        bans, share = BanStore(folder, "kucoin", host_of(exchange.url)), RateLimit(limit, WINDOW_US, is_aligned=False)
        yield KucoinRest(RestClient(client, share, bans, classify, tally_of)), exchange


async def test_klines_come_oldest_first_and_only_those_asked_for(tmp_path: Path) -> None:
    async with asking(tmp_path) as (rest, _):
        rows = (await rest.fetch_klines("BTC-USDT", "1m", HOUR)).parsed
        opened = rows["open_time"].cast("int64").to_pylist()
    assert opened == list(range(HOUR.first, HOUR.last + 1, 60_000_000))
    assert set(rows["venue"].to_pylist()) == {"kucoin"}
    first = rows.to_pylist()[0]
    assert first["low"] <= min(first["open"], first["close"]) <= max(first["open"], first["close"]) <= first["high"]


async def test_the_first_kline_is_found_from_weeks_down(tmp_path: Path) -> None:
    async with asking(tmp_path) as (rest, _):
        wanted = Range(parse_instant("2020-01-01"), parse_instant("2024-06-01"))
        assert await rest.fetch_first_open_time("NOVA-USDT", "1m", wanted) == parse_instant("2024-03-12T10:00")
        assert rest.client.tally.klines <= 4
        early = Range(wanted.first, parse_instant("2021-01-01"))
        assert await rest.fetch_first_open_time("NOVA-USDT", "1h", early) is None


async def test_an_unknown_symbol_is_named(tmp_path: Path) -> None:
    async with asking(tmp_path) as (rest, _):
        assert await rest.fetch_statuses(["BTC-USDT", "ETH-USDT"]) == {"BTC-USDT": True, "ETH-USDT": True}
        with pytest.raises(UsageError, match="unknown symbol BTCUSDT on kucoin: write it as the venue does"):
            await rest.fetch_statuses(["BTCUSDT"])
        with pytest.raises(VenueRefused, match="400100"):
            await rest.fetch_klines("NO-PE", "1m", HOUR)


@pytest.mark.slow
async def test_the_pool_is_never_overdrawn(tmp_path: Path) -> None:
    """The budget believes in 2,000, the venue has 20: its first answer says so."""
    async with asking(tmp_path, kucoin=KucoinLimits(weight_limit=20), time_scale=40.0) as (rest, exchange):
        for _ in range(12):
            await rest.fetch_klines("BTC-USDT", "1m", HOUR)
        assert exchange.tally()["kucoin"]["refused"]["429"]["limiter"] == 0
        assert rest.client.limit.limit == 20
        assert exchange.tally()["kucoin"]["weight"]["total"] == rest.client.tally.weight


@pytest.mark.slow
async def test_a_429_is_waited_out(tmp_path: Path) -> None:
    async with asking(tmp_path, faults=(Fault(FaultKind.HTTP_429, count=1, path=CANDLES),)) as (rest, _):
        assert (await rest.fetch_klines("BTC-USDT", "1m", HOUR)).parsed.num_rows == 60
    assert rest.client.tally.rate_limited == 1


async def test_cut_answers_and_errors_are_asked_again_and_a_firewall_is_a_ban(tmp_path: Path) -> None:
    kinds = (FaultKind.TRUNCATED_BODY, FaultKind.HTTP_500, FaultKind.DROPPED_CONNECTION, FaultKind.HTTP_503_BUSY)
    faults = tuple(Fault(kind, count=1, path=CANDLES) for kind in kinds)
    async with asking(tmp_path, faults=faults) as (rest, exchange):
        assert (await rest.fetch_klines("BTC-USDT", "1m", HOUR)).parsed.num_rows == 60
        assert rest.client.tally.retries == len(kinds)
        exchange.set_faults([Fault(FaultKind.HTTP_500, path=CANDLES)])
        with pytest.raises(VenueUnavailable):
            await rest.fetch_klines("BTC-USDT", "1m", HOUR)
        exchange.set_faults([Fault(FaultKind.HTTP_403, count=1, path=CANDLES)])
        with pytest.raises(VenueBanned):
            await rest.fetch_klines("BTC-USDT", "1m", HOUR)
        with pytest.raises(VenueBanned):
            await rest.synchronize_clock()


async def test_snapshots_have_20_or_100_levels_and_trades_no_history(tmp_path: Path) -> None:
    async with asking(tmp_path) as (rest, _):
        for asked, levels in ((5, 20), (20, 20), (21, 100), (1_000, 100)):
            book = (await rest.fetch_depth("BTC-USDT", asked, "start")).parsed
            assert (len(book.bids), len(book.asks)) == (levels, levels)
        assert (await rest.fetch_recent_trades("BTC-USDT")).body
        with pytest.raises(VenueRefused, match="only the last 100 trades"):
            await rest.fetch_trades("BTC-USDT", 7)


async def test_every_token_is_another_one(tmp_path: Path) -> None:
    async with asking(tmp_path, kucoin=KucoinLimits(ping_seconds=7.0)) as (rest, _):
        first, second = await rest.fetch_token(), await rest.fetch_token()
    assert first.token != second.token
    assert (first.ping_seconds, first.endpoint[:5]) == (7.0, "ws://")


@pytest.mark.parametrize("opened", ["0", "-60", "1230940740", "4102444800", "1700000000000"])
def test_a_candle_or_trade_of_a_time_that_no_market_can_have_is_refused(opened: str) -> None:
    candle = [opened, "1", "1", "1", "1", "5", "5"]
    with pytest.raises(VenueUnavailable, match="none that a market can have"):
        parse_klines(orjson.dumps({"data": [candle]}), symbol="BTC-USDT", interval="1m", receipt_time=HOUR.first)
    trade = {"sequence": "7", "price": "1", "size": "2", "side": "buy", "time": f"{opened}000000000"}
    with pytest.raises(VenueUnavailable, match="is no time"):
        parse_trades(orjson.dumps({"data": [trade]}), symbol="BTC-USDT")


def test_a_token_whose_times_are_no_times_is_an_unusable_answer() -> None:
    """A number of 400 digits is an int, and no float."""
    server = {"endpoint": "wss://a/", "pingInterval": "9" * 400, "pingTimeout": 10_000}
    with pytest.raises(VenueUnavailable, match="unusable answer"):
        parse_token(orjson.dumps({"code": "200000", "data": {"token": "t", "instanceServers": [server]}}))


def test_a_code_that_is_no_number_is_a_refusal_without_one() -> None:
    response = httpx.Response(400, json={"code": "\u00b2", "msg": "no"}, request=httpx.Request("GET", "https://venue.test/what"))
    assert classify(response, 0) == Refused("/what answered 400 \u00b2: no", 0)

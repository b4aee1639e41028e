"""REST of both futures markets against the simulated exchange: pages, spans, weights, and one limit for both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from extract_process.ranges import Range, grid_of
from extract_process.records import OpenInterest
from extract_process.venues import venue_named
from extract_process.venues.api import VenueRest
from extract_process.venues.binance.futures.rest import PAGE_ROWS, parse_open_interest
from extract_process.venues.binance.rest import parse_exchange_info
from simulated_exchange.app import SimulatedExchange
from simulated_exchange.config import ExchangeConfig
from tickhouse_core.errors import UnknownSymbols, UnusableAnswer, VenueRefused
from tickhouse_core.timestamps import DAY_US, parse_instant

MARKETS = [("binance-usdm", "BTCUSDT", "NOVAUSDT"), ("binance-coinm", "BTCUSD_PERP", "NOVAUSD_PERP")]
each_market = pytest.mark.parametrize(("venue", "symbol", "young"), MARKETS, ids=[name for name, *_ in MARKETS])


@asynccontextmanager
async def asking(
    venue: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any
) -> AsyncIterator[tuple[VenueRest, SimulatedExchange]]:
    async with SimulatedExchange(ExchangeConfig(symbols=4, **config)) as exchange:
        monkeypatch.setenv(f"{venue.upper().replace('-', '_')}_REST_URL", exchange.url)
        async with venue_named(venue).open_rest(folder, 10) as rest:
            yield rest, exchange


@each_market
async def test_a_page_has_every_kline_of_its_span_oldest_first(
    venue: str, symbol: str, young: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parse_instant("2024-05-01")
    for interval, rows in (("1m", PAGE_ROWS), ("1m", 60), ("1d", PAGE_ROWS)):
        grid = grid_of(interval)
        span = Range(first, grid.after(first, rows - 1))
        async with asking(venue, tmp_path, monkeypatch) as (rest, _):
            answer = await rest.fetch_klines(symbol, interval, span)
        assert answer.parsed["open_time"].cast("int64").to_pylist() == [grid.after(first, step) for step in range(rows)]
        again = venue_named(venue).parse_klines(answer.body, symbol, interval, answer.receipt_time)
        assert again.equals(answer.parsed), "recovery reads the body"
    assert set(answer.parsed["venue"].to_pylist()) == {venue}


@each_market
async def test_the_first_kline_is_found(
    venue: str, symbol: str, young: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Range(0, parse_instant("2024-06-01"))
    async with asking(venue, tmp_path, monkeypatch) as (rest, _):
        assert await rest.fetch_first_open_time(young, "1m", wanted) == parse_instant("2024-03-12T10:00")
        assert await rest.fetch_first_open_time(young, "1h", Range(0, parse_instant("2024-03-11"))) is None
        assert await rest.fetch_first_open_time(young, "1d", wanted) == parse_instant("2024-03-12")
        assert rest.client.tally.klines <= 30
        late = Range(parse_instant("2024-05-01T00:07"), wanted.last)
        assert await rest.fetch_first_open_time(young, "1m", late) == late.first


@each_market
async def test_statuses_are_those_of_the_contracts_and_an_unknown_symbol_is_named(
    venue: str, symbol: str, young: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(venue, tmp_path, monkeypatch, futures_weight_limit=1_234) as (rest, exchange):
        assert await rest.fetch_statuses([symbol, young]) == {symbol: True, young: True}
        assert rest.client.limit.limit == 1_234
        exchange.set_halts(["BTCUSDT=2020-01-01/2099-01-01"])
        assert await rest.fetch_statuses([symbol, young]) == {symbol: False, young: True}
        with pytest.raises(UnknownSymbols, match=f"unknown symbol NOPE on {venue}: write it as the venue does, .* {symbol}"):
            await rest.fetch_statuses(["NOPE", symbol])


@each_market
async def test_the_weight_that_is_counted_is_the_venues_and_one_for_both_markets(
    venue: str, symbol: str, young: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = Range(parse_instant("2024-05-01"), parse_instant("2024-05-01T00:59"))
    async with asking(venue, tmp_path, monkeypatch, now=parse_instant("2026-01-01") // 1_000) as (rest, exchange):
        await rest.synchronize_clock()
        await rest.fetch_statuses([symbol])
        await rest.fetch_klines(symbol, "1m", hour)
        await rest.fetch_klines(symbol, "1m", Range(hour.first, hour.first + 7 * 3_600_000_000))
        for levels in (5, 30, 100, 500, 1_000, 5_000):
            await rest.fetch_depth(symbol, levels, "test")
        await rest.fetch_recent_trades(symbol)
        part = exchange.tally()[venue.removeprefix("binance-")]
        assert part["weight"]["total"] == rest.client.tally.weight == 1 + 1 + 1 + 2 + (2 + 2 + 5 + 10 + 20 + 20) + 5
        before = rest.client.limit.used_weight
        async with httpx.AsyncClient(base_url=exchange.url) as other:
            for path in ("/fapi/v1/time", "/dapi/v1/time"):
                used = int((await other.get(path)).headers["X-MBX-USED-WEIGHT-1M"])
        assert used == before + 2


@each_market
async def test_what_the_public_api_does_not_have_is_refused_without_a_request(
    venue: str, symbol: str, young: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(venue, tmp_path, monkeypatch) as (rest, exchange):
        with pytest.raises(VenueRefused, match="has only the last 1,000 trades"):
            await rest.fetch_trades(symbol, 1)
        assert exchange.tally()[venue.removeprefix("binance-")]["requests_total"] == 0


async def test_both_markets_share_one_file_of_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_USDM_REST_URL", "https://fapi.binance.com")
    monkeypatch.setenv("BINANCE_COINM_REST_URL", "https://dapi.binance.com")
    async with (
        venue_named("binance-usdm").open_rest(tmp_path, 1) as usdm,
        venue_named("binance-coinm").open_rest(tmp_path, 1) as coinm,
    ):
        now = usdm.client.server_now()
        assert usdm.client.limit.take(2_000, now) == 0
        assert coinm.client.limit.take(2_000, now) > 0, "2,400 a minute for both"


async def test_an_answer_that_is_full_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that asks for more than it may: COIN-M would leave out the oldest."""
    span = Range(parse_instant("2024-05-01"), parse_instant("2024-05-02"))
    async with asking("binance-coinm", tmp_path, monkeypatch) as (rest, _):
        with pytest.raises(UnusableAnswer, match="499 klines or more"):
            await rest.fetch_klines("BTCUSD_PERP", "1m", span)


async def test_a_span_of_years_is_asked_for_in_parts_of_200_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking("binance-coinm", tmp_path, monkeypatch) as (rest, exchange):
        await rest.fetch_klines("BTCUSD_PERP", "1d", Range(parse_instant("2023-01-01"), parse_instant("2024-03-01")))
        asked = exchange.tally()["coinm"]["klines_log"]
    assert len(asked) == 3
    assert all((one["endTime"] - one["startTime"]) * 1_000 < 200 * DAY_US and one["status"] == 200 for one in asked)


@pytest.mark.parametrize("odd", [{"contractSize": None}, {"contractSize": "abc"}, {"contractSize": 0}, {"contractStatus": 1}, {}])
def test_one_odd_contract_hides_no_other(odd: dict[str, object]) -> None:
    good = {"symbol": "BTCUSD_PERP", "contractStatus": "TRADING", "contractSize": 100}
    body = orjson.dumps({"symbols": [{"symbol": "ODDUSD_PERP", **odd}, good]})
    info = parse_exchange_info(body, "contractStatus")
    assert info.statuses["BTCUSD_PERP"] == "TRADING"
    assert info.statuses["ODDUSD_PERP"] != "TRADING"
    assert info.contract_sizes == {"BTCUSD_PERP": "100"}
    assert info.weight_limit is None


@pytest.mark.parametrize(
    ("body", "time", "value"),
    [
        ({"openInterest": "10659.509", "symbol": "BTCUSDT", "time": 1589437530011}, 1589437530011, "10659.509"),
        (
            {
                "symbol": "BTCUSDT", "pair": "BTCUSD", "openInterest": "15004", "contractType": "CURRENT_QUARTER",
                "time": 1591261042378,
            },
            1591261042378,
            "15004",
        ),
    ],
    ids=["usdm", "coinm"],
)  # fmt: skip
def test_an_open_interest_of_the_documentation_is_its_row(body: dict[str, object], time: int, value: str) -> None:
    """developers.binance.com/docs/derivatives/usds-margined-futures (and coin-margined-) …/market-data/rest-api/Open-Interest."""
    assert parse_open_interest(orjson.dumps(body), "BTCUSDT") == [OpenInterest("BTCUSDT", time * 1_000, value)]
    for spoilt in ({"symbol": "ETHUSDT"}, {"openInterest": "-1"}, {"openInterest": 5}, {"time": 0}, {"time": None}):
        with pytest.raises(UnusableAnswer):
            parse_open_interest(orjson.dumps(body | spoilt), "BTCUSDT")

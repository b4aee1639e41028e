"""Histories of contracts with a delivery date: how the venue calls them, and what they do not have."""

import asyncio
import types
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.ranges import Range
from extract_process.venues.binance.futures.coinm import PRODUCT as COINM
from extract_process.venues.binance.futures.history import FuturesHistory
from extract_process.venues.binance.futures.product import Product
from extract_process.venues.binance.futures.quarters import kinds_of
from extract_process.venues.binance.futures.usdm import PRODUCT as USDM
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import DAY_US, HOUR_US, parse_instant

ROLL = parse_instant("2024-09-27T08:00")
"""BTCUSD_240927 is delivered: BTCUSD_241227 is the current quarter's from then on."""


class Client:
    """Answers as the venue: a row per hour, under the name that it was asked for; `sent` are the requests."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []

    async def get(self, path: str, sent: dict[str, str], weight: int, parse: Any) -> Answer[Any]:
        self.sent.append(sent)
        named = {name: sent[name] for name in ("symbol", "pair", "contractType") if name in sent}
        first, last, hour = int(sent["startTime"]), int(sent["endTime"]), HOUR_US // 1_000
        counts = {"sumOpenInterest": "2", "sumOpenInterestValue": "3"}
        rows = [{**named, **counts, "timestamp": at} for at in range(-(-first // hour) * hour, last + 1, hour)]
        body = orjson.dumps(rows)
        return Answer(body, ROLL, parse(body, ROLL))


def history(product: Product) -> tuple[FuturesHistory, Client]:
    client = Client()
    markets = types.SimpleNamespace(client=types.SimpleNamespace(server_now=lambda: ROLL))
    return FuturesHistory(markets, client, client, product), client  # type: ignore[arg-type]


def fetched(product: Product, symbol: str, span: Range) -> tuple[list[tuple[Any, ...]], list[dict[str, str]]]:
    rest, client = history(product)
    rest.check(symbol, "open_interest")
    rows = asyncio.run(rest.fetch_open_interest(symbol, "1h", span)).parsed.to_pylist()
    return [(row["symbol"], row["event_time"].day, row["event_time"].hour) for row in rows], client.sent


def test_open_interest_of_a_quarterly_contract_follows_its_kind() -> None:
    span = Range(ROLL - 2 * HOUR_US, ROLL + 2 * HOUR_US)
    rows, sent = fetched(COINM, "BTCUSD_241227", span)
    assert rows == [("BTCUSD_241227", 27, hour) for hour in (6, 7, 9, 10)]  # at 08:00 it may be either contract's
    assert [(one["pair"], one["contractType"]) for one in sent] == [("BTCUSD", "NEXT_QUARTER"), ("BTCUSD", "CURRENT_QUARTER")]
    rows, sent = fetched(COINM, "BTCUSD_240927", span)
    assert rows == [("BTCUSD_240927", 27, hour) for hour in (6, 7, 8)]
    assert [one["contractType"] for one in sent] == ["CURRENT_QUARTER"]
    assert fetched(COINM, "BTCUSD_240628", span) == ([], []), "it was delivered before"


def test_open_interest_of_usdm_and_perpetuals_is_asked_for_by_name() -> None:
    span = Range(ROLL, ROLL + HOUR_US)
    assert fetched(USDM, "BTCUSDT_241227", span)[1][0]["symbol"] == "BTCUSDT_241227"
    rows, (sent,) = fetched(COINM, "BTCUSD_PERP", span)
    assert (sent["pair"], sent["contractType"], len(rows)) == ("BTCUSD", "PERPETUAL", 2)


@pytest.mark.parametrize(("product", "symbol"), [(USDM, "BTCUSDT_240927"), (COINM, "BTCUSD_240927")])
def test_contract_with_a_delivery_date_has_no_funding(product: Product, symbol: str) -> None:
    with pytest.raises(UsageError, match=f"{symbol} has a delivery date: it has no funding"):
        history(product)[0].check(symbol, "funding_rates")


@pytest.mark.parametrize("day", ["240926", "240830", "249999", "1"])
def test_date_on_which_nothing_is_delivered_is_named(day: str) -> None:
    with pytest.raises(UsageError, match=f"BTCUSD_{day}: {day} is not the last Friday of a quarter"):
        history(COINM)[0].check(f"BTCUSD_{day}", "open_interest")


@given(st.integers(0, 200 * 24), st.integers(0, 200 * 24))
def test_every_hour_of_a_contract_is_asked_for_once_but_that_of_a_delivery(start: int, hours: int) -> None:
    span = Range(ROLL - 95 * DAY_US + start * HOUR_US, ROLL - 95 * DAY_US + (start + hours) * HOUR_US)
    listed, delivered = parse_instant("2024-06-28T08:00"), parse_instant("2024-12-27T08:00")
    expected = [at for at in range(span.first, span.last + 1, HOUR_US) if listed < at <= delivered and at != ROLL]
    found = [at for _, part in kinds_of("BTCUSD_241227", span) for at in range(span.first, span.last + 1, HOUR_US) if at in part]
    assert found == expected

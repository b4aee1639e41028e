"""What the page says of a contract against spot: the pairs of a market, the last recorded hour, and the funding that runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from status_page.basis import Bases
from status_page.queries import Queries
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.timestamps import HOUR_US, SECOND_US, from_datetime
from tickhouse_core.warehouse import Warehouse, connect_reader

NEWEST = datetime(2024, 8, 9, 12, 0, 14, tzinfo=UTC)
SPOT, KUCOIN, PERPETUAL = ("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"), ("binance-usdm", "BTCUSDT")
DATED, OTHER = ("binance-usdm", "BTCUSDT_240927"), ("binance-usdm", "ETHUSDT")


@pytest.fixture
def bases(warehouse_settings: WarehouseSettings, warehouse: Warehouse) -> Iterator[Bases]:
    queries = Queries(lambda: connect_reader(warehouse_settings))
    yield Bases(queries, fresh_seconds=0.0)
    queries.close()


def name(warehouse: Warehouse, *markets: tuple[str, str]) -> None:
    rows = [
        {"venue": venue, "symbol": symbol, "market": symbol.replace("-", "").replace("_", ""), "build_version": 1}
        for venue, symbol in markets
    ]
    warehouse.insert_rows("stored_symbol_names", rows)


def tops(warehouse: Warehouse, market: tuple[str, str], bids: dict[int, float]) -> None:
    """By seconds before NEWEST; the ask is 2 above the bid."""
    rows = [
        {"venue": market[0], "symbol": market[1], "open_time": NEWEST - timedelta(seconds=before), "build_version": 1}
        | {"best_bid_price": bid, "best_ask_price": bid + 2, "bid_reach_price": 1, "ask_reach_price": 100_000}
        for before, bid in bids.items()
    ]
    warehouse.insert_rows("stored_book_top", rows)


def test_a_pair_has_the_last_basis_of_every_ten_seconds_of_the_last_recorded_hour(bases: Bases, warehouse: Warehouse) -> None:
    name(warehouse, SPOT, KUCOIN, PERPETUAL, DATED, OTHER)
    tops(warehouse, SPOT, {0: 999, 1: 999, 5: 999, 30: 999, 4000: 999})
    tops(warehouse, PERPETUAL, {0: 1000, 1: 1001, 5: 1003, 30: 998, 4000: 990})
    mark: dict[str, Any] = {"venue": PERPETUAL[0], "symbol": PERPETUAL[1], "event_time": NEWEST, "mark_price": 1001}
    mark |= {"index_price": 1000, "funding_rate": "0.0001", "next_funding_time": NEWEST.replace(hour=16, minute=0, second=0)}
    warehouse.insert_rows("silver_mark_prices", [mark])

    found = bases.of(*PERPETUAL)["pairs"]
    assert [(pair["spot_venue"], pair["spot_symbol"]) for pair in found] == [SPOT, KUCOIN]
    pair = found[0]
    end = from_datetime(NEWEST) + SECOND_US
    assert (pair["since"], pair["until"], pair["delivery"]) == (end - HOUR_US, end, 0)
    expected = [(11 * 60 + 59, 40, -10.0), (12 * 60, 0, 40.0), (12 * 60, 10, 10.0)]
    midnight = from_datetime(NEWEST.replace(hour=0, minute=0, second=0))
    assert [row[0] for row in pair["basis"]] == [midnight + (60 * minute + second) * SECOND_US for minute, second, _ in expected]
    assert [row[1] for row in pair["basis"]] == pytest.approx([bps for *_, bps in expected])
    assert {row[2] for row in pair["basis"]} == {None}
    rate, settled, hours, year, premium = pair["funding"]
    assert (rate, hours, year, premium) == (0.0001, None, pytest.approx(0.1095), pytest.approx(10.0))
    assert settled == midnight + 16 * HOUR_US
    assert found[1]["basis"] == [], "the book of KuCoin is not recorded"


def test_an_hour_is_read_again_when_the_contract_has_a_new_second(bases: Bases, warehouse: Warehouse) -> None:
    name(warehouse, SPOT, PERPETUAL)
    for before, seen in ((30, 1), (0, 2)):
        tops(warehouse, SPOT, {before: 999})
        tops(warehouse, PERPETUAL, {before: 1000})
        assert len(bases.of(*SPOT)["pairs"][0]["basis"]) == seen
    tops(warehouse, SPOT, {15: 999})
    tops(warehouse, PERPETUAL, {15: 1000})
    assert len(bases.of(*SPOT)["pairs"][0]["basis"]) == 2, "read a moment ago, and no newer second"


def test_a_market_is_in_the_pairs_of_its_contracts_or_in_none(bases: Bases, warehouse: Warehouse) -> None:
    name(warehouse, SPOT, DATED, PERPETUAL, OTHER, ("binance", "XRPUSDT"))
    tops(warehouse, SPOT, {0: 999})
    tops(warehouse, DATED, {0: 1009})
    perpetual, dated = bases.of(*SPOT)["pairs"]
    assert (perpetual["symbol"], perpetual["basis"], perpetual["funding"]) == ("BTCUSDT", [], None)
    assert (dated["symbol"], dated["delivery"]) == (DATED[1], from_datetime(datetime(2024, 9, 27, 8, tzinfo=UTC)))
    assert dated["basis"][0][2] == pytest.approx(0.01 * 365 * 86_400 / (dated["delivery"] / 1e6 - NEWEST.timestamp()))
    [alone] = bases.of(*OTHER)["pairs"]
    assert (alone["spot_venue"], alone["basis"]) == ("", [])
    assert bases.of("binance", "XRPUSDT") == {"pairs": []}

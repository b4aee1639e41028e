"""Gold of markets whose quantities are contracts: volumes in the quote asset are contracts times what one is worth."""

from decimal import ROUND_DOWN, Decimal

import pytest

from tickhouse_core.datasets import STREAM_EVENTS, TRADES
from tickhouse_core.timestamps import MINUTE_US
from tickhouse_core.warehouse import Warehouse

from .warehouse_rows import Row, klines, land, select, table_of, trades, transform, us

VENUE, SYMBOL, START = "binance-coinm", "BTCUSD_PERP", us("2024-08-09")


def contract(warehouse: Warehouse, size: str, at: int) -> None:
    names: Row = {"venue": VENUE, "symbol": SYMBOL, "channel": "", "instance": "main", "event": "contract", "cause": ""}
    times: Row = {"from_update_id": [None], "to_update_id": [None], "started_at": [at], "ended_at": [None]}
    land(warehouse, STREAM_EVENTS, table_of(STREAM_EVENTS, names | times | {"detail": size}))


def minute(warehouse: Warehouse, venue: str = VENUE) -> Row:
    (row,) = select(warehouse, f"select * from gold_ohlcv_1m where venue = '{venue}' and volume > 0")
    return row


def test_contracts_of_trades_are_worth_their_size_and_not_their_price(warehouse: Warehouse) -> None:
    """Two trades of half a contract of 100 USD, one of them a taker's purchase."""
    for venue, symbol in ((VENUE, SYMBOL), ("binance", "BTCUSDT")):
        land(warehouse, TRADES, trades([1, 2], prices=["100", "300"], venue=venue, symbol=symbol))
    transform(warehouse)
    contract(warehouse, "10", START)
    contract(warehouse, "100", START + 1)
    (told,) = select(warehouse, "select * from contracts")
    assert told == {"venue": VENUE, "symbol": SYMBOL, "contract_size": Decimal(100)}
    row = minute(warehouse)
    assert (row["volume"], row["quote_volume"], row["taker_buy_quote_volume"]) == (1, 100, 50)
    assert row["vwap"] == 200
    spot = minute(warehouse, "binance")
    assert (spot["volume"], spot["quote_volume"], spot["vwap"]) == (1, 200, 200)


def test_candles_have_the_coin_where_gold_has_the_worth(warehouse: Warehouse) -> None:
    from tickhouse_core.datasets import KLINES

    land(warehouse, KLINES, klines([START], venue=VENUE, symbol=SYMBOL))
    contract(warehouse, "100", START + MINUTE_US)
    transform(warehouse)
    row = minute(warehouse)
    (candle,) = select(warehouse, "select volume, quote_volume from klines")
    assert row["quote_volume"] == candle["volume"] * 100
    coin = Decimal(candle["quote_volume"])
    assert row["vwap"] == (row["quote_volume"] / coin).quantize(Decimal("1e-18"), ROUND_DOWN)


@pytest.mark.parametrize("size", ["", "much", "-"])
def test_a_size_that_is_none_changes_nothing(size: str, warehouse: Warehouse) -> None:
    land(warehouse, TRADES, trades([1, 2], venue=VENUE, symbol=SYMBOL))
    contract(warehouse, size, START)
    transform(warehouse)
    assert minute(warehouse)["quote_volume"] == 100

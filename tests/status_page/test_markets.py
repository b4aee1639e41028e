"""Which markets the page offers, and what it knows of them to compare them."""

from datetime import UTC, datetime

from status_page.queries import Queries
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect_reader

KNOWN = {
    ("binance", "BTCUSDT"): "BTCUSDT",
    ("binance-usdm", "BTCUSDT_240927"): "BTCUSDT240927",
    ("binance-coinm", "BTCUSD_PERP"): "BTCUSDPERP",
    ("kucoin", "XBT-USDT"): "XBTUSDT",
}


def test_a_market_has_its_name_across_venues_its_kind_and_its_delivery(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    opened = datetime(2024, 8, 9, tzinfo=UTC)
    kline = {"interval": "1m", "open_time": opened, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "is_closed": True}
    drawn = [*KNOWN, ("kucoin", "NEW-USDT")]
    warehouse.insert_rows("silver_klines", [{"venue": venue, "symbol": symbol} | kline for venue, symbol in drawn])
    names = [
        {"venue": venue, "symbol": symbol, "market": letters, "build_version": 1} for (venue, symbol), letters in KNOWN.items()
    ]
    warehouse.insert_rows("stored_symbol_names", names)
    warehouse.insert_rows("symbol_aliases", [{"venue": "kucoin", "symbol": "XBT-USDT", "market": "BTCUSDT"}])
    queries = Queries(lambda: connect_reader(warehouse_settings))
    found = queries.ask("markets", {"since_us": 0})
    queries.close()
    assert [tuple(row) for row in found] == [
        ("binance", "BTCUSDT", "BTCUSDT", "spot", 0),
        ("binance-coinm", "BTCUSD_PERP", "BTCUSDT", "perpetual", 0),
        ("binance-usdm", "BTCUSDT_240927", "BTCUSDT", "delivery", 1_727_424_000_000_000),
        ("kucoin", "NEW-USDT", "", "", 0),
        ("kucoin", "XBT-USDT", "BTCUSDT", "spot", 0),
    ]

"""Binance COIN-M futures: quantities are contracts of a fixed worth in USD, settled in the coin."""

from pydantic import Field

from extract_process.venues.binance.futures import venue_of
from extract_process.venues.binance.futures.product import FuturesSettings, Product
from tickhouse_core.settings import HttpUrl, SocketUrl, read
from tickhouse_core.timestamps import DAY_US


class BinanceCoinmSettings(FuturesSettings, env_prefix="BINANCE_COINM_"):
    """COIN-M futures share their request weight with USD-M futures."""

    rest_url: HttpUrl = Field("https://dapi.binance.com", description="REST base URL")
    ws_url: SocketUrl = Field("wss://dstream.binance.com", description="WebSocket base URL")


PRODUCT = Product(
    name="binance-coinm",
    api="/dapi/v1",
    archive="futures/cm",
    usual_symbols=("BTCUSD_PERP", "ETHUSD_PERP"),
    settings=BinanceCoinmSettings,
    socket_of=lambda stream: "",  # one for all, unlike USD-M's
    address_of=lambda socket: read(BinanceCoinmSettings).ws_url,
    status_key="contractStatus",
    earliest_us=1_591_747_200_000_000,  # 2020-06-10, before the first contract
    quantities_are_contracts=True,
    longest_klines_us=200 * DAY_US,
)
VENUE = venue_of(PRODUCT)

"""Binance USD-M futures: contracts in units of the coin, quoted and settled in a stablecoin."""

from extract_process.venues.binance.futures import venue_of
from extract_process.venues.binance.futures.product import Product
from tickhouse_core.settings import BinanceUsdmSettings, read


def _socket_of(stream: str) -> str:
    """Since 2026-04-23: `public` has books, their tops and single trades, `market` the rest.

    A stream on the other one is accepted and silent. Of `trade` the documentation says nothing: it was seen on `public`
    (counted on both on 2026-09-18).
    """
    kind = stream.partition("@")[2]
    return "public" if kind.startswith(("depth", "bookTicker", "trade")) else "market"


def _address_of(socket: str) -> str:
    settings = read(BinanceUsdmSettings)
    return settings.public_ws_url if socket == "public" else settings.market_ws_url


PRODUCT = Product(
    name="binance-usdm",
    api="/fapi/v1",
    archive="futures/um",
    symbol_example="BTCUSDT",
    settings=BinanceUsdmSettings,
    socket_of=_socket_of,
    address_of=_address_of,
    status_key="status",
    earliest_us=1_567_900_800_000_000,  # 2019-09-08, the first day of BTCUSDT
)
VENUE = venue_of(PRODUCT)

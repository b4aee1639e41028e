"""Binance USD-M futures: contracts in units of the coin, quoted and settled in a stablecoin."""

from pydantic import Field

from extract_process.venues.binance.futures import venue_of
from extract_process.venues.binance.futures.product import FuturesSettings, Product
from tickhouse_core.settings import HttpUrl, SocketUrl, read


class BinanceUsdmSettings(FuturesSettings, env_prefix="BINANCE_USDM_"):
    """Binance serves the streams of USD-M futures from two addresses."""

    rest_url: HttpUrl = Field("https://fapi.binance.com", description="REST base URL")
    public_ws_url: SocketUrl = Field("wss://fstream.binance.com/public", description="WebSocket base URL of books and trades")
    market_ws_url: SocketUrl = Field("wss://fstream.binance.com/market", description="WebSocket base URL of the other streams")


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
    usual_symbols=("BTCUSDT", "ETHUSDT"),
    settings=BinanceUsdmSettings,
    socket_of=_socket_of,
    address_of=_address_of,
    status_key="status",
    earliest_us=1_567_900_800_000_000,  # 2019-09-08, the first day of BTCUSDT
)
VENUE = venue_of(PRODUCT)

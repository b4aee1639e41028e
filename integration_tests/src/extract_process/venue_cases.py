"""What the conformance suite must know of each venue's simulator: spelling, names of streams, where its tally is. Not a test."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import httpx

from extract_process.venues import venue_named
from simulated_exchange.app import RunningExchange
from simulated_exchange.binance.futures.product import PRODUCTS, Product
from simulated_exchange.kucoin.messages import sequence_of


@dataclass(frozen=True)
class VenueCase:
    """`trade_id_of` makes the id that lands of the simulator's own consecutive one."""

    venue: str
    symbol: str
    depth: str
    trades: str
    book_path: str
    trade_id_of: Callable[[int], int]
    fetch_kline: Callable[[RunningExchange, datetime], list[str]]
    """Open, high, low, close, volume of the minute, by a plain request."""

    part: str | None = None

    def kline(self, exchange: RunningExchange, opened: datetime) -> tuple[Decimal, ...]:
        return tuple(map(Decimal, self.fetch_kline(exchange, opened)))

    def sockets(self, exchange: RunningExchange) -> dict[str, Any]:
        tally = exchange.tally()
        sockets: dict[str, Any] = (tally if self.part is None else tally[self.part])["sockets"]
        return sockets

    def sent(self, exchange: RunningExchange, stream: str) -> int:
        """Messages of a stream so far."""
        return int(self.sockets(exchange)["streams"].get(stream, {}).get("messages", 0))

    def missing(self, exchange: RunningExchange, stream: str) -> set[int]:
        """The simulator's ids between the first and the last sent that it never sent."""
        told = self.sockets(exchange)["streams"][stream]["missing"]
        return {number for first, last in told for number in range(first, last + 1)}


def _binance_kline(path: str, symbol: str, exchange: RunningExchange, opened: datetime) -> list[str]:
    at = round(opened.timestamp()) * 1_000
    asked: dict[str, str | int] = {"symbol": symbol, "interval": "1m", "startTime": at, "endTime": at}
    [row] = httpx.get(f"{exchange.url}{path}", params=asked).raise_for_status().json()
    return list(row[1:6])


def _kucoin_kline(exchange: RunningExchange, opened: datetime) -> list[str]:
    at = round(opened.timestamp())
    asked: dict[str, str | int] = {"symbol": "BTC-USDT", "type": "1min", "startAt": at, "endAt": at + 1}
    answer = httpx.get(f"{exchange.url}/api/v1/market/candles", params=asked).raise_for_status().json()
    [[_, open_, close, high, low, volume, _]] = answer["data"]
    return [open_, high, low, close, volume]


def _futures_case(product: Product) -> VenueCase:
    """Of a futures market that the simulator has: the first of its usual symbols."""
    venue = f"binance-{product.name}"
    symbol = venue_named(venue).symbol_example
    return VenueCase(
        venue,
        symbol,
        f"{symbol.lower()}@depth@100ms",
        f"{symbol.lower()}@trade",
        f"{product.api}/depth",
        lambda number: number,
        partial(_binance_kline, f"{product.api}/klines", symbol),
        product.name,
    )


CASES = (
    VenueCase(
        "binance",
        "BTCUSDT",
        "btcusdt@depth@100ms",
        "btcusdt@trade",
        "/api/v3/depth",
        lambda number: number,
        partial(_binance_kline, "/api/v3/klines", "BTCUSDT"),
    ),
    VenueCase(
        "kucoin",
        "BTC-USDT",
        "/market/level2:BTC-USDT",
        "/market/match:BTC-USDT",
        "/api/v1/market/orderbook",
        sequence_of,
        _kucoin_kline,
        "kucoin",
    ),
    *map(_futures_case, PRODUCTS),
)

"""Binance put together: the common core, and REST's books and trades of it."""

from functools import partial
from typing import Any

from simulated_exchange.binance.generator import Feeds
from simulated_exchange.binance.messages import Wording
from simulated_exchange.binance.rest import Books
from simulated_exchange.binance.ws import BinanceSockets
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.klines import KlineSource, TimeUnit
from simulated_exchange.market.live_market import LiveMarket
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.venue_core import VenueCore


class LiveBooks:
    """The running books of the generated market; asking for one starts it. Trades are known since their book was started."""

    def __init__(self, live: LiveMarket) -> None:
        self._live = live

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        market = self._live.start(symbol, now)
        if market is None:
            return None
        return Wording(market.instrument).snapshot(*market.look(now, limit))

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        market = self._live.start(symbol, now)
        if market is None:
            return "[]"
        wording = Wording(market.instrument)
        found = market.trades.latest(limit) if from_id is None else market.trades.page(from_id, limit)
        return "[" + ",".join(wording.rest_trade(trade, unit) for trade in found) + "]"


class BinanceVenue(VenueCore[Feeds]):
    """`klines` and `books` are what REST serves, so that it agrees with what the sockets say."""

    def __init__(self, config: ExchangeConfig, source: KlineSource, session: Session | None) -> None:
        super().__init__(config, source, session, Feeds, partial(BinanceSockets, config.sockets), config.seed)
        self.klines = self.live.klines
        self.books: Books = self.replay or LiveBooks(self.live)

    def told_book(self, symbol: str, update_id: int | None, limit: int) -> dict[str, Any]:
        """The true book in the venue's words; ValueError where it is not known."""
        market, found, *sides = self.book(symbol, update_id, limit)
        bids, asks = map(Wording(market.instrument).pairs, sides)
        return {"lastUpdateId": found, "bids": bids, "asks": asks}

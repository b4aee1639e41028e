"""PURE. What REST says about order books and trades: of running books here, of recordings in `session_replay`."""

from typing import Protocol

from simulated_exchange.binance.messages import Wording
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.market.live_market import LiveMarket


class Books(Protocol):
    """JSON texts; `now` and times in milliseconds."""

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        """The body of /api/v3/depth, None where there is no book."""

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        """A list of trades: from an id (inclusive) on, or the latest."""


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

"""PURE. What REST says about order books and trades: of running books here, of recordings in `session_replay`."""

from typing import Protocol

from simulated_exchange.kline_rows import TimeUnit
from simulated_exchange.live_market import LiveMarket
from simulated_exchange.stream_messages import Wording
from simulated_exchange.symbol_market import SymbolMarket
from simulated_exchange.trade_log import Aggregate


class Books(Protocol):
    """JSON texts; `now` and times in milliseconds."""

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        """The body of /api/v3/depth, None where there is no book."""

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        """A list of trades: from an id (inclusive) on, or the latest."""

    def aggregates(
        self, symbol: str, now: int, from_id: int | None, bounds: tuple[int | None, int | None], limit: int, unit: TimeUnit
    ) -> str:
        """A list of aggregate trades: from an id on, or between two times, either of which may be missing."""


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

    def aggregates(
        self, symbol: str, now: int, from_id: int | None, bounds: tuple[int | None, int | None], limit: int, unit: TimeUnit
    ) -> str:
        market = self._live.start(symbol, now)
        if market is None:
            return "[]"
        wording = Wording(market.instrument)
        found = _aggregates(market, from_id, bounds, limit)
        return "[" + ",".join(wording.rest_aggregate(aggregate, unit) for aggregate in found) + "]"


def _aggregates(market: SymbolMarket, from_id: int | None, bounds: tuple[int | None, int | None], limit: int) -> list[Aggregate]:
    start, end = bounds
    if from_id is not None:
        return market.trades.aggregates(from_id, limit)
    last_us = (end + 1) * 1000 - 1 if end is not None else None
    if start is None:
        return market.trades.latest_aggregates(limit, last_us)
    return market.trades.aggregates_between(start * 1000, (1 << 62) if last_us is None else last_us, limit)

"""PURE. The latest trades of one symbol in 25 bytes each, by trade id and by time."""

from array import array
from bisect import bisect_left
from typing import NamedTuple

from simulated_exchange.market.klines import Kline

KEPT = 200_000  # of each symbol, at least


class Trade(NamedTuple):
    """Price in ticks, quantity in steps, time in microseconds."""

    trade_id: int
    price: int
    quantity: int
    time_us: int
    is_buyer_maker: bool


class TradeLog:
    """Ids are contiguous, times ascend."""

    def __init__(self, first_id: int, kept: int = KEPT) -> None:
        self._first = first_id
        self._kept = kept
        self._prices, self._quantities, self._times = (array("q") for _ in range(3))
        self._makers = array("b")

    @property
    def next_id(self) -> int:
        return self._first + len(self._prices)

    def append(self, trade: Trade) -> None:
        """The next trade; far above `kept` the oldest ones go."""
        self._prices.append(trade.price)
        self._quantities.append(trade.quantity)
        self._times.append(trade.time_us)
        self._makers.append(trade.is_buyer_maker)
        if len(self._prices) > self._kept * 5 // 4:
            self._forget(len(self._prices) - self._kept)

    def latest(self, limit: int) -> list[Trade]:
        return self.page(max(self._first, self.next_id - limit), limit)

    def page(self, from_id: int, limit: int) -> list[Trade]:
        """Up to `limit` trades from `from_id` (inclusive) or the oldest one kept."""
        start = max(from_id - self._first, 0)
        return [self._at(index) for index in range(start, min(start + limit, len(self._prices)))]

    def between(self, start_us: int, end_us: int) -> list[Trade]:
        """Trades with start <= time < end."""
        return [self._at(index) for index in range(bisect_left(self._times, start_us), bisect_left(self._times, end_us))]

    def price_before(self, time_us: int) -> int | None:
        """The price of the last trade before a time, None if none is kept."""
        stop = bisect_left(self._times, time_us)
        return self._prices[stop - 1] if stop else None

    def _at(self, index: int) -> Trade:
        return Trade(
            self._first + index,
            self._prices[index],
            self._quantities[index],
            self._times[index],
            bool(self._makers[index]),
        )

    def _forget(self, number: int) -> None:
        for column in (self._prices, self._quantities, self._times, self._makers):
            del column[:number]
        self._first += number


def flat_kline(open_time: int, price: int) -> Kline:
    """A kline nobody traded in."""
    return Kline(open_time, price, price, price, price, 0, 0, 0, 0, 0)


def with_trade(kline: Kline, trade: Trade) -> Kline:
    """The kline after one more trade; the first trade ever sets open, high and low of one that is still empty."""
    price, quantity = trade.price, trade.quantity
    notional = price * quantity
    empty = not kline.trade_count
    taker = not trade.is_buyer_maker
    return Kline(
        kline.open_time,
        price if empty else kline.open,
        price if empty or price > kline.high else kline.high,
        price if empty or price < kline.low else kline.low,
        price,
        kline.volume + quantity,
        kline.quote_volume + notional,
        kline.trade_count + 1,
        kline.taker_buy_volume + (quantity if taker else 0),
        kline.taker_buy_quote_volume + (notional if taker else 0),
    )

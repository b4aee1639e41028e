"""PURE. One symbol's last 24 hours: open, high, low, volumes over the latest 1440 minutes and the current one."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from simulated_exchange.market.intervals import DAY, MINUTE
from simulated_exchange.market.klines import Kline, KlineSource

MINUTES = DAY // MINUTE


class MiniTicker(NamedTuple):
    """Prices in ticks, volume in steps, quote volume in tick times step."""

    close: int
    open: int
    high: int
    low: int
    volume: int
    quote_volume: int
    trade_count: int


class RollingDay:
    """Follows a `KlineSource`; a minute that has closed is looked at once."""

    def __init__(self, source: KlineSource, symbol: str) -> None:
        self._source = source
        self._symbol = symbol
        self._end = 0
        self._opens, self._highs, self._lows, self._volumes, self._quotes, self._counts = (array("q") for _ in range(6))
        self._times = array("q")
        self._close = self._high = self._low = self._volume = self._quote_volume = self._count = 0

    def at(self, now: int, current: Kline | None) -> MiniTicker | None:
        """The ticker at `now` with the running minute, if there is one; None before anything has traded."""
        minute = now - now % MINUTE
        if minute != self._end:
            self._follow(minute)
        if not self._times:
            return _of_one(current) if current and current.trade_count else None
        ticker = MiniTicker(self._close, self._opens[0], self._high, self._low, self._volume, self._quote_volume, self._count)
        return _with(ticker, current) if current and current.trade_count else ticker

    def _follow(self, minute: int) -> None:
        start = max(self._end, minute - DAY)
        new = self._source.minutes(self._symbol, start, minute)
        for column, values in zip(self._columns(), _columns_of(new), strict=True):
            column.extend(values)
        old = next((index for index, time in enumerate(self._times) if time >= minute - DAY), len(self._times))
        for column in self._columns():
            del column[:old]
        self._end = minute
        self._close = new[-1].close if new else self._close
        self._high, self._low = max(self._highs, default=0), min(self._lows, default=0)
        self._volume, self._quote_volume, self._count = sum(self._volumes), sum(self._quotes), sum(self._counts)

    def _columns(self) -> Sequence["array[int]"]:
        return self._times, self._opens, self._highs, self._lows, self._volumes, self._quotes, self._counts


def _of_one(kline: Kline) -> MiniTicker:
    return MiniTicker(kline.close, kline.open, kline.high, kline.low, kline.volume, kline.quote_volume, kline.trade_count)


def _with(ticker: MiniTicker, kline: Kline) -> MiniTicker:
    return MiniTicker(
        kline.close,
        ticker.open,
        max(ticker.high, kline.high),
        min(ticker.low, kline.low),
        ticker.volume + kline.volume,
        ticker.quote_volume + kline.quote_volume,
        ticker.trade_count + kline.trade_count,
    )


def _columns_of(klines: Sequence[Kline]) -> Sequence[list[int]]:
    return (
        [kline.open_time for kline in klines],
        [kline.open for kline in klines],
        [kline.high for kline in klines],
        [kline.low for kline in klines],
        [kline.volume for kline in klines],
        [kline.quote_volume for kline in klines],
        [kline.trade_count for kline in klines],
    )

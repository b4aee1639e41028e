"""PURE. The price a running book is drawn to: straight lines between the history's prices at whole minutes."""

from collections.abc import Sequence

from simulated_exchange.intervals import MINUTE
from simulated_exchange.kline_rows import KlineSource

_FEWEST_MINUTES = 600  # read at a time; `spread` makes it a little more, so that 500 symbols do not all read at once


class ReferencePath:
    """One symbol's path; it looks the history's minutes up a few hundred at a time."""

    def __init__(self, source: KlineSource, symbol: str, spread: int) -> None:
        self._source = source
        self._symbol = symbol
        self._minutes = _FEWEST_MINUTES + spread % _FEWEST_MINUTES
        self._start = 0
        self._prices: Sequence[int] = ()

    def at(self, now: int) -> int:
        """The price in ticks at an instant in milliseconds."""
        index = (now - self._start) // MINUTE
        if not 0 <= index < len(self._prices) - 1:
            self._start = now - now % MINUTE
            self._prices = self._source.minute_opens(self._symbol, self._start, self._minutes)
            index = 0
        price = self._prices[index]
        return price + (self._prices[index + 1] - price) * (now % MINUTE) // MINUTE

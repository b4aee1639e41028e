"""PURE. OrderBook: the levels of one symbol, both sides, exact. Applies absolute quantities; judges nothing."""

from collections.abc import Iterable
from decimal import Decimal

Level = tuple[str, str]
"""Price and quantity as the venue sent them."""


class OrderBook:
    """Levels by price as a number, so that `100` and `100.00` are one level; quantities stay the venue's text.

    Binance: quantities are absolute, a quantity of 0 removes the level, and removing a level that is not there is
    normal (a snapshot holds 5,000 levels a side at most).
    """

    def __init__(self) -> None:
        self._bids: dict[Decimal, Level] = {}
        self._asks: dict[Decimal, Level] = {}

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """The levels of a snapshot instead of all there were."""
        self._bids.clear()
        self._asks.clear()
        self.apply(bids, asks)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """The changed levels of a diff."""
        _set_levels(self._bids, bids)
        _set_levels(self._asks, asks)

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """The best `count` bids (highest first) and asks (lowest first)."""
        bids = sorted(self._bids, reverse=True)[:count]
        asks = sorted(self._asks)[:count]
        return [self._bids[price] for price in bids], [self._asks[price] for price in asks]


def _set_levels(side: dict[Decimal, Level], levels: Iterable[Level]) -> None:
    for level in levels:
        price = Decimal(level[0])
        if Decimal(level[1]):
            side[price] = level
        else:
            side.pop(price, None)

"""PURE. A matching order book in ticks and steps: the quantity at each price, one update id per change.

Depth far from the market costs nothing: a `background` says what rests at a price nobody has touched yet.
"""

from collections.abc import Callable
from typing import NamedTuple

Background = Callable[[int], int]
Level = tuple[int, int]


class Changes(NamedTuple):
    """Levels touched since the last time: price -> quantity before; 0 stands for none."""

    bids: dict[int, int]
    asks: dict[int, int]


class BookSide:
    """Bids (`last` below `best`) or asks: quantities by price; `best` 0 = nobody there.

    `last` is the price farthest away that an order can have.
    """

    __slots__ = ("_away", "_background", "_changed", "_last", "_totals", "best")

    def __init__(self, best: int, last: int, background: Background) -> None:
        self.best = best
        self._last = last
        self._away = 1 if last > best else -1
        self._background = background
        self._totals: dict[int, int] = {}
        self._changed: dict[int, int] = {}
        if not self.total(best):
            self.best = self._next(best)

    def total(self, price: int) -> int:
        """The quantity at a price."""
        total = self._totals.get(price)
        return self._background(price) if total is None else total

    def levels(self, most: int) -> list[Level]:
        """The best `most` levels, best first."""
        found: list[Level] = []
        total = self.total
        for price in range(self.best, self._last + self._away, self._away) if self.best else ():
            if quantity := total(price):
                found.append((price, quantity))
                if len(found) == most:
                    break
        return found

    def add(self, price: int, quantity: int) -> None:
        """An order waits at `price`."""
        self._set(price, self.total(price) + quantity)
        if not self.best or (price - self.best) * self._away < 0:
            self.best = price

    def remove(self, price: int, quantity: int) -> bool:
        """Takes as much as there is of `quantity` out of a level; False if nobody is there."""
        total = self.total(price)
        if not total:
            return False
        self._set(price, max(0, total - quantity))
        if price == self.best and quantity >= total:
            self.best = self._next(price)
        return True

    def match(self, quantity: int, worst: int) -> list[Level]:
        """Fills (price, quantity) of an incoming order, best price first, none worse than `worst`."""
        fills: list[Level] = []
        while quantity and self.best and (worst - self.best) * self._away >= 0:
            price = self.best
            traded = min(quantity, self.total(price))
            self.remove(price, traded)
            fills.append((price, traded))
            quantity -= traded
        return fills

    def pending(self) -> dict[int, int]:
        """Levels touched since the last `collect`, with the quantity they had then.

        One that is back where it was is among them: somebody may have looked at the book in between.
        """
        return dict(self._changed)

    def collect(self) -> dict[int, int]:
        """`pending`, and what changes from now on counts as new."""
        changed = self.pending()
        self._changed.clear()
        return changed

    def _set(self, price: int, total: int) -> None:
        self._changed.setdefault(price, self.total(price))
        self._totals[price] = total

    def _next(self, price: int) -> int:
        while price != self._last:
            price += self._away
            if self.total(price):
                return price
        return 0


class OrderBook:
    """Two sides that never cross."""

    def __init__(self, bids: BookSide, asks: BookSide, update_id: int) -> None:
        self.bids = bids
        self.asks = asks
        self.update_id = update_id

    @property
    def top(self) -> tuple[int, int, int, int]:
        """Best bid, its quantity, best ask, its quantity."""
        bid, ask = self.bids.best, self.asks.best
        return bid, self.bids.total(bid) if bid else 0, ask, self.asks.total(ask) if ask else 0

    def limit(self, price: int, quantity: int, *, buy: bool) -> tuple[int, list[Level]]:
        """Trades what it can up to `price`, the rest waits there: (how much that is, fills)."""
        own, other = (self.bids, self.asks) if buy else (self.asks, self.bids)
        fills = other.match(quantity, price)
        rest = quantity - sum(traded for _, traded in fills)
        self.update_id += len(fills)
        if rest:
            self.update_id += 1
            own.add(price, rest)
        return rest, fills

    def take(self, quantity: int, worst: int, *, buy: bool) -> list[Level]:
        """A market order, protected by `worst`; what cannot be filled is forgotten."""
        fills = (self.asks if buy else self.bids).match(quantity, worst)
        self.update_id += len(fills)
        return fills

    def cancel(self, price: int, quantity: int, *, buy: bool) -> bool:
        """Takes an order out, as far as it is still there; False if nobody waits at its price."""
        is_there = (self.bids if buy else self.asks).remove(price, quantity)
        self.update_id += is_there
        return is_there

    def withdraw_best(self, *, buy: bool) -> None:
        """Everybody at the best price of that side leaves."""
        side = self.bids if buy else self.asks
        self.cancel(side.best, side.total(side.best), buy=buy)

    def collect(self) -> Changes:
        """What has changed since the last call."""
        return Changes(self.bids.collect(), self.asks.collect())

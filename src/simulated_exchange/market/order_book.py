"""PURE. A price-time matching order book in ticks and steps, one update id per change.

Depth far from the market costs nothing: a `background` says what rests at a price nobody has touched yet, and such a level is
turned into a real (single) order the moment somebody does.
"""

from collections.abc import Callable
from typing import NamedTuple

RESTING = 0  # the order id of what the background had at a price

Background = Callable[[int], int]
Level = tuple[int, int]


class Changes(NamedTuple):
    """Levels touched since the last time: price -> quantity before; 0 stands for none."""

    bids: dict[int, int]
    asks: dict[int, int]


class BookSide:
    """Bids (`last` below `best`) or asks: queues of orders by price, oldest first; `best` 0 = nobody there.

    `last` is the price farthest away that an order can have.
    """

    __slots__ = ("_away", "_background", "_changed", "_last", "_queues", "_totals", "best")

    def __init__(self, best: int, last: int, background: Background) -> None:
        self.best = best
        self._last = last
        self._away = 1 if last > best else -1
        self._background = background
        self._queues: dict[int, dict[int, int]] = {}
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

    def add(self, price: int, quantity: int, order_id: int) -> None:
        """Joins the end of the queue at `price`."""
        queue = self._queues.get(price)
        if queue is None:
            queue = self._opened(price)
        total = self._totals[price]
        self._changed.setdefault(price, total)
        self._totals[price] = total + quantity
        queue[order_id] = quantity
        if not self.best or (price - self.best) * self._away < 0:
            self.best = price

    def cancel(self, price: int, order_id: int) -> bool:
        """Takes an order out; False if it is no longer there."""
        queue = self._queues.get(price)
        if queue is None or order_id not in queue:
            return False
        self._shrink(price, queue, queue.pop(order_id))
        return True

    def cancel_front(self) -> None:
        """Takes out the order that would trade next."""
        queue = self._queues.get(self.best)
        if queue is None:
            queue = self._opened(self.best)
        self._shrink(self.best, queue, queue.pop(next(iter(queue))))

    def match(self, quantity: int, worst: int) -> list[Level]:
        """Fills (price, quantity) of an incoming order, best price first, oldest order first, none worse than `worst`."""
        fills: list[Level] = []
        while quantity and self.best and (worst - self.best) * self._away >= 0:
            price = self.best
            queue = self._queues.get(price)
            if queue is None:
                queue = self._opened(price)
            order_id, resting = next(iter(queue.items()))
            traded = min(quantity, resting)
            if traded == resting:
                del queue[order_id]
            else:
                queue[order_id] = resting - traded
            fills.append((price, traded))
            quantity -= traded
            self._shrink(price, queue, traded)
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

    def _opened(self, price: int) -> dict[int, int]:
        if price in self._totals:
            queue: dict[int, int] = {}
        else:
            resting = self._background(price)
            self._totals[price] = resting
            queue = {RESTING: resting} if resting else {}
        self._queues[price] = queue
        return queue

    def _shrink(self, price: int, queue: dict[int, int], quantity: int) -> None:
        total = self._totals[price]
        self._changed.setdefault(price, total)
        self._totals[price] = total - quantity
        if not queue:
            del self._queues[price]
            if price == self.best:
                self.best = self._next(price)

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
        self._last_order_id = RESTING

    @property
    def top(self) -> tuple[int, int, int, int]:
        """Best bid, its quantity, best ask, its quantity."""
        bid, ask = self.bids.best, self.asks.best
        return bid, self.bids.total(bid) if bid else 0, ask, self.asks.total(ask) if ask else 0

    def limit(self, price: int, quantity: int, *, buy: bool) -> tuple[int, list[Level]]:
        """Trades what it can up to `price`, the rest waits there: (order id or 0, fills)."""
        own, other = (self.bids, self.asks) if buy else (self.asks, self.bids)
        fills = other.match(quantity, price)
        rest = quantity - sum(traded for _, traded in fills)
        self.update_id += len(fills)
        if not rest:
            return 0, fills
        self._last_order_id += 1
        self.update_id += 1
        own.add(price, rest, self._last_order_id)
        return self._last_order_id, fills

    def take(self, quantity: int, worst: int, *, buy: bool) -> list[Level]:
        """A market order, protected by `worst`; what cannot be filled is forgotten."""
        fills = (self.asks if buy else self.bids).match(quantity, worst)
        self.update_id += len(fills)
        return fills

    def cancel(self, price: int, order_id: int, *, buy: bool) -> bool:
        """Takes an order out; False if it has been filled or cancelled before."""
        if not (self.bids if buy else self.asks).cancel(price, order_id):
            return False
        self.update_id += 1
        return True

    def cancel_front(self, *, buy: bool) -> None:
        """The order first in line on that side is withdrawn."""
        (self.bids if buy else self.asks).cancel_front()
        self.update_id += 1

    def collect(self) -> Changes:
        """What has changed since the last call."""
        return Changes(self.bids.collect(), self.asks.collect())

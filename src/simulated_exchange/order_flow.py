"""PURE. The orders that keep a book alive: a seeded stream of limit orders, cancels and market orders around a price that
moves. Which orders come in a step depends on seed, symbol and the step's number, not on when the book was started.
"""

import math
from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from simulated_exchange.instruments import Instrument
from simulated_exchange.order_book import BookSide, Level, OrderBook

FEWEST_ORDERS = 3
MOST_ORDERS = 10

_RANDOM = Struct("<4B" + "BBHH" * MOST_ORDERS)  # 64 bytes: one digest a step
_TAKERS, _LIMITS = 2, 73  # of 128 orders so many are market orders, and so many more are limits; the others cancel
_USUAL_ORDERS = 160  # above this more is cancelled than placed
_TRADES_A_MINUTE = 200
_SWEEP = 20  # of 256 steps with outrun quotes, so many see them bought up; in the others they are withdrawn
_HIGHEST_TIMES = 5  # "askMultiplierUp": nobody may ask for more than so many times the price
_FAR, _FAR_TIMES = 8, 40  # of 256 limits, so many are so many times farther away


class Taken(NamedTuple):
    """The fills of one taker order."""

    fills: list[Level]
    buy: bool


class OrderFlow:
    """Feeds one book. `step` yields after each order, so that a caller can stop in between and go on later."""

    def __init__(self, key: str, instrument: Instrument, price: int) -> None:
        self._key = key.encode()
        steps = instrument.usual_quantity * 10**instrument.step_decimals / _TRADES_A_MINUTE
        self._sizes = [1 + int(steps * _quantile(chance)) for chance in range(256)]
        self._highest = price * _HIGHEST_TIMES + 10
        scale = max(2.0, price * 2e-6)
        self._distances = [1 + int(scale * _quantile(chance) * (_FAR_TIMES if chance < _FAR else 1)) for chance in range(256)]
        self._orders: list[tuple[int, int, bool]] = []

    def background(self, price: int, update_id: int) -> OrderBook:
        """A book that has been there for long, best ask at `price`, best bid one tick below."""
        lot = self._sizes[128]

        def resting(at: int) -> int:
            mixed = (at * 0x9E3779B1 ^ at >> 3) & 0xFFFFFF
            if mixed % 3 and at not in (price - 1, price):
                return 0
            return lot * (1 + (mixed >> 8 & 15)) + (mixed >> 12 & 7)

        bids = BookSide(max(price - 1, 2), 1, lambda at: resting(at) if at < price else 0)
        asks = BookSide(price, self._highest, lambda at: resting(at) if at >= price else 0)
        return OrderBook(bids, asks, update_id)

    def step(self, book: OrderBook, number: int, price: int) -> Iterator[Taken | None]:
        """The orders of one step, applied to the book one by one; fills where an order traded."""
        chances = _RANDOM.unpack(blake2b(b"%b/%d" % (self._key, number), digest_size=64).digest())
        yield from self._outrun(book, price, sweep=chances[1] < _SWEEP)
        orders = FEWEST_ORDERS + (chances[0] & 7)
        for at in range(4, 4 + 4 * orders, 4):
            yield self._order(book, price, *chances[at : at + 4])

    def quiet_order(self, book: OrderBook, price: int, number: int) -> None:
        """One more order that certainly changes the book and trades with nobody."""
        chance = blake2b(b"%b/quiet/%d" % (self._key, number), digest_size=4).digest()
        self._limit(book, price, chance[0], chance[1], buy=bool(chance[2] & 1))

    def _outrun(self, book: OrderBook, price: int, *, sweep: bool) -> Iterator[Taken | None]:
        """Quotes on the wrong side of the price are withdrawn, now and then somebody is faster and takes them."""
        for buy, side in ((True, book.asks), (False, book.bids)):
            outrun = 1 if buy else -1
            if sweep and side.best and (price - side.best) * outrun > 0:
                yield Taken(book.take(self._sizes[0] * 4, price - outrun, buy=buy), buy)
            while side.best and (price - side.best) * outrun > 0:
                book.cancel_front(buy=not buy)
                yield None

    def _order(self, book: OrderBook, price: int, kind: int, place: int, size: int, pick: int) -> Taken | None:
        buy, sort = bool(kind & 1), kind >> 1
        quantity = self._sizes[size & 255]
        if sort < _TAKERS:
            return self._taker(book, quantity, buy=buy, rests=bool(place & 1))
        crowded = len(self._orders) > _USUAL_ORDERS
        if sort < _TAKERS + _LIMITS - (20 if crowded else 0):
            self._limit(book, price, place, size & 255, buy=buy)
            return None
        self._cancel(book, pick)
        return None

    def _taker(self, book: OrderBook, quantity: int, *, buy: bool, rests: bool) -> Taken | None:
        best = book.asks.best if buy else book.bids.best
        if not best:
            return None
        if not rests:
            worst = best + self._distances[64] if buy else max(1, best - self._distances[64])
            return Taken(book.take(quantity, worst, buy=buy), buy)
        order_id, fills = book.limit(best, quantity, buy=buy)
        if order_id:
            self._orders.append((best, order_id, buy))
        return Taken(fills, buy)

    def _limit(self, book: OrderBook, price: int, place: int, size: int, *, buy: bool) -> None:
        distance = self._distances[place]
        at = max(1, price - distance) if buy else min(price + distance, self._highest)
        if (book.asks.best and at >= book.asks.best) if buy else at <= book.bids.best:
            return  # post only: it would have traded
        order_id, _ = book.limit(at, self._sizes[size], buy=buy)
        self._orders.append((at, order_id, buy))

    def _cancel(self, book: OrderBook, pick: int) -> None:
        """A random order; those that were filled meanwhile are forgotten on the way."""
        orders = self._orders
        while orders:
            index = pick % len(orders)
            orders[index], orders[-1] = orders[-1], orders[index]
            price, order_id, buy = orders.pop()
            if book.cancel(price, order_id, buy=buy):
                return


def _quantile(chance: int) -> float:
    """Of an exponential distribution with mean 1, so that small is frequent and large is rare."""
    return -math.log((chance + 0.5) / 256)

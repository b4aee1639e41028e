"""PURE. The orders that keep a book alive: a seeded stream of limit orders, cancels and market orders around a price that
moves. Which orders come in a step depends on seed, symbol and the step's number, not on when the book was started.

In a step takers come first and trade at the best prices that everybody has seen; then makers follow the price: they
withdraw what it outran, and fill what it left behind with as much as there is elsewhere, so that both sides are alike.
"""

import math
from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.order_book import BookSide, Level, OrderBook

FEWEST_ORDERS = 3
MOST_ORDERS = 10

_RANDOM = Struct("<4B" + "BBHH" * MOST_ORDERS)  # 64 bytes: one digest a step
_TAKERS, _LIMITS = 2, 73  # of 128 orders so many are market orders, and so many more are limits; the others cancel
_USUAL_ORDERS = 160  # above this more is cancelled than placed
_TRADES_A_MINUTE = 200
_SNIPED = 20  # of 256 steps with outrun quotes, so many see the best of them bought; all others are withdrawn
_LEAN_STEPS = 200  # 20 s: how long makers prefer one side, at most by so much:
_LEAN = 0.4
_MOST_FILLED = 1e-3  # of the price: a gap that time which nobody traded in left behind is filled no farther
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
        self._price = price

    def background(self, price: int, update_id: int) -> OrderBook:
        """A book that has been there for long, best ask at `price`, best bid one tick below."""

        def resting(at: int) -> int:
            return self._resting(at, always=at in (price - 1, price))

        bids = BookSide(max(price - 1, 2), 1, lambda at: resting(at) if at < price else 0)
        asks = BookSide(price, self._highest, lambda at: resting(at) if at >= price else 0)
        return OrderBook(bids, asks, update_id)

    def _resting(self, at: int, *, always: bool = False) -> int:
        """What makers usually have at a price: something at every third."""
        mixed = (at * 0x9E3779B1 ^ at >> 3) & 0xFFFFFF
        if mixed % 3 and not always:
            return 0
        return self._sizes[128] * (1 + (mixed >> 8 & 15)) + (mixed >> 12 & 7)

    def step(self, book: OrderBook, number: int, price: int) -> Iterator[Taken | None]:
        """The orders of one step, applied to the book one by one; fills where an order traded."""
        chances = _RANDOM.unpack(blake2b(b"%b/%d" % (self._key, number), digest_size=64).digest())
        orders = [chances[at : at + 4] for at in range(4, 4 + 4 * (FEWEST_ORDERS + (chances[0] & 7)), 4)]
        yield from self._takers(book, price, orders, sniped=chances[1] < _SNIPED)
        yield from self._withdraw(book, price)
        yield from self._fill(book, number, price)
        for kind, place, size, pick in orders:
            if kind >> 1 >= _TAKERS:
                self._order(book, price, kind, place, size, pick)
                yield None

    def quiet_order(self, book: OrderBook, price: int, number: int) -> None:
        """One more order that certainly changes the book and trades with nobody."""
        chance = blake2b(b"%b/quiet/%d" % (self._key, number), digest_size=4).digest()
        self._limit(book, price, chance[0], chance[1], buy=bool(chance[2] & 1))

    def _takers(self, book: OrderBook, price: int, orders: list[tuple[int, ...]], *, sniped: bool) -> Iterator[Taken | None]:
        """None of them pays more than the best price there was before the step."""
        bid, ask = book.bids.best, book.asks.best
        if sniped and ask and ask < price:
            yield Taken(book.take(self._sizes[0] * 4, ask, buy=True), buy=True)
        elif sniped and bid > price:
            yield Taken(book.take(self._sizes[0] * 4, bid, buy=False), buy=False)
        for kind, place, size, _ in orders:
            if kind >> 1 < _TAKERS:
                buy = bool(kind & 1)
                yield self._taker(book, ask if buy else bid, self._sizes[size & 255], buy=buy, rests=bool(place & 1))

    def _withdraw(self, book: OrderBook, price: int) -> Iterator[None]:
        """Quotes on the wrong side of the price."""
        for buy, side in ((True, book.asks), (False, book.bids)):
            outrun = 1 if buy else -1
            while side.best and (price - side.best) * outrun > 0:
                book.withdraw_best(buy=not buy)
                yield None

    def _fill(self, book: OrderBook, number: int, price: int) -> Iterator[None]:
        """What the price left behind, and the best price where nobody is."""
        before, self._price = self._price, price
        most = max(1, int(price * _MOST_FILLED))
        lean = self._lean(number)
        for at in range(max(before, price - most), price):
            if self._make(book, at, self._resting(at) * (1 + lean), buy=True):
                yield None
        for at in range(min(before, price + most), price, -1):
            if self._make(book, at, self._resting(at) * (1 - lean), buy=False):
                yield None
        for at, buy in ((price - 1, True), (price + 1, False)):
            best = book.bids.best if buy else book.asks.best
            is_open = not best or (best < at if buy else best > at)
            if is_open and self._make(book, at, self._resting(at, always=True), buy=buy):
                yield None

    def _make(self, book: OrderBook, at: int, quantity: float, *, buy: bool) -> bool:
        """A maker's order, where it can wait and nobody does yet."""
        side, other = (book.bids, book.asks) if buy else (book.asks, book.bids)
        crosses = other.best and (at >= other.best if buy else at <= other.best)
        if quantity < 1 or crosses or not 1 <= at <= self._highest or side.total(at):
            return False
        book.limit(at, int(quantity), buy=buy)
        return True

    def _lean(self, number: int) -> float:
        """From -0.4, where makers prefer to sell, to 0.4; smooth, and back at the middle before long."""
        cell, inside = divmod(number, _LEAN_STEPS)
        left, right = (blake2b(b"%b/lean/%d" % (self._key, at), digest_size=1).digest()[0] / 127.5 - 1 for at in (cell, cell + 1))
        return _LEAN * (left + (right - left) * inside / _LEAN_STEPS)

    def _order(self, book: OrderBook, price: int, kind: int, place: int, size: int, pick: int) -> None:
        crowded = len(self._orders) > _USUAL_ORDERS
        if kind >> 1 < _TAKERS + _LIMITS - (20 if crowded else 0):
            self._limit(book, price, place, size & 255, buy=bool(kind & 1))
        else:
            self._cancel(book, pick)

    def _taker(self, book: OrderBook, worst: int, quantity: int, *, buy: bool, rests: bool) -> Taken | None:
        if not worst or worst != (book.asks.best if buy else book.bids.best):
            return None  # somebody was faster
        if not rests:
            return Taken(book.take(quantity, worst, buy=buy), buy)
        waits, fills = book.limit(worst, quantity, buy=buy)
        if waits:
            self._orders.append((worst, waits, buy))
        return Taken(fills, buy)

    def _limit(self, book: OrderBook, price: int, place: int, size: int, *, buy: bool) -> None:
        distance = self._distances[place]
        at = max(1, price - distance) if buy else min(price + distance, self._highest)
        if (book.asks.best and at >= book.asks.best) if buy else at <= book.bids.best:
            return  # post only: it would have traded
        waits, _ = book.limit(at, self._sizes[size], buy=buy)
        self._orders.append((at, waits, buy))

    def _cancel(self, book: OrderBook, pick: int) -> None:
        """A random order; those that were filled meanwhile are forgotten on the way."""
        orders = self._orders
        while orders:
            index = pick % len(orders)
            orders[index], orders[-1] = orders[-1], orders[index]
            price, quantity, buy = orders.pop()
            if book.cancel(price, quantity, buy=buy):
                return


def _quantile(chance: int) -> float:
    """Of an exponential distribution with mean 1, so that small is frequent and large is rare."""
    return -math.log((chance + 0.5) / 256)

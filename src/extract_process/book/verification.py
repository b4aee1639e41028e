"""PURE. BookVerification: whether a running book equals a fresh snapshot, both at the same update id."""

from dataclasses import dataclass

from extract_process.book.order_book import OrderBook, exact_number
from extract_process.book.text_book import TextBook
from extract_process.records import DepthDiff, DepthSnapshot, Levels

BookKind = type[OrderBook] | type[TextBook]

MOST_KEPT = 600
"""Diffs kept while the snapshot is under way, a minute; a slower answer proves nothing."""

PROVEN_LEVELS = 1_000
"""Levels a side that are compared; a snapshot of 1,000 weighs 50."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The compared levels are equal. `levels` counts both sides."""

    last_update_id: int
    levels: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The running book is wrong at this update id: how many levels differ, and the first of them in words."""

    last_update_id: int
    levels: int
    example: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """Book and snapshot never came to one update id: the snapshot stayed behind the stream, or ahead of it."""

    last_update_id: int
    snapshot_id: int

    @property
    def is_ahead(self) -> bool:
        return self.snapshot_id > self.last_update_id


@dataclass(frozen=True, slots=True)
class BoundedBook:
    """A book and how far it is complete: a snapshot tells all levels down to its last one and none beyond.

    Bids below `lowest_bid` and asks above `highest_ask` are unknown until they change (the venue's NOTE); None means
    that the side was sent whole.
    """

    book: OrderBook | TextBook
    lowest_bid: int | None
    highest_ask: int | None

    def differences(self, other: "BoundedBook") -> tuple[int, list[str]]:
        """How many levels both know among the best 1,000 a side, and every one that differs, in words."""
        floor = max((price for price in (self.lowest_bid, other.lowest_bid) if price is not None), default=None)
        ceiling = min((price for price in (self.highest_ask, other.highest_ask) if price is not None), default=None)
        our_bids, our_asks, their_bids, their_asks = self.book.bids, self.book.asks, other.book.bids, other.book.asks
        bids = [price for price in our_bids.keys() | their_bids.keys() if floor is None or price >= floor]
        asks = [price for price in our_asks.keys() | their_asks.keys() if ceiling is None or price <= ceiling]
        best_bids, best_asks = sorted(bids, reverse=True)[:PROVEN_LEVELS], sorted(asks)[:PROVEN_LEVELS]
        wrong = _compare("bid", best_bids, our_bids, their_bids)
        return len(best_bids) + len(best_asks), wrong + _compare("ask", best_asks, our_asks, their_asks)

    def nearest(self, levels: int) -> "BoundedBook":
        """The same book without what lies beyond its best `levels` a side (or beyond what is known)."""
        kept = OrderBook()
        kept.bids, kept.asks = self.book.bids, self.book.asks
        highest_ask = _cut(kept.asks, levels, self.highest_ask, sign=1)
        lowest_bid = _cut(kept.bids, levels, self.lowest_bid, sign=-1)
        return BoundedBook(kept, lowest_bid, highest_ask)


def known_book(snapshot: DepthSnapshot, asked_levels: int, kind: BookKind = OrderBook) -> BoundedBook:
    """The best 1,000 levels of a snapshot (venue order: best first) that was requested with this limit."""
    bids, asks = snapshot.bids[:PROVEN_LEVELS], snapshot.asks[:PROVEN_LEVELS]
    return BoundedBook(kind(bids, asks), _border(snapshot.bids, asked_levels), _border(snapshot.asks, asked_levels))


class BookVerification:
    """One proof: `on_diff` with every diff the running book takes from the request on, `on_snapshot` with the answer.

    The snapshot is some updates ahead of or behind the book; it is moved forward with the same diffs until both are
    at one update id. A snapshot in the middle of a diff is no trouble: quantities are absolute.
    """

    def __init__(self) -> None:
        self._diffs: list[DepthDiff] = []
        self._fresh: BoundedBook | None = None
        self._fresh_id = 0
        self._waited = 0

    def on_diff(self, diff: DepthDiff, running: BoundedBook) -> Proven | Mismatch | Unproven | None:
        """The running book has just taken this diff."""
        if self._fresh is None:
            self._diffs = [*self._diffs[1 - MOST_KEPT :], diff] if len(self._diffs) >= MOST_KEPT else [*self._diffs, diff]
            return None
        self._forward(diff)
        self._waited += 1
        verdict = self._verdict(diff.last_update_id, running)
        if verdict is None and self._waited > MOST_KEPT:
            return Unproven(diff.last_update_id, self._fresh_id)
        return verdict

    def on_snapshot(self, fresh: BoundedBook, fresh_id: int, running: BoundedBook, book_id: int) -> Proven | Mismatch | None:
        """The answer came; None where the book has yet to reach it (`on_diff` decides)."""
        self._fresh, self._fresh_id = fresh, fresh_id
        for diff in self._diffs:
            self._forward(diff)
        self._diffs.clear()
        return self._verdict(book_id, running)

    @property
    def fresh(self) -> BoundedBook | None:
        """The snapshot moved forward: once compared, the better book to go on with."""
        return self._fresh

    def _forward(self, diff: DepthDiff) -> None:
        if self._fresh is not None and diff.first_update_id <= self._fresh_id + 1 and diff.last_update_id > self._fresh_id:
            self._fresh.book.apply(diff.bids, diff.asks)
            self._fresh_id = diff.last_update_id

    def _verdict(self, book_id: int, running: BoundedBook) -> Proven | Mismatch | None:
        if self._fresh is None or book_id != self._fresh_id:
            return None
        levels, wrong = self._fresh.differences(running)
        return Mismatch(book_id, len(wrong), wrong[0]) if wrong else Proven(book_id, levels)


def _border(levels: Levels, asked_levels: int) -> int | None:
    """The price of the last level kept, or None where the side is shorter than was requested."""
    if len(levels) < min(asked_levels, PROVEN_LEVELS):
        return None
    return exact_number(levels[min(len(levels), PROVEN_LEVELS) - 1][0])


def _cut(side: dict[int, str], levels: int, border: int | None, sign: int) -> int | None:
    """Takes out of a side what is beyond its best levels or the border; the new border."""
    best_first = sorted(side, reverse=sign < 0)
    known = [price for price in best_first if border is None or price * sign <= border * sign]
    for price in best_first[min(levels, len(known)) :]:
        del side[price]
    return known[levels - 1] if len(known) > levels else border


def _compare(side: str, prices: list[int], fresh: dict[int, str], running: dict[int, str]) -> list[str]:
    return [
        f"{side} {price / 1e18:.8f}: venue {fresh.get(price, 'none')}, here {running.get(price, 'none')}"
        for price in prices
        if fresh.get(price) != running.get(price) and _number(fresh.get(price)) != _number(running.get(price))
    ]


def _number(quantity: str | None) -> int:
    return 0 if quantity is None else exact_number(quantity)

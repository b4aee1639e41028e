"""PURE. TopN: the best levels of a running book, and which of them changed since they were last published.

The book is never sorted for a message: the best prices of a side are a short sorted list that the changed levels are
compared with. Levels that cannot be known (a snapshot ends at its last level) are never shown.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from extract_process.book.order_book import price_number
from extract_process.book.verification import BoundedBook
from extract_process.records import DepthDiff, Levels

DELETED = "0"
"""The quantity of a level that left the view: deleted, or pushed out."""

SPARE = 4
"""A side's list holds this many times the published levels; it is made anew when it has fewer than are published."""

PriceChanges = list[tuple[int, str]]
"""Price as a number, new quantity."""


class Changes(NamedTuple):
    """Of both sides; new and changed levels best first, then those that are gone."""

    bids: PriceChanges
    asks: PriceChanges


class TopN:
    """The best `levels` a side. Subscribers hold what was published: it moves when changes or the whole are taken."""

    def __init__(self, levels: int, thin_below: int) -> None:
        """A side with fewer than `thin_below` known levels is thin: a fresh snapshot should come soon."""
        self._bids = _Side(levels, thin_below, sign=-1)
        self._asks = _Side(levels, thin_below, sign=1)

    @property
    def is_known(self) -> bool:
        """False while a side has fewer levels than are shown before it ends in the unknown."""
        return self._bids.is_known and self._asks.is_known

    @property
    def is_thin(self) -> bool:
        return self._bids.is_thin or self._asks.is_thin

    @property
    def best(self) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
        """Price as a number and quantity of the best bid and ask; None for a side without known levels."""
        return self._bids.best, self._asks.best

    def reset(self, known: BoundedBook) -> None:
        """Another book, or another border of the same; what was published stays as it was."""
        self._bids.reset(known.book.bids, known.lowest_bid)
        self._asks.reset(known.book.asks, known.highest_ask)

    def on_diff(self, diff: DepthDiff) -> None:
        """The book has taken this diff."""
        if diff.bids:
            self._bids.on_levels(diff.bids)
        if diff.asks:
            self._asks.on_levels(diff.asks)

    def take_changes(self) -> Changes:
        """What changed in the view since the last time; empty lists where nothing visible did."""
        return Changes(self._bids.take_changes(), self._asks.take_changes())

    def take_all(self) -> Changes:
        """The whole view, best levels first."""
        return Changes(self._bids.take_all(), self._asks.take_all())


class _Side:
    """One side; prices are multiplied by `sign`, so that smaller is better on both."""

    __slots__ = (
        "_border",
        "_capacity",
        "_count",
        "_is_touched",
        "_is_whole",
        "_known",
        "_levels",
        "_near",
        "_published",
        "_sign",
        "_thin_below",
    )

    def __init__(self, count: int, thin_below: int, sign: int) -> None:
        self._count = count
        self._capacity = count * SPARE
        self._thin_below = thin_below
        self._sign = sign
        self._levels: dict[int, str] = {}
        self._border: int | None = None
        self._near: list[int] = []
        self._known = 0  # levels up to the border when `_near` was made
        self._is_whole = True  # none of them is missing in `_near`
        self._is_touched = False
        self._published: dict[int, str] = {}

    @property
    def is_known(self) -> bool:
        return self._border is None or len(self._near) >= self._count

    @property
    def is_thin(self) -> bool:
        known = len(self._near) if self._is_whole else self._known
        return self._border is not None and known < self._thin_below

    @property
    def best(self) -> tuple[int, str] | None:
        if not self._near:
            return None
        number = self._near[0] * self._sign
        return number, self._levels[number]

    def reset(self, levels: dict[int, str], border: int | None) -> None:
        self._levels = levels
        self._border = None if border is None else border * self._sign
        self._is_touched = True
        self._fill()

    def on_levels(self, changed: Levels) -> None:
        near, levels, sign, count, number_of = self._near, self._levels, self._sign, self._count, price_number
        for text, _ in changed:
            number = number_of(text)
            key = number * sign
            if not near or key > near[-1]:
                if self._is_whole and number in levels:
                    self._add_last(key)
                continue
            place = bisect_left(near, key)
            if place < count:
                self._is_touched = True
            if number in levels:
                if near[place] != key:
                    near.insert(place, key)
                    if len(near) > self._capacity:
                        near.pop()
                        self._is_whole = False
            elif near[place] == key:
                del near[place]
        if len(near) < count and not self._is_whole:
            self._fill()

    def take_changes(self) -> PriceChanges:
        if not self._is_touched:
            return []
        before, now = self._published, self._visible()
        self._published, self._is_touched = now, False
        changes = [(number, quantity) for number, quantity in now.items() if before.get(number) != quantity]
        return changes + [(number, DELETED) for number in before if number not in now]

    def take_all(self) -> PriceChanges:
        self._published, self._is_touched = self._visible(), False
        return list(self._published.items())

    def _visible(self) -> dict[int, str]:
        levels, sign = self._levels, self._sign
        return {key * sign: levels[key * sign] for key in self._near[: self._count]}

    def _add_last(self, key: int) -> None:
        """A level worse than all in a list that holds all there are."""
        if self._border is not None and key > self._border:
            return
        if len(self._near) == self._capacity:
            self._is_whole = False
            return
        if len(self._near) < self._count:
            self._is_touched = True
        self._near.append(key)

    def _fill(self) -> None:
        """The list anew, from the whole side."""
        keys = sorted(self._levels) if self._sign > 0 else [-number for number in sorted(self._levels, reverse=True)]
        self._known = len(keys) if self._border is None else bisect_right(keys, self._border)
        self._is_whole = self._known <= self._capacity
        self._near[:] = keys[: min(self._known, self._capacity)]

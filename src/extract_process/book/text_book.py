"""PURE. TextBook: the levels of one symbol for who looks seldom, at a proof every few minutes. See OrderBook.

Prices are compared as texts, of many diffs at once. Numbers are made of the levels that are there when somebody looks.
"""

from collections.abc import Sequence
from functools import lru_cache

from extract_process.book.order_book import MOST_NUMBERS, Level, exact_number, price_number
from extract_process.level_text import PLACES, ZERO, LevelText, numbers_of
from extract_process.records import Levels

WAITING_BYTES = 16_384
"""Text of a side that waits at most, about 500 levels: of a price that changes again, the last quantity counts."""


class TextBook:
    """An OrderBook whose sides are made when they are asked for.

    Equal prices are equal texts in a LevelText; those of other levels are written alike first.
    """

    def __init__(self, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> None:
        self._bids, self._asks = _Side(), _Side()
        self.apply(bids, asks)

    @property
    def bids(self) -> dict[int, str]:
        """A copy, as `asks` is."""
        return self._bids.by_number()

    @property
    def asks(self) -> dict[int, str]:
        return self._asks.by_number()

    def apply(self, bids: Levels, asks: Levels) -> None:
        """The changed levels of a diff. Raises ValueError for a price that is not a number."""
        self._bids.apply(bids)
        self._asks.apply(asks)


class _Side:
    __slots__ = ("_quantities", "_waiting", "_waiting_bytes")

    def __init__(self) -> None:
        self._quantities: dict[str, str] = {}
        self._waiting: list[LevelText] = []
        self._waiting_bytes = 0

    def apply(self, levels: Levels) -> None:
        if isinstance(levels, LevelText):
            self._waiting.append(levels)
            self._waiting_bytes += len(levels.text)
            if self._waiting_bytes > WAITING_BYTES:
                self._catch_up()
            return
        self._catch_up()
        for price, quantity in levels:
            if quantity.strip("0."):
                self._quantities[_alike(price)] = quantity
            else:
                self._quantities.pop(_alike(price), None)

    def by_number(self) -> dict[int, str]:
        self._catch_up()
        return {price_number(price): quantity for price, quantity in self._quantities.items()}

    def _catch_up(self) -> None:
        numbers = numbers_of(self._waiting).decode().split(",")
        self._waiting, self._waiting_bytes = [], 0
        latest = dict(zip(numbers[::2], numbers[1::2], strict=False))  # of no levels there is one empty text
        self._quantities.update(latest)
        for price, quantity in latest.items():
            if quantity == ZERO:
                del self._quantities[price]


@lru_cache(MOST_NUMBERS)
def _alike(price: str) -> str:
    """The price as a LevelText has it."""
    whole, fraction = divmod(exact_number(price), 10**18)
    return f"{whole}.{f'{fraction:018}'.rstrip('0'):0<{PLACES}}"

"""PURE. OrderBook: the levels of one symbol, both sides, exact. Applies absolute quantities and checks nothing."""

from collections.abc import Sequence
from decimal import Decimal

from extract_process.level_text import ZERO

Level = Sequence[str]
"""Price and quantity as the venue sent them."""

_DIGITS = 18  # after the point, as everywhere in the lake


class OrderBook:
    """Levels by price as a number, so that `100` and `100.00` are one level; quantities stay the venue's text.

    Prices are integers of 1e-18: exact, ordered, and half the memory of Decimal (hundreds of books live at once).
    Binance: quantities are absolute, a quantity of 0 removes the level, and removing a level that is not there is
    normal (a snapshot holds 5,000 levels a side at most).
    """

    def __init__(self, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> None:
        self.bids: dict[int, str] = {}
        self.asks: dict[int, str] = {}
        self.apply(bids, asks)

    def apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """The changed levels of a diff. Raises ValueError for a price that is not a number."""
        _set_levels(self.bids, bids)
        _set_levels(self.asks, asks)

    def top(self, count: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """The best `count` bids (highest first) and asks (lowest first) as price and quantity."""
        bids = sorted(self.bids, reverse=True)[:count]
        asks = sorted(self.asks)[:count]
        return [_level(price, self.bids) for price in bids], [_level(price, self.asks) for price in asks]


def exact_number(text: str) -> int:
    """A plain decimal text as an integer of 1e-18. Raises ValueError for anything else, or more than 18 digits."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > _DIGITS or not text.replace(".", "", 1).isdigit():
        raise ValueError(f"not a plain decimal of at most {_DIGITS} digits after the point: {text[:40]!r}")
    return int(whole + fraction.ljust(_DIGITS, "0"))


class _PriceNumbers(dict[str, int]):
    """`exact_number` of the prices that came, all forgotten when they are too many.

    The same prices change again and again, and a look into a dict costs a third of a call of an lru_cache.
    """

    __slots__ = ()

    def __missing__(self, text: str) -> int:
        number = exact_number(text)
        if len(self) >= MOST_NUMBERS:
            self.clear()
        self[text] = number
        return number


MOST_NUMBERS = 50_000  # 10 MB
_NUMBERS = _PriceNumbers()
price_number = _NUMBERS.__getitem__
"""`exact_number`, faster for a price that came before."""


def _set_levels(side: dict[int, str], levels: Sequence[Level]) -> None:
    numbers = _NUMBERS
    for price, quantity in levels:
        if quantity == ZERO or not quantity.strip("0."):
            side.pop(numbers[price], None)
        else:
            side[numbers[price]] = quantity


def _level(price: int, side: dict[int, str]) -> tuple[Decimal, Decimal]:
    return Decimal(f"{price}e-{_DIGITS}"), Decimal(side[price])

"""PURE. PriceFormat: how the venue spells the prices of one symbol, so that numbers are published in its spelling."""

from collections.abc import Container

from extract_process.book.order_book import price_number
from extract_process.records import Levels

_DIGITS = 18  # after the point, as the book's numbers have them


class PriceFormat:
    """Remembers only the spellings that do not follow from the number.

    A venue writes most prices of a symbol alike, with the same number of digits after the point: those are made again when they
    are needed. A text for every level of a hundred books would cost as much memory as the books.
    """

    def __init__(self) -> None:
        self._places = -1  # digits after the point, of the first price that came
        self._odd: dict[int, str] = {}

    def learn(self, levels: Levels) -> None:
        """Prices as the venue sent them."""
        if self._places < 0 and levels:
            self._places = len(levels[0][0].partition(".")[2])
        point, odd = -self._places - 1, self._odd
        for text, _ in levels:
            if self._places and len(text) >= -point and text[point] == "." and (text[0] != "0" or text[1] == "."):
                if odd:
                    odd.pop(price_number(text), None)
            elif text != self._usual(number := price_number(text)):
                odd[number] = text
            else:
                odd.pop(number, None)

    def text_of(self, number: int) -> str:
        """The text that came last for this price."""
        return self._odd.get(number) or self._usual(number)

    def keep(self, numbers: Container[int]) -> None:
        """Forgets the spelling of all other prices."""
        self._odd = {number: text for number, text in self._odd.items() if number in numbers}

    def _usual(self, number: int) -> str:
        digits = str(number).rjust(_DIGITS + 1, "0")
        whole, fraction = digits[:-_DIGITS], digits[-_DIGITS:]
        return f"{whole}.{fraction[: self._places]}" if self._places > 0 else whole

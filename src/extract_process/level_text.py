"""PURE. LevelText: one side of a diff as the venue's JSON, checked by its parser and not taken apart.

Lists and texts of every level cost more than all else that is done with a diff. Columns and books are made of the text of
many diffs at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

PLACES = 8
"""Digits after the point of all its numbers."""

ZERO = "0.00000000"
"""The quantity of a level that is gone: every second one of a busy book."""


class LevelText(Sequence[Sequence[str]]):
    """The levels of `["1.50000000","2.00000000"],["1.60000000","0.00000000"]`. As good as a list of its pairs.

    Each number is plain (`decimals`), with eight digits after its point and no needless zero before it: equal numbers are
    equal texts, as Binance sends them. It is taken apart, once, for who looks at single levels.
    """

    __slots__ = ("_pairs", "text")

    def __init__(self, text: bytes) -> None:
        """`text` is not checked."""
        self.text = text
        self._pairs: list[list[str]] | None = None

    def __len__(self) -> int:
        return self.text.count(b"[")

    def __bool__(self) -> bool:
        return bool(self.text)

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self._taken_apart())

    def __getitem__(self, place: Any) -> Any:
        return self._taken_apart()[place]

    def __eq__(self, other: object) -> bool:
        return self._taken_apart() == (other._taken_apart() if isinstance(other, LevelText) else other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return repr(self._taken_apart())

    def _taken_apart(self) -> list[list[str]]:
        if self._pairs is None:
            self._pairs = orjson.loads(b"[%b]" % self.text)
        return self._pairs


def numbers_of(sides: Iterable[LevelText]) -> bytes:
    """Price and quantity of every level of these sides, in their order, with a comma in between: `1.50000000,2.00000000,…`."""
    return b",".join([side.text for side in sides if side.text]).translate(None, b'["]')

"""PURE. BookComparison: one symbol's mirrored book against the venue's, level by level, where both are at one update id."""

from collections import OrderedDict
from dataclasses import dataclass, field

from extract_process.book.order_book import exact_number

MOST_REMEMBERED = 3_000
"""States of either side that wait for the other: five minutes of diffs."""

MOST_EXAMPLES = 5

Top = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
"""Bids and asks, best first, price and quantity as numbers."""


@dataclass(slots=True)
class ComparisonCounts:
    """`unmatched` states had no counterpart: the other side began later, or was not synced."""

    equal: int = 0
    different: int = 0
    unmatched: int = 0
    examples: list[str] = field(default_factory=list)


class BookComparison:
    """Each side reports its states in order; the first one waits for the other."""

    def __init__(self) -> None:
        self.counts = ComparisonCounts()
        self._venue: OrderedDict[int, Top] = OrderedDict()
        self._mirrored: OrderedDict[int, Top] = OrderedDict()

    def on_venue(self, last_update_id: int, top: Top) -> None:
        """The venue's book after a diff."""
        if (mirrored := self._mirrored.pop(last_update_id, None)) is not None:
            self._compare(last_update_id, top, mirrored)
        self._venue[last_update_id] = top
        while len(self._venue) > MOST_REMEMBERED:
            self._venue.popitem(last=False)

    def on_mirrored(self, last_update_id: int, top: Top) -> None:
        """The rebuilt book after a message."""
        if (venue := self._venue.get(last_update_id)) is not None:
            self._compare(last_update_id, venue, top)
            return
        self._mirrored[last_update_id] = top
        while len(self._mirrored) > MOST_REMEMBERED:
            self._mirrored.popitem(last=False)
            self.counts.unmatched += 1

    def finish(self) -> None:
        """What still waits has no counterpart."""
        self.counts.unmatched += len(self._mirrored)
        self._mirrored.clear()

    def _compare(self, last_update_id: int, venue: Top, mirrored: Top) -> None:
        if venue == mirrored:
            self.counts.equal += 1
            return
        self.counts.different += 1
        if len(self.counts.examples) < MOST_EXAMPLES:
            self.counts.examples.append(f"at update id {last_update_id}: {_first_difference(venue, mirrored)}")


def top_of(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> Top:
    """Levels in text, best first, as numbers."""
    return _numbers(bids), _numbers(asks)


def _numbers(levels: list[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    return tuple((exact_number(price), exact_number(quantity)) for price, quantity in levels)


def _first_difference(venue: Top, mirrored: Top) -> str:
    for side, here, there in zip(("bid", "ask"), venue, mirrored, strict=True):
        for place in range(max(len(here), len(there))):
            expected = here[place] if place < len(here) else None
            found = there[place] if place < len(there) else None
            if expected != found:
                return f"{side} {place + 1}: venue {_words(expected)}, mirror {_words(found)}"
    return "none"


def _words(level: tuple[int, int] | None) -> str:
    return "none" if level is None else f"{level[1] / 1e18:g} at {level[0] / 1e18:.8f}"

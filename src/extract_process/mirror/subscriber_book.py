"""PURE. SubscriberBook: what a subscriber does with the mirror's l2 messages of one symbol, and when it may trust the result.

Short on purpose: this is the reading side of the promise in resources/pubsub/README.md, to be copied into any language.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from extract_process.book.order_book import exact_number
from extract_process.book.top_n import DELETED

Level = tuple[str, str]
"""Price and quantity, as the venue sent them."""


class Applied(StrEnum):
    """What a message meant."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"
    REPEATED = "repeated"  # Pub/Sub delivers at least once
    JUMP = "jump"  # messages are missing: wait for a snapshot
    WAITING = "waiting"  # still no snapshot


class SubscriberBook:
    """Prices are compared as numbers: the same price may be spelled in two ways."""

    def __init__(self) -> None:
        self.is_right = False
        self.sequence = 0
        self.last_update_id = 0
        self._bids: dict[int, Level] = {}
        self._asks: dict[int, Level] = {}

    @property
    def bids(self) -> list[Level]:
        """Best first."""
        return [level for _, level in sorted(self._bids.items(), reverse=True)]

    @property
    def asks(self) -> list[Level]:
        return [level for _, level in sorted(self._asks.items())]

    def apply(self, kind: str, body: Mapping[str, Any]) -> Applied:
        """One message: the attribute `type` and the decoded body."""
        sequence = body["sequence"]
        if sequence <= self.sequence:
            return Applied.REPEATED
        follows, self.sequence = sequence == self.sequence + 1, sequence
        if kind == "snapshot":
            self._bids, self._asks, self.is_right = {}, {}, True
        elif not self.is_right:
            return Applied.WAITING
        elif not follows:
            self.is_right = False
            return Applied.JUMP
        _apply(self._bids, body["bids"])
        _apply(self._asks, body["asks"])
        self.last_update_id = body["last_update_id"]
        return Applied.SNAPSHOT if kind == "snapshot" else Applied.DELTA


def _apply(side: dict[int, Level], levels: Iterable[tuple[str, str]]) -> None:
    for price, quantity in levels:
        if quantity == DELETED:
            side.pop(exact_number(price), None)
        else:
            side[exact_number(price)] = (price, quantity)

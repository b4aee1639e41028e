"""PURE. What a live process asks the venue for. A request is one REST call; its answer may leave the rest to another one."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from extract_process.ranges import Range
from extract_process.stream_key import StreamKey

SNAPSHOT_LEVELS = 5_000
"""Levels per side, unless the session has other ones."""


class Priority(IntEnum):
    """Smaller goes first. Recent trades are only to be had for seconds; a broken book is recorded all the same."""

    RECENT_TRADES = 0
    BROKEN_BOOK = 1
    NEW_BOOK = 2
    HISTORY = 3
    PROOF = 4


_BOOK_PRIORITIES = {"start": Priority.NEW_BOOK, "proof": Priority.PROOF}


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A snapshot of `levels` per side; `reason` is the value of its row."""

    symbol: str
    reason: str
    levels: int = SNAPSHOT_LEVELS

    @property
    def as_proof(self) -> bool:
        """Whether it is compared with the running book. Any other one starts a new book."""
        return self.reason in ("proof", "refresh")

    @property
    def priority(self) -> Priority:
        return _BOOK_PRIORITIES.get(self.reason, Priority.BROKEN_BOOK)

    @property
    def name(self) -> str:
        return f"{'proof' if self.as_proof else 'book'} of {self.symbol}"


@dataclass(frozen=True, slots=True)
class GapRequest:
    """Ids that the streams did not deliver. `is_history`: the venue's most recent trades do not hold them."""

    key: StreamKey
    from_id: int
    to_id: int
    after_seconds: float = 0.0
    is_history: bool = False

    @property
    def ids(self) -> Range:
        return Range(self.from_id, self.to_id)

    def first_page(self, rows: int) -> Range:
        """The part that one answer of klines may hold."""
        return next(self.key.grid.split(self.ids, rows))

    @property
    def priority(self) -> Priority:
        is_recent = self.key.channel == "trades" and not self.is_history
        return Priority.RECENT_TRADES if is_recent else Priority.HISTORY

    @property
    def name(self) -> str:
        return f"{'history' if self.is_history else self.key.channel} {self.key} {self.ids}"


Request: TypeAlias = SnapshotRequest | GapRequest

"""PURE. What a live process asks the venue for. A request is one REST call; its answer may leave the rest to another one."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from extract_process.ranges import Range
from extract_process.stream_ids import StreamKey

SNAPSHOT_LEVELS = 5_000
"""Levels per side, unless the session has other ones."""

FREE = 4
"""Requests of a symbol after odd data that go at once before they grow apart."""

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
CALM_SECONDS = 120.0
"""Seconds without such a request (beside the last pause) after which the next one counts as the first again."""

_USUAL = frozenset({"start", "gap", "mismatch", "proof", "refresh"})


class Priority(IntEnum):
    """Smaller goes first. Recent trades are only to be had for seconds; a broken book is recorded all the same."""

    RECENT_TRADES = 0
    BROKEN_BOOK = 1
    NEW_BOOK = 2
    HISTORY = 3
    POLL = 4
    PROOF = 5


_BOOK_PRIORITIES = {"start": Priority.NEW_BOOK, "proof": Priority.PROOF}


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A snapshot of `levels` per side; `reason` is the value of its row."""

    symbol: str
    reason: str
    levels: int = SNAPSHOT_LEVELS

    @property
    def of_symbol(self) -> str:
        return self.symbol

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
    def of_symbol(self) -> str:
        return self.key.symbol

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


@dataclass(frozen=True, slots=True)
class PollRequest:
    """The present value of a channel that no socket delivers; see `Venue.polls`."""

    channel: str
    symbol: str
    priority: Priority = Priority.POLL

    @property
    def of_symbol(self) -> str:
        return self.symbol

    @property
    def name(self) -> str:
        return f"{self.channel} of {self.symbol}"


Request: TypeAlias = SnapshotRequest | GapRequest | PollRequest


class SnapshotPace:
    """A symbol whose book cannot start or cannot be followed requests snapshots less and less often.

    `now` is in seconds of a clock that never steps; symbols are those of one process.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, bool], tuple[int, float]] = {}

    def pause_before(self, symbol: str, reason: str, now: float) -> float:
        """Seconds until this request is sent. A snapshot that was too old is never requested again at once."""
        if reason in _USUAL:
            return 0.0
        is_too_old = reason == "snapshot_too_old"
        count, last = self._asked.get((symbol, is_too_old), (0, now))
        if now - last > CALM_SECONDS:
            count = 0
        step = count if is_too_old else count - FREE
        pause = 0.0 if step < 0 else min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**step)
        self._asked[symbol, is_too_old] = count + 1, now + pause
        return pause

"""PURE. BookSync: whether one symbol's diffs are complete, and whether a book built from them is right."""

from collections import deque
from dataclasses import dataclass

MOST_BUFFERED = 5_000
"""Diffs kept while a snapshot is awaited, 8 minutes at 100 ms; beyond that the oldest go and only a newer snapshot fits."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Diffs that never came: first and last missing update id, inclusive."""

    from_update_id: int
    to_update_id: int
    cause: str


@dataclass(frozen=True, slots=True)
class SnapshotNeeded:
    """The book cannot go on without a snapshot of this symbol; said once until `on_snapshot` answers it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Synced:
    """The book is the snapshot with this update id; buffered diffs that go on from it follow as Apply."""

    last_update_id: int


@dataclass(frozen=True, slots=True)
class Apply:
    """The book takes this diff: the one just given, or a buffered one by its last update id."""

    last_update_id: int


Decision = Gap | SnapshotNeeded | Synced | Apply


class BookSync:
    """The venue's procedure for a local book, one symbol, by update ids alone.

    Binance, "How to manage a local order book correctly" (text of 2025-11-12): a diff is a gap if U > id + 1; after a
    snapshot the first diff may have U == lastUpdateId + 1; a snapshot older than the first buffered diff is useless.
    Two continuities are kept apart: the recording's (every diff follows the one before) and the book's (snapshot plus
    diffs). A snapshot can repair the book over a hole in the recording, and the hole is a gap all the same.
    """

    def __init__(self, last_update_id: int | None = None) -> None:
        """`last_update_id` is what the process remembers from before a restart: what lies between is a gap."""
        self.book_id: int | None = None
        self._received_id = last_update_id
        self._break_cause = "sequence" if last_update_id is None else "restart"
        self._buffer: deque[tuple[int, int]] = deque(maxlen=MOST_BUFFERED)
        self._awaiting_snapshot = False

    @property
    def received_id(self) -> int | None:
        """The last update id that came, what a restart must remember."""
        return self._received_id

    def on_disconnect(self) -> None:
        """The next hole, if there is one, is the connection's fault. The book stays: an overlapping connection may go on."""
        self._break_cause = "disconnect"

    def on_diff(self, first_update_id: int, last_update_id: int) -> list[Decision]:
        """A diff came. Diffs that came before (another connection's) decide nothing."""
        if self._received_id is not None and last_update_id <= self._received_id:
            return []
        decisions: list[Decision] = []
        if self._received_id is not None and first_update_id > self._received_id + 1:
            decisions.append(Gap(self._received_id + 1, first_update_id - 1, self._break_cause))
            self._buffer.clear()
        self._received_id, self._break_cause = last_update_id, "sequence"
        return decisions + self._follow(first_update_id, last_update_id)

    def on_snapshot(self, last_update_id: int) -> list[Decision]:
        """A snapshot came, asked for or not. Too old: another is needed. Otherwise buffered diffs that fit follow."""
        self._awaiting_snapshot = False
        if self._buffer and last_update_id + 1 < self._buffer[0][0]:
            return self._ask("snapshot_too_old")
        self.book_id = last_update_id
        decisions: list[Decision] = [Synced(last_update_id)]
        while self._buffer:
            first, last = self._buffer.popleft()
            if last > last_update_id:
                decisions += self._follow(first, last)
        return decisions

    def on_wrong_book(self) -> list[Decision]:
        """The book was proven different from the venue's: start over."""
        self.book_id = None
        return self._ask("mismatch")

    def _follow(self, first: int, last: int) -> list[Decision]:
        """The book's side of a diff: apply it, or wait for a snapshot with the diff kept."""
        if self.book_id is not None and first <= self.book_id + 1:
            if last <= self.book_id:
                return []
            self.book_id = last
            return [Apply(last)]
        reason = "start" if self.book_id is None else "gap"
        self.book_id = None
        self._buffer.append((first, last))
        return self._ask(reason)

    def _ask(self, reason: str) -> list[Decision]:
        if self._awaiting_snapshot:
            return []
        self._awaiting_snapshot = True
        return [SnapshotNeeded(reason)]

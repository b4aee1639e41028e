"""PURE. BookSync: whether one symbol's diffs are complete, and whether a book built from them is right."""

from collections import deque
from dataclasses import dataclass

from extract_process.records import DepthDiff
from extract_process.sequence import UNREADABLE, IdFinding, NewNumbering, SequenceTracker

KEPT_WAITING = 20
"""Diffs kept until the snapshot is requested (2 s at 100 ms): the answer is newer than all that came before."""

KEPT_US = 300_000_000
MOST_KEPT_LEVELS = 100_000
"""Diffs kept from the first request until the book is synced, by event time and by levels (a diff is one more): five
minutes, 15 MB. Beyond that the oldest go. An answer may be older than the request: some hosts lag behind the stream."""

TOO_OLD_SAID_AT = 3
"""Snapshots in a row that were too old before it is reported."""


MOST_BEHIND_BOOK = 600
"""Diffs that a snapshot can be ahead of the stream (a minute); beyond it, it belongs to another numbering."""


@dataclass(frozen=True, slots=True)
class SnapshotNeeded:
    """The book cannot go on without a snapshot of this symbol; reported once until `on_snapshot` answers it."""

    reason: str


@dataclass(frozen=True, slots=True)
class SyncDelayed:
    """The book cannot start: each snapshot so far ends before the first diff that waits; reported once until it does."""

    snapshot_id: int
    first_waiting: int


@dataclass(frozen=True, slots=True)
class Synced:
    """The book is the snapshot with this update id; buffered diffs that go on from it follow as Apply."""

    last_update_id: int


@dataclass(frozen=True, slots=True)
class Apply:
    """The book takes this diff: the one just given, or a buffered one."""

    diff: DepthDiff


Decision = IdFinding | SnapshotNeeded | SyncDelayed | Synced | Apply


class BookSync:
    """The venue's procedure for a local book, one symbol, by update ids alone.

    Binance, "How to manage a local order book correctly" (text of 2025-11-12): a diff is a gap if U > id + 1; after a
    snapshot the first diff may have U == lastUpdateId + 1; a snapshot older than the first buffered diff is useless.
    Two continuities are kept apart: the recording's (every diff follows the one before) and the book's (snapshot plus
    diffs). A snapshot can repair the book over a hole in the recording, and the hole is a gap all the same.
    """

    def __init__(self, last_update_id: int | None = None, last_at: int = 0) -> None:
        """`last_update_id` is what the process remembers from before a restart: what lies between is a gap."""
        self.book_id: int | None = None
        self.ids = SequenceTracker(last_update_id, last_at=last_at)
        self._behind_book = 0
        self._buffer: deque[DepthDiff] = deque()
        self._buffered_levels = 0
        self._is_asked = False
        self._too_old = 0
        self._awaiting_snapshot = False

    def on_diff(self, diff: DepthDiff) -> list[Decision]:
        """A diff came. Diffs that came before (another connection's, or late) decide nothing for the book."""
        received_id = self.ids.last_id
        findings: list[Decision] = list(self.ids.on_ids(diff.first_update_id, diff.last_update_id, diff.event_time))
        if findings and isinstance(findings[0], NewNumbering):
            return findings + self.start_over("new_numbering") + self._follow(diff)
        if diff.last_update_id == received_id or self.ids.last_id != diff.last_update_id:
            return findings
        if findings:  # a hole: what is buffered before it does not go on
            self._forget_waiting()
        return findings + self._follow(diff)

    def on_unreadable(self, first: int, last: int) -> list[Decision]:
        """A diff came whose levels cannot be read: the book starts over behind it."""
        findings: list[Decision] = list(self.ids.on_unreadable(first, last))
        return findings + self.start_over(UNREADABLE) if findings else []

    def on_snapshot_asked(self) -> None:
        """The request is on its way: from here on, diffs are kept until the book is synced."""
        if not self._is_asked:
            self._is_asked, self._buffered_levels = True, sum(map(_size, self._buffer))

    def on_snapshot(self, last_update_id: int) -> list[Decision]:
        """A snapshot came, requested or not. Too old: another is needed. Otherwise buffered diffs that fit follow."""
        self._awaiting_snapshot = False
        is_former = self.ids.is_former(last_update_id, last_update_id)
        if self._buffer and (is_former or last_update_id + 1 < self._buffer[0].first_update_id):
            self._too_old += 1
            delayed = [SyncDelayed(last_update_id, self._buffer[0].first_update_id)] if self._too_old == TOO_OLD_SAID_AT else []
            return [*delayed, *self._ask("snapshot_too_old")]
        self._is_asked, self._too_old, self._buffered_levels = False, 0, 0
        self.book_id, self._behind_book = last_update_id, 0
        decisions: list[Decision] = [Synced(last_update_id)]
        while self._buffer:
            diff = self._buffer.popleft()
            if diff.last_update_id > last_update_id:
                decisions += self._follow(diff)
        return decisions

    def start_over(self, reason: str) -> list[Decision]:
        """The book is wrong or cannot be followed, and so is what waits for its snapshot."""
        self.book_id = None
        self._forget_waiting()
        return self._ask(reason)

    def _follow(self, diff: DepthDiff) -> list[Decision]:
        """The book's side of a diff: apply it, or wait for a snapshot with the diff kept."""
        if self.book_id is not None and diff.first_update_id <= self.book_id + 1:
            if diff.last_update_id > self.book_id:
                self.book_id, self._behind_book = diff.last_update_id, 0
                return [Apply(diff)]
            self._behind_book += 1
            if self._behind_book <= MOST_BEHIND_BOOK:
                return []
            reason = "snapshot_ahead"
        else:
            reason = "start" if self.book_id is None else "gap"
        self.book_id = None
        self._keep(diff)
        return self._ask(reason)

    def _keep(self, diff: DepthDiff) -> None:
        """As long as the snapshot to come may need it."""
        waiting = self._buffer
        waiting.append(diff)
        if not self._is_asked:
            if len(waiting) > KEPT_WAITING:
                waiting.popleft()
            return
        self._buffered_levels += _size(diff)
        while len(waiting) > 1 and (
            self._buffered_levels > MOST_KEPT_LEVELS or diff.event_time - waiting[0].event_time > KEPT_US
        ):
            self._buffered_levels -= _size(waiting.popleft())

    def _forget_waiting(self) -> None:
        self._buffer.clear()
        self._buffered_levels = 0

    def _ask(self, reason: str) -> list[Decision]:
        if self._awaiting_snapshot:
            return []
        self._awaiting_snapshot = True
        return [SnapshotNeeded(reason)]


def _size(diff: DepthDiff) -> int:
    return 1 + len(diff.bids) + len(diff.asks)

"""PURE. SequenceTracker: whether the ids of one stream follow each other without a hole, and what filled a hole later."""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from extract_process.ranges import EVERY_ID, Grid, Range
from tickhouse_core.event_kinds import GapCause

UNBROKEN: GapCause = "sequence"
"""The cause of a hole in a stream that nothing interrupted."""

UNREADABLE: GapCause = "unreadable_number"
"""The cause of a gap of ids that came with a number that cannot be read."""

MOST_OPEN_GAPS = 100
"""Holes of one stream that a late message can still fill; of older ones the event `gap` is the last word."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids that did not come: first and last missing one, inclusive."""

    from_id: int
    to_id: int
    cause: GapCause


EVIDENCE = 3
"""Rising ids in a row that only a new numbering explains."""

MOST_SKEW_US = 10_000_000
"""Between the times of one message on two connections: a venue may stamp it when it sends it."""

MOST_JUMP = 10**9
"""Ids that a stream moves on by at once, beside one a microsecond that has passed; more is no hole but no such id."""

_MOST_SPARSE_JUMP = 2**62
_UNKNOWN_PAUSE = 10**12


@dataclass(frozen=True, slots=True)
class NewNumbering:
    """The stream's ids have begun anew, so far with these, after `before`. What lies between cannot be known."""

    first_id: int
    last_id: int
    before: int


@dataclass(frozen=True, slots=True)
class Implausible:
    """A message with ids that the stream cannot have reached since `before`: nothing follows from it alone."""

    first_id: int
    last_id: int
    before: int


@dataclass(frozen=True, slots=True)
class Healed:
    """Ids of an earlier gap (all of it or a part) that came after all."""

    from_id: int
    to_id: int


IdFinding = Gap | Healed | NewNumbering | Implausible


class SequenceTracker:
    """One stream's ids, in the order of arrival, from one connection at a time.

    `grid` says which ids exist: every integer, or the open times of an interval. What came before is harmless.
    Where ids are `sparse` (they grow, and not every one exists) a jump is a gap only after an interruption: it may
    say too much, never too little.

    A venue can number anew (a testnet is wiped, a spool moves to another host). Ids far beyond the last one decide
    nothing, nor do ids from before all that was seen, or below the last and with a younger event time: three of them in
    a row, rising and with nothing of the old numbering between them, are a new one, holes inside of them included. Ids
    that were seen already come again from another connection: they must go on for longer than two may differ.
    """

    def __init__(self, last_id: int | None = None, grid: Grid = EVERY_ID, *, sparse: bool = False, last_at: int = 0) -> None:
        """`last_id` is what the process remembers from before a restart: what lies between is a gap.

        `last_at` is when it came, in microseconds; 0: unknown.
        """
        self.last_id: int | None = None
        self._grid = grid
        self._next = 0
        self._is_sparse = sparse
        self._cause: GapCause = UNBROKEN if last_id is None else "restart"
        self._asked_to: int | None = None
        self._open: deque[Range] = deque(maxlen=MOST_OPEN_GAPS)
        self._is_numbered = grid == EVERY_ID
        self._most_jump = (_MOST_SPARSE_JUMP if sparse else MOST_JUMP) if self._is_numbered else 2**64
        self._latest_at = last_at
        self._began = 0 if last_id is None else last_id + 1
        self._run: deque[Range] = deque(maxlen=MOST_OPEN_GAPS)
        self._run_messages = 0
        self._former: Range | None = None
        self._former_at = 0
        if last_id is not None:
            self._move_to(last_id)

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last id of this numbering so far; None before there is one."""
        return None if self.last_id is None else (self._began, self.last_id)

    def is_former(self, first: int, last: int) -> bool:
        """Whether these ids are of the numbering before this one, as long as this one has not grown into it."""
        former = self._former
        if former is None or not former.first <= first <= last <= former.last:
            return False
        return self._began > former.last or self._next <= former.first

    def on_break(self, cause: GapCause) -> None:
        """The next hole, if there is one, has this cause (`disconnect`, `spool_full`)."""
        self._cause = cause

    def on_ids(self, first: int, last: int, at: int = 0) -> list[IdFinding]:
        """A message with these ids came (both included; a trade has first == last); `at` is its event time."""
        if self._is_numbered and self.last_id is not None and first <= self._next <= last <= self._next + MOST_JUMP:
            self.last_id, self._next, self._cause = last, last + 1, UNBROKEN  # almost always
            if self._run:
                self._run.clear()
            if at > self._latest_at:
                self._latest_at = at
            return []
        if self._goes_on_sparsely(first, last):
            self.last_id, self._next = last, last + 1
            if at > self._latest_at:
                self._latest_at = at
            return []
        if self.last_id is None:
            self._began = first
        elif at <= self._former_at and self.is_former(first, last):
            return []  # over a connection that is behind
        elif last < self._next:
            return self._on_late(first, last, at)
        elif last - self._next > self._most_jump and last - self._next > self._most_jump + self._pause_until(at):
            return self._on_run(first, last, at) or [Implausible(first, last, self.last_id)]
        if self._run:
            self._run.clear()
        if at > self._latest_at:
            self._latest_at = at
        if self.last_id is None or first <= self._next <= last or (self._is_sparse and self._goes_on(first)):
            self._move_to(last)
            self._cause = UNBROKEN
            return []
        gap = Gap(self._next, self._grid.before(first), self._cause)
        self._open.append(Range(gap.from_id, gap.to_id))
        self._move_to(last)
        self._cause = UNBROKEN
        return [gap]

    def on_unreadable(self, first: int, last: int) -> list[IdFinding]:
        """A message with these ids came and is no row: those that were never accounted for are a gap of their own."""
        if self.last_id is not None and last < self._next:
            return []
        first = first if self.last_id is None else max(first, self._next)
        gaps = self.on_ids(first, last)
        if self.last_id != last:
            return gaps  # implausible ids: as if it had not come
        self._open.append(Range(first, last))
        return [*gaps, Gap(first, last, UNREADABLE)]

    def on_healed(self, first: int, last: int) -> list[IdFinding]:
        """These ids came by another way, without a hole between them."""
        return [*self._heal(first, last)] if last < self._next else self.on_ids(first, last)

    def on_running(self, open_time: int) -> Range | None:
        """A kline that is not over yet: those before it are. Which of them are to be had now; said once."""
        over = self._grid.before(open_time)
        if self.last_id is None:
            self._move_to(over)
        first = self._next if self._asked_to is None else max(self._next, self._grid.after(self._asked_to))
        if first > over:
            return None
        self._asked_to = over
        return Range(first, over)

    def on_absent(self, last: int) -> None:
        """The venue has nothing up to this id: what comes after it goes on without a hole."""
        if self.last_id is None or last > self.last_id:
            self._move_to(last)

    def _on_late(self, first: int, last: int, at: int) -> list[IdFinding]:
        """Below the last id: a late message, a repeated one, or a new numbering."""
        if self._is_sparse:  # what was here already comes again: nothing is missing in between
            self._cause = UNBROKEN
        if healed := self._heal(first, last):
            return [*healed]
        if self._is_numbered and (last < self._began or at > self._latest_at > 0):
            return self._on_run(first, last, at)
        return []

    def _on_run(self, first: int, last: int, at: int) -> list[IdFinding]:
        """One more message that does not belong to the numbering; what follows once there are enough of them."""
        if self._run and not 0 < first - self._run[-1].last <= self._most_jump:
            self._run.clear()
        self._run_messages = self._run_messages + 1 if self._run else 1
        if self._run and (self._is_sparse or first == self._grid.after(self._run[-1].last)):
            self._run[-1] = Range(self._run[-1].first, last)
        else:
            self._run.append(Range(first, last))
        if self._run_messages < EVIDENCE or self.last_id is None:
            return []
        if self._began <= last <= self.last_id and at <= self._latest_at + MOST_SKEW_US:
            return []
        run = list(self._run)
        self._run.clear()
        findings: list[IdFinding] = [NewNumbering(run[0].first, last, self.last_id)]
        self._open.clear()
        self._former, self._former_at = Range(self._began, self.last_id), self._latest_at
        self._began, self._latest_at, self._cause = run[0].first, at, UNBROKEN
        self._move_to(last)
        for before, after in pairwise(run):
            hole = Range(self._grid.after(before.last), self._grid.before(after.first))
            self._open.append(hole)
            findings.append(Gap(hole.first, hole.last, UNBROKEN))
        return findings

    def _pause_until(self, at: int) -> int:
        return max(0, at - self._latest_at) if self._latest_at else _UNKNOWN_PAUSE

    def _goes_on_sparsely(self, first: int, last: int) -> bool:
        """Almost every message of a stream whose ids jump."""
        return (
            self._is_sparse
            and self._cause is UNBROKEN
            and self._former is None
            and not self._run
            and self.last_id is not None
            and self._next < first <= last <= self._next + _MOST_SPARSE_JUMP
        )

    def _goes_on(self, first: int) -> bool:
        return self._cause == UNBROKEN and first > self._next

    def _move_to(self, last: int) -> None:
        self.last_id, self._next = last, self._grid.after(last)

    def _heal(self, first: int, last: int) -> list[Gap | Healed]:
        healed: list[Gap | Healed] = []
        for hole in [hole for hole in self._open if hole.first <= last and first <= hole.last]:
            self._open.remove(hole)
            part = Range(max(first, hole.first), min(last, hole.last))
            healed.append(Healed(part.first, part.last))
            if hole.first < part.first:
                self._open.append(Range(hole.first, self._grid.before(part.first)))
            if part.last < hole.last:
                self._open.append(Range(self._grid.after(part.last), hole.last))
        return healed

"""PURE. Where in a stream of incremental updates the book is known: on a snapshot of the venue, as long as no update is missing.

The rules are those of the read API's books: an update goes on from the one before if its first id is at most that one's last
id + 1, and a snapshot carries a run if no update is missing between both.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from tickhouse_core.reading.ordering import Numbers

_CHECKED_ONLY = "proof"
"""The reason of snapshots that were taken to compare a part of the book: they bring no levels."""

_CORRECTING = "mismatch"


class Mark(NamedTuple):
    """What happens before the update in this row.

    `broken`: updates are missing, the book is unknown. `reset`: the book is that snapshot. `refresh`: the book goes on, and
    that snapshot may know more levels.
    """

    row: int
    kind: Literal["broken", "reset", "refresh"]
    snapshot_id: int = -1


class BookRuns:
    """Goes through the updates of one symbol batch by batch, in the order of their ids."""

    def __init__(self, snapshots: Sequence[tuple[int, str]], at_id: int | None) -> None:
        """`snapshots`: ids ascending, and their reasons. `at_id`: where the book is known to be at the beginning, if it is."""
        self._snapshots = snapshots
        self._next = 0
        self.is_known = at_id is not None
        self.at_id = -1 if at_id is None else at_id
        self._run_first = self.at_id + 1

    def marks(self, first: Numbers, last: Numbers) -> list[Mark]:
        """In order of their rows; `last` ascends. `is_known` and `at_id` are those behind the batch then."""
        if not len(last):
            return []
        before = np.r_[self.at_id, last[:-1]]
        breaks = np.flatnonzero(first > before + 1).tolist()
        found: list[Mark] = []
        for start, end in zip([0, *breaks], [*breaks, len(last)], strict=True):
            if start == end:
                continue
            if start in breaks:
                found.append(Mark(start, "broken"))
                self.is_known, self._run_first = False, int(first[start])
            self._carried(last, start, end, found)
        self.at_id = int(last[-1])
        return found

    def _carried(self, last: Numbers, start: int, end: int, found: list[Mark]) -> None:
        """Snapshots that are older than the last update of a run that lies in these rows."""
        while self._next < len(self._snapshots) and self._snapshots[self._next][0] < last[end - 1]:
            snapshot_id, reason = self._snapshots[self._next]
            self._next += 1
            if snapshot_id + 1 < self._run_first or (self.is_known and reason == _CHECKED_ONLY):
                continue
            row = start + int(np.searchsorted(last[start:end], snapshot_id, side="right"))
            kind: Literal["reset", "refresh"] = "refresh" if self.is_known and reason != _CORRECTING else "reset"
            if found and found[-1].row == row and found[-1].kind != "broken":
                kind = "reset" if found[-1].kind == "reset" else kind
                found.pop()
            found.append(Mark(row, kind, snapshot_id))
            self.is_known = True

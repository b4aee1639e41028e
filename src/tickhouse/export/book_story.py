"""The story of a book: updates in order, and whole books where it begins, starts anew or is asked for. Exact; batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np
import pyarrow as pa

from tickhouse.export.book_runs import BookRuns, Mark
from tickhouse.export.job import PIECE_ROWS, Job
from tickhouse.export.receipt_times import ReceiptTimes
from tickhouse.export.survey import Snapshot, Survey
from tickhouse_core.columns import LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS
from tickhouse_core.errors import ObjectMissing
from tickhouse_core.reading.levels import EMPTY, Side, after, flat
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.rows import RowScan

_ORDER = {"broken": 0, "refresh": 1, "reset": 2}
_COLUMNS = ("first_update_id", "last_update_id", "event_time", "receipt_time")


@dataclass(frozen=True, slots=True)
class Levels:
    """One side of some messages: structs of price and quantity, and where those of each message begin and the last ends."""

    flat: pa.Array
    offsets: Numbers

    @property
    def levels(self) -> pa.Array:
        """Those of these messages alone."""
        return self.flat.slice(self.offsets[0], self.offsets[-1] - self.offsets[0])


@dataclass(frozen=True, slots=True)
class Piece:
    """Messages in order, one element each. `diffs`: of the venue; `reset`: the whole book, best levels first; `refresh`: levels
    that a snapshot of the venue added to a known book.

    Times in microseconds: `event` is the venue's, `venue` and `local` ascend. Books and refreshes have those of the next update.
    """

    kind: Literal["diffs", "reset", "refresh"]
    is_known: bool
    ids: Numbers
    event: Numbers
    venue: Numbers
    local: Numbers
    bids: Levels
    asks: Levels
    before: tuple[Side, Side]
    """The book before the first message."""

    def part(self, keep: slice) -> "Piece":
        """Some of the messages. What is `before` stays that of the first of all."""
        bids, asks = (Levels(side.flat, side.offsets[keep.start : keep.stop + 1]) for side in (self.bids, self.asks))
        ids, event, venue, local = self.ids[keep], self.event[keep], self.venue[keep], self.local[keep]
        return Piece(self.kind, self.is_known, ids, event, venue, local, bids, asks, self.before)


class BookStory:
    """One pass over the updates of a symbol."""

    def __init__(self, job: Job, survey: Survey, whole_at: Sequence[int]) -> None:
        """`whole_at`: instants from which on the next update is preceded by the whole book, if it is known; ascending."""
        self._job, self._survey = job, survey
        self._snapshots = {one.id: one for one in survey.snapshots}
        self._times = ReceiptTimes(survey.least_latency or 0)
        self._whole_at = list(whole_at)
        start = survey.start_book
        self._sides = (EMPTY, EMPTY) if start is None else (after(EMPTY, start.bids), after(EMPTY, start.asks))
        at_id = None if start is None else start.last_update_id
        self._runs = BookRuns([(one.id, one.reason) for one in survey.snapshots], at_id)
        self.resets = 0

    @property
    def late(self) -> int:
        """Updates that were given another time of receipt."""
        return self._times.late

    def pieces(self) -> Iterator[Piece]:
        """At most PIECE_ROWS messages each. Raises LakeUnavailable, AccessRefused."""
        is_first = True
        for table in self._job.scan(DEPTH_DIFFS).tables():
            ids = whole_numbers(table.column("last_update_id"))
            if is_first:  # the book at the start may be further than the first update
                table = table.filter(pa.array(ids > self._runs.at_id, pa.bool_()))
            is_first = is_first and not table.num_rows
            for begin in range(0, table.num_rows, PIECE_ROWS):
                yield from self._of(table.slice(begin, PIECE_ROWS))

    def _of(self, table: pa.Table) -> Iterator[Piece]:
        first, last, event, received = (whole_numbers(table.column(name)) for name in _COLUMNS)
        venue, local = self._times.ascending(event, received)
        known = self._runs.is_known
        marks = self._with_wanted(self._runs.marks(first, last), venue, known)
        bids, asks = (Levels(*flat(table.column(side))) for side in ("bids", "asks"))
        whole = Piece("diffs", known, last, event, venue, local, bids, asks, self._sides)
        place = 0
        for mark in [*marks, None]:
            row = len(last) if mark is None else mark.row
            if row > place:
                piece = replace(whole.part(slice(place, row)), is_known=known, before=self._sides)
                yield piece
                self._sides = after(self._sides[0], piece.bids.levels), after(self._sides[1], piece.asks.levels)
                place = row
            if mark is None:
                return
            if mark.kind == "broken":
                known = False
            elif mark.kind == "reset":
                known = True
                yield self._reset(mark, whole)
            elif known:
                yield from self._refresh(mark, whole)

    def _with_wanted(self, marks: list[Mark], venue: Numbers, known: bool) -> list[Mark]:
        """The marks, and a reset to the book as it is where one is wanted: before the first update from that instant on."""
        rows = []
        while self._whole_at and self._whole_at[0] <= venue[-1]:
            rows.append(int(np.searchsorted(venue, self._whole_at.pop(0))))
        found = list(marks)
        for row in dict.fromkeys(rows):
            here = [mark for mark in marks if mark.row <= row]
            is_known = here[-1].kind != "broken" if here else known
            if is_known and not any(mark.row == row and mark.kind == "reset" for mark in marks):
                found.append(Mark(row, "reset"))
        return sorted(found, key=lambda mark: (mark.row, _ORDER[mark.kind]))

    def _reset(self, mark: Mark, diffs: Piece) -> Piece:
        if mark.snapshot_id >= 0:
            self._sides = self._sides_of(self._snapshots[mark.snapshot_id])
        self.resets += 1
        bids, asks = self._sides
        return _message("reset", mark, diffs, bids.best(is_bid=True), asks.best(is_bid=False), self._sides)

    def _refresh(self, mark: Mark, diffs: Piece) -> Iterator[Piece]:
        """What a snapshot of the venue knows better than the book: levels that no update has touched since it began."""
        newer = self._sides_of(self._snapshots[mark.snapshot_id])
        bids = _differences(self._sides[0], newer[0], is_bid=True)
        asks = _differences(self._sides[1], newer[1], is_bid=False)
        if len(bids) or len(asks):
            yield _message("refresh", mark, diffs, bids, asks, self._sides)
            self._sides = after(self._sides[0], bids), after(self._sides[1], asks)

    def _sides_of(self, snapshot: Snapshot) -> tuple[Side, Side]:
        asked = replace(self._job.asked, start=snapshot.received, end=snapshot.received + 1)
        scan = RowScan(self._job.store, DEPTH_SNAPSHOTS, asked, id_range=(snapshot.id, snapshot.id))
        for table in scan.tables():
            bids, asks = (after(EMPTY, flat(table.column(side).slice(0, 1))[0]) for side in ("bids", "asks"))
            return bids, asks
        raise ObjectMissing(f"snapshot {snapshot.id} of {asked.symbols[0]} was taken away while it was read: run again")


def _message(
    kind: Literal["reset", "refresh"], mark: Mark, diffs: Piece, bids: pa.Array, asks: pa.Array, before: tuple[Side, Side]
) -> Piece:
    """One message right before an update, at its times: no update has left the book otherwise since the one before."""
    here = slice(mark.row, mark.row + 1)
    at_id = mark.snapshot_id if mark.snapshot_id >= 0 else int(diffs.ids[mark.row]) - 1
    sides = [Levels(side, np.array([0, len(side)], dtype=np.int64)) for side in (bids, asks)]
    ids = np.array([at_id], dtype=np.int64)
    return Piece(kind, True, ids, diffs.event[here], diffs.venue[here], diffs.local[here], sides[0], sides[1], before)


def _differences(known: Side, newer: Side, *, is_bid: bool) -> pa.Array:
    """Changes that make the known side equal to a newer one as far as that one reaches; an empty one reaches nowhere."""
    there, here = (dict(zip(side.prices.to_pylist(), side.quantities.to_pylist(), strict=True)) for side in (newer, known))
    if not there:
        return pa.array([], LEVELS.value_type)
    end = min(there) if is_bid else max(there)
    changes = {price: quantity for price, quantity in there.items() if here.get(price) != quantity}
    gone = [price for price in here if price not in there and (price >= end if is_bid else price <= end)]
    changes |= dict.fromkeys(gone, Decimal(0))
    return pa.array([{"price": price, "quantity": changes[price]} for price in sorted(changes)], LEVELS.value_type)

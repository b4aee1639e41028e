"""The whole book of a symbol at an instant, as the view gold_book_at has it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.columns import LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, Dataset
from tickhouse_core.errors import ObjectMissing
from tickhouse_core.reading.levels import EMPTY, Side, after, flat
from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.source import Source
from tickhouse_core.timestamps import DAY_US, HOUR_US, format_instant


@dataclass(frozen=True, slots=True)
class BookState:
    """`last_update_id` is None where there is no book. `since_us`: when the snapshot it stands on was received.

    `why`: what is missing, in words; empty for a proven book.
    """

    last_update_id: int | None
    is_proven: bool
    since_us: int
    bids: pa.Array
    asks: pa.Array
    why: str = ""


def book_at(source: Source, request: Request) -> BookState:
    """The book after the last diff up to `request.end`, of a day at most; the range's start does not matter.

    It is the newest snapshot that is not newer than that diff, and every diff from there on.
    """
    search = _Search(source, request)
    last = search.last_diff()
    snapshot = None if last is None else search.snapshot_before(last)
    if last is None or snapshot is None:
        nothing = pa.array([], LEVELS.value_type)
        at = format_instant(request.end)
        why = f"no update of the book in the day before {at}" if last is None else f"no snapshot of the book before {at}"
        return BookState(None, False, request.end, nothing, nothing, why)
    snapshot_id, received, bids, asks = snapshot
    at_id, is_proven = snapshot_id, True
    since = replace(request, start=received - HOUR_US, end=request.end + HOUR_US)
    for table in source.scan(DEPTH_DIFFS, since, id_range=(snapshot_id + 1, last)).tables():
        first, ids = (whole_numbers(table.column(name)) for name in ("first_update_id", "last_update_id"))
        is_proven = is_proven and first[0] <= at_id + 1 and bool((first[1:] <= ids[:-1] + 1).all())
        bids, asks = after(bids, flat(table.column("bids"))[0]), after(asks, flat(table.column("asks"))[0])
        at_id = int(ids[-1])
    why = "" if is_proven else f"updates of the book are missing since its snapshot of {format_instant(received)}"
    return BookState(at_id, is_proven, received, bids.best(is_bid=True), asks.best(is_bid=False), why)


class _Search:
    def __init__(self, source: Source, request: Request) -> None:
        self._source, self._request = source, request

    def last_diff(self) -> int | None:
        """The greatest update id of a day up to the instant."""
        at = self._request.end
        for start, end in ((at - HOUR_US, at + 1), (at - DAY_US + 1, at - HOUR_US)):
            ids = [whole_numbers(table.column("last_update_id")) for table in self._tables(DEPTH_DIFFS, start, end)]
            if ids:
                return max(int(some.max()) for some in ids)
        return None

    def snapshot_before(self, last: int) -> tuple[int, int, Side, Side] | None:
        """Id, receipt and sides of the newest snapshot up to an update id, looked for backwards, day by day."""
        recorded = self._source.days(DEPTH_SNAPSHOTS, self._request.venue, self._request.symbols)
        days = [day for day in recorded if day <= self._request.end]
        late = self._request.end + HOUR_US
        windows = [(late - 2 * HOUR_US, late), *((day, min(day + DAY_US, late)) for day in reversed(days))]
        for start, end in windows:
            found: tuple[int, int] | None = None
            for table in self._tables(DEPTH_SNAPSHOTS, start, end, last):
                place = int(pc.index(table.column("last_update_id"), pc.max(table.column("last_update_id"))).as_py())
                mine = (
                    int(table.column("last_update_id")[place].as_py()),
                    int(whole_numbers(table.column("receipt_time"))[place]),
                )
                found = mine if found is None else max(found, mine)
            if found is not None:
                bids, asks = self._sides(found[0], start, end)
                return *found, bids, asks
        return None

    def _sides(self, snapshot_id: int, start: int, end: int) -> tuple[Side, Side]:
        request = replace(self._request, start=start, end=end)
        for table in self._source.scan(DEPTH_SNAPSHOTS, request, id_range=(snapshot_id, snapshot_id)).tables():
            bids, asks = (after(EMPTY, flat(table.column(side).slice(0, 1))[0]) for side in ("bids", "asks"))
            return bids, asks
        raise ObjectMissing(f"snapshot {snapshot_id} of {self._request.symbols[0]} was taken away while it was read")

    def _tables(self, dataset: Dataset, start: int, end: int, last: int | None = None) -> Iterator[pa.Table]:
        columns = list(dict.fromkeys(["last_update_id", dataset.time_column]))
        ids = None if last is None else (0, last)
        return self._source.scan(dataset, replace(self._request, start=start, end=end), columns=columns, id_range=ids).tables()

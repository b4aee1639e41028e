"""Books of one symbol, every second or at an instant, where they are provably right. The rules are those of gold's books.

Right is a snapshot of the venue and every diff since, in one unbroken run: a diff goes on from the one before if its
first_update_id is at most that one's last_update_id + 1. The newest snapshot counts, from the hour before the hour on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tickhouse_core.columns import INSTANT, LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, Dataset
from tickhouse_core.errors import ObjectMissing
from tickhouse_core.reading.levels import EMPTY, Side, after, flat, play
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.source import Scan, Source
from tickhouse_core.timestamps import HOUR_US

BOOKS = pa.schema(
    [
        pa.field("venue", pa.string()),
        pa.field("symbol", pa.string()),
        pa.field("open_time", INSTANT),
        pa.field("last_update_id", pa.uint64()),
        pa.field("bids", LEVELS),
        pa.field("asks", LEVELS),
    ]
)
_IDS = ["first_update_id", "last_update_id", "event_time"]
_NO_NUMBERS: Numbers = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Diffs:
    """Without their levels, by id."""

    first: Numbers
    last: Numbers
    time: Numbers


@dataclass(frozen=True, slots=True)
class _Owned:
    """For every step of the grid that has a proven book: the step, the diff it is at, and the snapshot it stands on."""

    step: Numbers
    last_id: Numbers
    snapshot_id: Numbers


class BookSteps:
    """The books of one symbol at the end of every step of a grid; hour by hour: memory does not grow with the range."""

    def __init__(self, source: Source, request: Request, every_us: int, levels: int) -> None:
        self._source, self._request, self._every, self._levels = source, request, every_us, levels
        self._first_step, self._last_step = -(-request.start // every_us), -(-request.end // every_us)
        self._sides = (EMPTY, EMPTY)
        self._snapshot_id = self._at_id = -1

    @property
    def symbol(self) -> str:
        return self._request.symbols[0]

    @property
    def count(self) -> int:
        """Steps of the range: those that begin in it."""
        return self._last_step - self._first_step

    def proven(self) -> int:
        """How many of them have a book; no levels are read."""
        return sum(len(owned.step) for _, _, owned in self._hourly())

    def tables(self) -> Iterator[pa.Table]:
        """In the columns of BOOKS; every table has rows."""
        self._snapshot_id = -1
        for hour, diffs, owned in self._hourly():
            for snapshot_id in dict.fromkeys(owned.snapshot_id.tolist()):
                mine = owned.snapshot_id == snapshot_id
                if snapshot_id != self._snapshot_id or owned.last_id[mine].min() < self._at_id:
                    self._begin(snapshot_id, hour)
                yield from self._play(diffs, owned.step[mine], owned.last_id[mine])

    def _hourly(self) -> Iterator[tuple[int, _Diffs, _Owned]]:
        """An hour, the diffs around it, and the steps that end in it."""
        first, every = self._first_step, self._every
        hours: dict[int, _Diffs] = {}
        while first < self._last_step:
            hour = ((first + 1) * every - 1) // HOUR_US * HOUR_US
            until = min(self._last_step, max(first + 1, (hour + HOUR_US) // every))
            around = range(hour - HOUR_US, hour + 2 * HOUR_US, HOUR_US)
            hours = {start: hours.get(start) or self._ids(start) for start in around}
            diffs = _joined(list(hours.values()))
            if len(diffs.last):
                yield hour, diffs, _owned(diffs, self._snapshots(hour), every, first, until)
            first = until

    def _begin(self, snapshot_id: int, hour: int) -> None:
        """The state is this snapshot, found where its id was found."""
        scan = self._snapshot_scan(hour, ["bids", "asks"], (snapshot_id, snapshot_id))
        for table in scan.tables():
            bids, asks = (flat(table.column(side).slice(0, 1))[0] for side in ("bids", "asks"))
            self._sides = (after(EMPTY, bids), after(EMPTY, asks))
            self._snapshot_id = self._at_id = snapshot_id
            return
        raise ObjectMissing(f"snapshot {snapshot_id} of {self._request.symbols[0]} was taken away while it was read")

    def _play(self, diffs: _Diffs, steps: Numbers, ids: Numbers) -> Iterator[pa.Table]:
        """The books at these update ids, ascending; the state is at the last of them then."""
        wanted = (diffs.last > self._at_id) & (diffs.last <= ids.max())
        if not wanted.any():  # only what the snapshot, or the hour before, is at already
            bids, asks = self._sides
            yield self._shown(steps, ids, self._tops(bids, True, len(steps)), self._tops(asks, False, len(steps)))
            return
        times = diffs.time[wanted]
        scan = self._scan(
            DEPTH_DIFFS,
            int(times.min()),
            int(times.max()) + 1,
            ["last_update_id", "bids", "asks"],
            (self._at_id + 1, int(ids.max())),
        )
        done = 0
        for table in scan.tables():
            here = whole_numbers(table.column("last_update_id"))
            count = int(np.searchsorted(ids[done:], here[-1], side="right"))
            stops = np.searchsorted(here, ids[done : done + count], side="right")
            tops = []
            sides = []
            for side, name, is_bid in zip(self._sides, ("bids", "asks"), (True, False), strict=True):
                changes, offsets = flat(table.column(name))
                now, top = play(side, changes, offsets[stops].tolist(), self._levels, is_bid=is_bid)
                sides.append(now)
                tops.append(top)
            self._sides, self._at_id = (sides[0], sides[1]), int(here[-1])
            if count:
                yield self._shown(steps[done : done + count], ids[done : done + count], *tops)
            done += count

    def _tops(self, side: Side, is_bid: bool, count: int) -> pa.Array:
        return play(side, pa.array([], LEVELS.value_type), [0] * count, self._levels, is_bid=is_bid)[1]

    def _shown(self, steps: Numbers, ids: Numbers, bids: pa.Array, asks: pa.Array) -> pa.Table:
        names = [pa.array([name] * len(steps), pa.string()) for name in (self._request.venue, self._request.symbols[0])]
        opened = pa.array(steps * self._every, pa.int64()).cast(INSTANT)
        return pa.table([*names, opened, pa.array(ids.view(np.uint64)), bids, asks], schema=BOOKS)

    def _ids(self, hour: int) -> _Diffs:
        tables = list(self._scan(DEPTH_DIFFS, hour, hour + HOUR_US, _IDS).tables())
        columns = [np.concatenate([_NO_NUMBERS, *(whole_numbers(table.column(name)) for table in tables)]) for name in _IDS]
        return _Diffs(*columns)

    def _snapshots(self, hour: int) -> Numbers:
        """Their ids, ascending."""
        tables = self._snapshot_scan(hour, ["last_update_id"]).tables()
        return np.unique(np.concatenate([_NO_NUMBERS, *(whole_numbers(table.column("last_update_id")) for table in tables)]))

    def _snapshot_scan(self, hour: int, columns: list[str], id_range: tuple[int, int] | None = None) -> Scan:
        return self._scan(DEPTH_SNAPSHOTS, hour - 2 * HOUR_US, hour + 2 * HOUR_US, columns, id_range)

    def _scan(self, dataset: Dataset, start: int, end: int, columns: list[str], id_range: tuple[int, int] | None = None) -> Scan:
        request = replace(self._request, start=start, end=end)
        return self._source.scan(dataset, request, columns=columns, id_range=id_range)


def _joined(hours: list[_Diffs]) -> _Diffs:
    first, last, time = (np.concatenate([getattr(hour, name) for hour in hours]) for name in ("first", "last", "time"))
    order = np.argsort(last, kind="stable")
    return _Diffs(first[order], last[order], time[order])


def _owned(diffs: _Diffs, snapshots: Numbers, every: int, start: int, until: int) -> _Owned:
    """A diff owns the steps that end after it and not after the next one, if that one goes on from it."""
    first, last = diffs.first, diffs.last
    goes_on = np.r_[False, first[1:] <= last[:-1] + 1]
    run_first = np.maximum.accumulate(np.where(goes_on, 0, first))
    begin = diffs.time // every
    following = np.r_[begin[1:], begin[-1:]]
    end = np.where(np.r_[goes_on[1:], False], np.maximum(following, begin), begin)
    place = np.searchsorted(snapshots, last, side="right") - 1
    snapshot = snapshots[np.maximum(place, 0)] if len(snapshots) else np.full(len(last), -1)
    is_proven = (place >= 0) & (snapshot + 1 >= run_first)
    begin, end = np.maximum(begin, start), np.minimum(end, until)
    owners = np.flatnonzero(is_proven & (end > begin))
    counts = end[owners] - begin[owners]
    owner = np.repeat(owners, counts)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(begin[owners], counts)
    _, newest = np.unique(step[::-1], return_index=True)  # where times run against ids, the later id
    chosen = np.sort(len(step) - 1 - newest)
    return _Owned(step[chosen], last[owner[chosen]], snapshot[owner[chosen]])

"""One dataset, venue and date: read, merge, write, read back, commit; and after a while the sources go."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from extract_process.parquet import parquet_bytes
from load_process.value_checksum import value_checksum
from tickhouse.compact.checked import CheckedObjects
from tickhouse.compact.counts import DayCounts
from tickhouse.compact.merging import merged
from tickhouse.compact.replaced import replacing, undoing, without_undone
from tickhouse.compact.runs import PART_BYTES, RUN_BYTES, Runs, is_by_symbol
from tickhouse.compact.scratch import scratch_folder
from tickhouse.compact.selection import DayContents, due, left_of, live, recorded, retirable, source_of, sources_of_next, waits
from tickhouse_core.columns import INSTANT
from tickhouse_core.compaction import Commit, Compaction, Fate, Output, Plan, Source
from tickhouse_core.compaction_records import Compactions
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import Interrupted, ObjectChanged, ObjectRefused, TickhouseError
from tickhouse_core.lake_keys import CompactedName, compacted_key, compacted_name
from tickhouse_core.object_store import ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.parquet_check import CheckedFile
from tickhouse_core.reading.objects import day_prefix, objects_of_day
from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.timestamps import format_instant, now_us

log = logging.getLogger(__name__)

LEVEL = 9
"""Of zstd: a day is written once, and read often."""

GROUP_BYTES = 16 * 1024**2
"""Of rows in memory in a row group: about two megabytes in the file, so that readers of an hour leave the others out."""

_SUMS = 2**64


class NotCompacted(TickhouseError):
    """A day was left as it is: its rows were not those of its sources, or an object changed meanwhile."""


@dataclass(frozen=True, slots=True)
class DayOptions:
    """`closed_before_us`: recorded objects of hours that ended later stay as they are. Bytes are of rows in memory."""

    closed_before_us: int
    keep_us: int
    is_dry: bool = False
    run_bytes: int = RUN_BYTES
    part_bytes: int = PART_BYTES
    clock: Callable[[], int] = now_us


@dataclass(slots=True)
class _Sums:
    """Rows and value checksum: both add up over tables."""

    rows: int = 0
    checksum: int = 0

    def add(self, table: pa.Table) -> None:
        self.take(_Sums(table.num_rows, value_checksum(table)))

    def take(self, others: "_Sums") -> None:
        self.rows += others.rows
        self.checksum = (self.checksum + others.checksum) % _SUMS


def contents_of_day(store: ObjectStore, dataset: Dataset, venue: str, day_us: int) -> DayContents:
    """Records first, objects second: what is not there any more is not taken for an object of a live compaction. What is held is
    asked for last: who holds an object looks for a compaction that replaces it after that."""
    compactions, date = Compactions(store), format_instant(day_us)[:10]
    found = compactions.of_day(dataset, venue, date)
    objects = sorted(objects_of_day(store, dataset, venue, day_us), key=lambda one: one.key)
    return DayContents(day_us, objects, found, compactions.held(dataset, venue, date, now_us()))


class DayCompaction:
    """Safe to repeat, to kill, and beside others. Errors: the store's, Interrupted, NotCompacted.

    What a kill leaves, and what the next run does about it:

    | it happens after | in the lake | the next run |
    |---|---|---|
    | 1. the sources are read | nothing | all of it again |
    | 2. the plan | its plan | the same plan, the same keys |
    | 3. some objects | rows twice, as of two instances | writes the same objects again, or merges them with what has come since |
    | 4. all objects are read back | as 3 | as 3 |
    | 5. the commit | as 3 | nothing, and later 6 or 6b |
    | 6. the fate `retiring` | as 3 | deletes the sources |
    | 7. some sources are deleted | every row once at least | deletes the others |
    | 6b. the fate `undone`, as a source was replaced | as 3 | deletes the objects, then compacts what is left |

    So a source goes only while all objects of a commit are there with the etags under which they were read back, and until then
    every reader has it. Of sources and objects only one kind goes, whatever several compactors saw: the fate is written once.
    Readers keep one row of each natural key in any case. Two compactors with the same sources write the same
    bytes; with different ones both results stay until the next run merges them.
    """

    def __init__(
        self, store: ObjectStore, dataset: Dataset, venue: str, day_us: int, options: DayOptions, is_stopped: Callable[[], bool]
    ) -> None:
        self._store = store
        self._dataset, self._venue, self._day_us = dataset, venue, day_us
        self._date = format_instant(day_us)[:10]
        self._options = options
        self._is_stopped = is_stopped
        self._compactions = Compactions(store)
        self._checked = CheckedObjects(store, dataset, venue, options.run_bytes, options.part_bytes, self._check_stop)

    def run(self, counts: DayCounts) -> None:
        """Deletes what was held long enough, then compacts what is left; adds to `counts`.

        The folders of symbols are listed only where there is something to do: a lake may have thousands.
        """
        found = recorded(list(self._store.list_keys(day_prefix(self._dataset, self._venue, self._day_us))))
        counts.see(found, self._day_us, self._options.closed_before_us)
        if self._has_nothing_to_do(found):
            return
        contents = self._without_replaced(contents_of_day(self._store, self._dataset, self._venue, self._day_us), counts)
        retired = self._retirable(contents)
        self._delete(retired, counts)
        left = left_of(contents, self._options.closed_before_us)
        if self._options.is_dry:
            self._count_dry(contents, left, counts)
        elif not found and not retired and not sources_of_next(contents, left, ()):
            self._settle(contents)
        elif left:
            with scratch_folder() as folder:
                self._compact(contents, left, folder, counts)

    def _has_nothing_to_do(self, found: list[ObjectSummary]) -> bool:
        """By the recorded objects of the day: there are none, or they came after, or all of them were merged and wait."""
        options = self._options
        if self._compactions.is_settled(self._dataset, self._venue, self._date):
            return not found or self._day_us >= options.closed_before_us
        compactions = self._compactions.of_day(self._dataset, self._venue, self._date)
        return bool(found) and waits(found, compactions, options.clock() - options.keep_us)

    def _without_replaced(self, contents: DayContents, counts: DayCounts) -> DayContents:
        """Undoes what holds rows of a source that was replaced since; the sources count again. A new version that a loader
        refuses replaces nothing: the rows of the one before are all there is."""
        new = replacing(contents)
        if undoing(contents, new).possible:
            new = [summary for summary in new if self._checked.is_sound(summary)]
        found = undoing(contents, new)
        undone = []
        for one in found.possible:
            if self._decide(one, Fate.UNDONE) is not Fate.UNDONE:
                break  # another compactor deletes its sources: what was made of it stays too
            undone.append(one)
        held = {source for one in live(contents) for source in one.plan.sources}
        if found.too_late and (keys := [summary.key for summary in new if source_of(summary) not in held]):
            said = {"objects": len(keys), "key": keys[0]}
            log.warning("replaced after its sources were deleted: rows that only the old version had stay", extra=said)
        contents, deleted = without_undone(contents, undone)
        self._delete(deleted, counts)
        return contents

    def _decide(self, one: Compaction, fate: Fate) -> Fate:
        """The fate that counts."""
        self._check_stop()
        return fate if self._options.is_dry or one.fate is fate else self._compactions.decide(one.plan, fate)

    def _retirable(self, contents: DayContents) -> list[ObjectSummary]:
        found = due(contents, self._options.clock(), self._options.keep_us)
        return retirable(contents, [replace(one, fate=self._decide(one, Fate.RETIRING)) for one in found])

    def _delete(self, objects: list[ObjectSummary], counts: DayCounts) -> None:
        """Every deletion of a compactor: the fate of their compactions is decided."""
        for summary in objects:
            self._check_stop()
            try:
                if not self._options.is_dry:
                    self._store.delete(summary.key, only=summary.etag)
            except ObjectChanged:  # a repair came after the day was listed: the next run merges its rows
                log.info("not deleted: it was replaced just now", extra={"key": summary.key})
                continue
            counts.deleted += 1

    def _settle(self, contents: DayContents) -> None:
        """Unless sources are kept still."""
        held = {source for one in live(contents) for source in one.plan.sources}
        if held.isdisjoint(map(source_of, contents.objects)):
            self._compactions.settle(self._dataset, self._venue, self._date)

    def _count_dry(self, contents: DayContents, left: list[ObjectSummary], counts: DayCounts) -> None:
        chosen = set(sources_of_next(contents, left, {source_of(summary) for summary in recorded(left)}))
        mine = [summary for summary in left if source_of(summary) in chosen]
        counts.sources += len(mine)
        counts.source_bytes += sum(summary.size for summary in mine)

    def _compact(self, contents: DayContents, left: list[ObjectSummary], folder: Path, counts: DayCounts) -> None:
        if not sources_of_next(contents, left, {source_of(summary) for summary in recorded(left)}):
            return
        read = _Sums()
        runs = Runs(folder, self._dataset, read.add, self._options.run_bytes, self._options.part_bytes)
        sound = self._read_all(recorded(left), runs, counts)
        chosen = sources_of_next(contents, left, sound)
        of_them = frozenset(chosen)
        used = [summary for summary in left if source_of(summary) in of_them]
        older = [summary for summary in used if compacted_name(summary.key) is not None]
        runs.rest_is_older()
        if len(self._read_all(older, runs, counts)) < len(older):
            raise NotCompacted("a compacted object went while it was read: nothing was written, run it again")
        if not chosen:
            return
        commit = self._write(Plan(self._dataset, self._venue, self._date, chosen), runs, read, counts)
        counts.sources += len(chosen)
        counts.source_bytes += sum(summary.size for summary in used)
        counts.outputs += len(commit.outputs)
        counts.rows += commit.rows
        counts.doubles += commit.doubles

    def _write(self, plan: Plan, runs: Runs, read: "_Sums", counts: DayCounts) -> Commit:
        """The commit, which is the last that is written. Raises NotCompacted before it where a sum is wrong."""
        self._compactions.write_plan(plan)
        kept, doubles, outputs = _Sums(), _Sums(), []
        for body, key, sums in self._objects(runs, plan, kept, doubles):
            self._check_stop()
            outputs.append(self._written(key, body, sums))
            counts.output_bytes += len(body)
        if (kept.rows + doubles.rows, (kept.checksum + doubles.checksum) % _SUMS) != (read.rows, read.checksum):
            raise NotCompacted("the merged rows are not those of the sources: nothing was deleted")
        commit = Commit(plan.id, kept.rows, doubles.rows, self._options.clock(), tuple(outputs))
        self._compactions.write_commit(plan, commit)
        return commit

    def _read_all(self, objects: list[ObjectSummary], runs: Runs, counts: DayCounts) -> set[Source]:
        """Those of which all rows are in the runs now."""
        sound: set[Source] = set()
        for some in self._checked.ahead(objects):
            for group, rows in self._checked.groups(some):
                self._check_stop()
                if rows is not None:
                    runs.add(rows)
                sound |= {Source(one.key, one.etag) for one in group if rows is not None or self._read(one, runs, counts)}
        return sound

    def _read(self, stored: StoredObject, runs: Runs, counts: DayCounts) -> bool:
        """All rows of an object, checked as a loader does; False where a loader would refuse it."""
        try:
            pieces = self._checked.pieces(stored)
        except ObjectRefused as refused:
            counts.refused.append(stored.key)
            log.warning("left as it is: a loader refuses it too", extra={"key": stored.key, "why": refused.reason})
            return False
        for piece in pieces:
            runs.add(piece)
        return True

    def _objects(self, runs: Runs, plan: Plan, kept: _Sums, doubles: _Sums) -> Iterator[tuple[bytes, str, _Sums]]:
        """Bytes, key, and what is in them. Only one of them is in memory."""
        for symbol in runs.symbols():
            place = {"venue": self._venue} | ({"symbol": symbol} if is_by_symbol(self._dataset) else {}) | {"date": self._date}
            for number, part in enumerate(runs.parts(symbol)):
                found, sums = merged(self._dataset, part), _Sums()
                sums.add(found.rows)
                kept.take(sums)
                doubles.add(found.doubles)
                times = whole_numbers(found.rows.column(self._dataset.time_column))
                name = CompactedName(int(times.min()), int(times.max()), plan.id)
                yield self._bytes(found.rows, plan, sums.checksum), compacted_key(self._dataset, place, name, number), sums

    def _bytes(self, rows: pa.Table, plan: Plan, checksum: int) -> bytes:
        """Its footer says the plan, where its sources are named, how many they are, and the checksum of its values."""
        said = {"plan": plan.id, "sources": str(len(plan.sources)), "value_checksum": str(checksum)}
        group = max(GROUP_BYTES * rows.num_rows // max(rows.nbytes, 1), 1)
        numbers = [entry.name for entry in self._dataset.schema if entry.type == INSTANT or pa.types.is_integer(entry.type)]
        return parquet_bytes(rows, self._dataset, said, level=LEVEL, group_rows=group, deltas=numbers)

    def _written(self, key: str, body: bytes, sums: _Sums) -> Output:
        """Read back whole: what the lake has now is what was merged. Raises NotCompacted."""
        self._store.write(key, body)
        stored, found = self._store.read(key), _Sums()
        for piece in CheckedFile(stored.body, self._dataset, key).pieces(self._options.run_bytes):
            found.add(piece)
        if found != sums:
            raise NotCompacted(f"{self._store.where(key)}: not read back as it was written: nothing was deleted, run it again")
        return Output(key, stored.etag, found.rows, found.checksum)

    def _check_stop(self) -> None:
        if self._is_stopped():
            raise Interrupted("stopped; everything is in the lake: run it again to go on")

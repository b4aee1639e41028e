"""Brings the table of one dataset up to what its compactions say: new objects are added, those they replace go in one commit.

The catalogue is the only state. A commit is refused where another came between: then all of it is decided again.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import orjson
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tickhouse.catalog.doubles import Doubles
from tickhouse.catalog.files import FilesOfTable
from tickhouse.catalog.listing import Listing, listing
from tickhouse.catalog.replacement import replace_files
from tickhouse.compact.day import contents_of_day
from tickhouse_core.compaction import Output
from tickhouse_core.compaction_records import Compactions, DayStanding
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import CatalogUnavailable, Interrupted, TickhouseError
from tickhouse_core.iceberg.catalogue import Catalogue, catalog_errors
from tickhouse_core.iceberg.snapshots import BESIDE, KNOWN_UNTIL, current_of, is_one_lake
from tickhouse_core.iceberg.tables import partitions_of
from tickhouse_core.lake_keys import compacted_name, parse_object_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import venues_of
from tickhouse_core.timestamps import parse_instant

FILES_A_COMMIT = 5_000
"""About; a day is never split: what replaces a file is of the same day."""

_TRIES, _FIRST_PAUSE = 10, 0.2
_FOOTERS_AT_ONCE = 8


@dataclass(slots=True)
class TableCounts:
    """What was done to a table, or would be.

    `waiting`: compactions of the same objects as others, until the next `tickhouse compact`. `rows` are without `doubles`, which
    are in objects of two days.
    """

    dataset: Dataset
    added: int = 0
    removed: int = 0
    commits: int = 0
    waiting: int = 0
    doubles: int = 0
    files: int = 0
    rows: int = 0
    snapshot: int | None = None


@dataclass(slots=True)
class _Change:
    """Of a table: objects by key."""

    added: dict[str, Output] = field(default_factory=dict)
    removed: dict[str, DataFile] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True)
class _Holder:
    """The UUID of a table, and the plans of a day that it holds."""

    table: str
    held: set[str]


class Registration:
    """Safe to repeat, to kill, and beside others.

    An object is held (`Compactions.hold`) before it is decided that the table has it: whoever would delete it looks for that
    after the compaction that replaces it, and the decision looks for such a compaction after it was held.

    | killed after | then |
    |---|---|
    | 1. objects are held | the next run registers them, or releases them a day later |
    | 2. manifests are written | no snapshot names them: they stay behind as files of some kilobytes |
    | 3. the commit | nothing is left to do |
    """

    def __init__(
        self,
        store: ObjectStore,
        catalogue: Catalogue,
        stop: StopRequest,
        known_until: Mapping[str, int],
        files_a_commit: int = FILES_A_COMMIT,
    ) -> None:
        """`known_until`: see `gaps_known_until`."""
        self._store, self._catalogue, self._stop = store, catalogue, stop
        self._known_until, self._files_a_commit = known_until, files_a_commit
        self._compactions = Compactions(store)

    def run(self, dataset: Dataset, counts: TableCounts) -> None:
        """Raises CatalogUnavailable, Interrupted, TickhouseError for an object that is not as its compaction recorded it."""
        for number in range(_TRIES):
            try:
                return self._bring_up(dataset, counts)
            except CommitFailedException:
                self._stop.wait(random.random() * _FIRST_PAUSE * 2**number)
                self._check_stop()
        raise CatalogUnavailable(f"table {dataset.name}: others committed {_TRIES} times meanwhile; run it again")

    def seal(self, done: Sequence[TableCounts]) -> None:
        """After all tables: one snapshot names the current ones of all others, also where another run committed meanwhile.

        That takes a commit without files at times. Of several runs the last one to end sees all. Adds to the table's counts.
        """
        for number in range(_TRIES):
            current = current_of(self._catalogue)
            if is_one_lake(current):
                return
            counts = next(one for one in done if one.dataset.name in current)
            try:
                self._commit(counts.dataset, FilesOfTable(self._catalogue, self._catalogue.table(counts.dataset)), _Change())
            except CommitFailedException:
                self._stop.wait(random.random() * _FIRST_PAUSE * 2**number)
                continue
            counts.commits += 1
            _say_current(FilesOfTable(self._catalogue, self._catalogue.table(counts.dataset)), counts)
        if not is_one_lake(current_of(self._catalogue)):
            raise CatalogUnavailable(f"the tables do not go together: others committed {_TRIES} times meanwhile; run it again")

    def preview(self, dataset: Dataset, counts: TableCounts) -> None:
        """Counts only."""
        files = FilesOfTable(self._catalogue, self._catalogue.table(dataset))
        for change in self._changes(dataset, files, counts, is_dry=True):
            counts.added += len(change.added)
            counts.removed += len(change.removed)
        _say_current(files, counts)

    def _bring_up(self, dataset: Dataset, counts: TableCounts) -> None:
        """Table first, lake second: what the lake says is not older than the table that a commit is for."""
        while True:
            counts.waiting = 0
            table = self._catalogue.table(dataset)
            files = FilesOfTable(self._catalogue, table)
            change = next(self._changes(dataset, files, counts, is_dry=table is None), None)
            if change is None:
                return _say_current(files, counts)
            if table is None:
                self._catalogue.make(dataset)
                continue
            self._commit(dataset, files, change)
            counts.commits += 1
            counts.added += len(change.added)
            counts.removed += len(change.removed)

    def _changes(self, dataset: Dataset, files: FilesOfTable, counts: TableCounts, *, is_dry: bool) -> Iterator[_Change]:
        """Of some days each."""
        change = _Change()
        for venue, date, standing in self._days(dataset, files):
            self._check_stop()
            found = self._listing(dataset, venue, date, None if is_dry else _Holder(files.uuid, set(standing.held)))
            counts.waiting += len(found.waiting)
            there = files.of_day(venue, date)
            wanted = {output.key: output for output in found.outputs}
            change.added |= {key: one for key, one in wanted.items() if key not in there}
            change.removed |= {key: file for key, file in there.items() if key not in wanted}
            if not is_dry:
                for plan in (standing.committed & found.merged) - files.plans - standing.released - set(standing.held):
                    self._compactions.release(dataset, venue, date, plan, files.uuid)
            if len(change.added) >= self._files_a_commit:
                yield change
                change = _Change()
        if change:
            yield change

    def _days(self, dataset: Dataset, files: FilesOfTable) -> Iterator[tuple[str, str, DayStanding]]:
        """With a compaction that no snapshot names and that is not done with, or one that may have been undone."""
        for venue in venues_of(self._store, dataset):
            for date, standing in sorted(self._compactions.standing(dataset, venue, files.uuid).items()):
                current = files.plans_of_day(venue, date)
                if standing.committed - standing.released - files.plans or not standing.fated.isdisjoint(current):
                    yield venue, date, standing

    def _listing(self, dataset: Dataset, venue: str, date: str, holder: _Holder | None) -> Listing:
        """Of objects that are all held; without a holder as it is."""
        for _ in range(_TRIES):
            found = listing(contents_of_day(self._store, dataset, venue, parse_instant(date)))
            plans = {name.plan for output in found.outputs if (name := compacted_name(output.key)) is not None}
            if holder is None or plans <= holder.held:
                return found
            for plan in sorted(plans - holder.held):
                self._compactions.hold(dataset, venue, date, plan, holder.table)
            holder.held.update(plans)
        raise CatalogUnavailable(f"{dataset.name} of {venue} on {date}: compacted {_TRIES} times meanwhile; run it again")

    def _commit(self, dataset: Dataset, files: FilesOfTable, change: _Change) -> None:
        """Raises CommitFailedException."""
        table = files.table
        assert table is not None, "it was made, or has a snapshot"
        with (
            catalog_errors(f"table {dataset.name}"),
            ThreadPoolExecutor(_FOOTERS_AT_ONCE, thread_name_prefix="catalog") as threads,
        ):
            added = list(threads.map(partial(self._data_file, dataset, table), change.added.values()))
            removed, deletions = change.removed.values(), None
            if change and dataset.channel is not None:
                deletions = Doubles(table, dataset).after(files.current.values(), added, removed)
            said = {BESIDE: self._beside(dataset), KNOWN_UNTIL: self._known_until}
            self._check_stop()
            replace_files(table, added, removed, deletions, {name: _json(one) for name, one in said.items()})

    def _data_file(self, dataset: Dataset, table: Table, output: Output) -> DataFile:
        """Of an object's footer; nothing else of it is read."""
        file = parquet_file_to_data_file(table.io, table.metadata, self._catalogue.locations.of(output.key))
        parsed = parse_object_key(output.key)
        assert parsed is not None, "compactions write keys of the grammar"
        places = [parsed.partitions[name] for name in partitions_of(dataset)]
        found = [file.partition[place] for place in range(len(places))]
        if (file.record_count, found) != (output.rows, places):
            raise TickhouseError(
                f"{self._store.where(output.key)}: {file.record_count} rows of {found}, and its compaction said {output.rows} "
                f"of {places}: nothing of this was registered"
            )
        return file

    def _beside(self, dataset: Dataset) -> dict[str, int]:
        return {name: one.snapshot_id for name, one in current_of(self._catalogue).items() if name != dataset.name}

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("stopped; what was committed is in the catalogue: run it again to go on")


def _say_current(files: FilesOfTable, counts: TableCounts) -> None:
    counts.files, counts.doubles = len(files.current), files.doubles
    counts.rows = sum(file.record_count for file in files.current.values()) - counts.doubles
    snapshot = None if files.table is None else files.table.current_snapshot()
    counts.snapshot = None if snapshot is None else snapshot.snapshot_id


def _json(value: object) -> str:
    return orjson.dumps(value).decode()

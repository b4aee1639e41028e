"""The comparison of lake and ledger, which loads what notifications lost: `python -m load_process.reconcile`, and in the loader.

Folder by folder, what the bucket lists against what the ledger has.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, astuple, dataclass
from typing import Annotated

import typer

from load_process.ledger import LOADED, REPLACED, Ledger
from load_process.limits import LoadLimits, LoadMemory, limits_here
from load_process.objects import LoadRequest, ObjectVersion
from load_process.on_demand import MOST_AT_ONCE, OnDemandLoad, Outcome, on_demand_load, requests_for
from load_process.selection import is_outside, span_of
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.command_line import instant, print_table, with_data_folder
from tickhouse_core.compaction import Source
from tickhouse_core.compaction_records import Compactions, RecordDamaged
from tickhouse_core.datasets import DATASETS, Dataset, dataset_named, dataset_of_key
from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.lake_keys import parse_object_key
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.starting import start
from tickhouse_core.timestamps import HOUR_US, SECOND_US, from_datetime, now_us
from tickhouse_core.warehouse import Warehouse, connect

log = logging.getLogger(__name__)

HEADER = ("dataset", "folders", "objects", "missing", "loaded", "quarantined", "not loaded", "orphans")

_FOREVER = 2**63 - 1


@dataclass(slots=True)
class SweepCounts:
    """Of one dataset. `missing` is in the lake and not in the ledger; `orphans` are in the ledger and not in the lake."""

    folders: int = 0
    objects: int = 0
    missing: int = 0
    loaded: int = 0
    quarantined: int = 0
    left: int = 0
    orphans: int = 0


class Sweep:
    """One dataset at a time; memory is bounded by a folder. Without a `load` it only counts.

    Errors that travel: LakeUnavailable, WarehouseUnavailable. Safe to repeat, and beside running loaders.
    """

    def __init__(
        self, store: ObjectStore, ledger: Ledger, load: OnDemandLoad | None, stop: StopRequest, min_age_seconds: float
    ) -> None:
        self._store = store
        self._compactions = Compactions(store)
        self._ledger = ledger
        self._load = load
        self._stop = stop
        self._min_age_us = round(min_age_seconds * SECOND_US)

    def run(self, dataset: Dataset, counts: SweepCounts, since_us: int = 0) -> None:
        """Adds to `counts` as it goes. Folders of hours before `since_us` are left out; where folders name no hours,
        objects that were written before."""
        span = (since_us, _FOREVER)
        seen: set[str] = set()
        missing: list[LoadRequest] = []
        for folder in self._store.list_folders(dataset.prefix, skip=lambda name: is_outside(name, span)):
            if self._stop.is_set():
                return
            seen.add(folder.prefix)
            counts.folders += 1
            missing += self._missing(dataset, folder, since_us, counts)
            if len(missing) >= MOST_AT_ONCE:
                self._load_missing(missing, counts)
                missing = []
        self._load_missing(missing, counts)
        for name in self._ledger.folders(self._store.bucket, dataset.name):
            if name not in seen and not is_outside(name, span):
                counts.orphans += self._count_orphans(name, self._known(dataset, name))

    def _missing(self, dataset: Dataset, folder: Folder, since_us: int, counts: SweepCounts) -> Iterator[LoadRequest]:
        """The notification of younger objects may still arrive."""
        known = self._known(dataset, folder.prefix)
        listed = {item.key for item in folder.objects}
        if any(version.key not in listed for version, status in known.items() if status == LOADED):
            counts.orphans += self._count_orphans(folder.prefix, known)
        youngest = now_us() - self._min_age_us
        chosen = [item for item in folder.objects if _is_chosen(item, folder.prefix, since_us)]
        counts.objects += len(chosen)
        for request in requests_for(
            self._store.bucket, (item for item in chosen if from_datetime(item.last_modified) <= youngest)
        ):
            if known.get(request.version, REPLACED) == REPLACED:
                yield request

    def _known(self, dataset: Dataset, folder: str) -> dict[ObjectVersion, str]:
        return self._ledger.in_folder(self._store.bucket, dataset.name, folder)

    def _count_orphans(self, folder: str, known: dict[ObjectVersion, str]) -> int:
        """Keys that are loaded and not in the bucket now: what was landed and loaded since the first listing is there.

        The sources of a compaction may go: its objects have their rows. So may the objects of one that was undone.
        """
        listed = {item.key for item in self._store.list_keys(folder)}
        gone = {version for version, status in known.items() if status == LOADED and version.key not in listed}
        if gone:
            held = self._held(folder)
            gone = {version for version in gone if Source(version.key, version.etag) not in held}
        if gone and self._load is not None:
            taken = self._load.take_out_undone(version.key for version in gone)
            gone = {version for version in gone if version.key not in taken}
        return len({version.key for version in gone})

    def _held(self, folder: str) -> set[Source]:
        """By the compacted objects of the folder's date."""
        parsed, dataset = parse_object_key(f"{folder}any"), dataset_of_key(folder)
        if parsed is None or dataset is None or not {"venue", "date"} <= parsed.partitions.keys():
            return set()
        try:
            found = self._compactions.of_day(dataset, parsed.partitions["venue"], parsed.partitions["date"])
        except RecordDamaged as error:
            log.error("what a day was merged of is not known", extra={"folder": folder, "why": str(error)})
            return set()
        return {source for one in found if one.commit is not None and not one.is_undone for source in one.plan.sources}

    def _load_missing(self, missing: list[LoadRequest], counts: SweepCounts) -> None:
        """Objects that a loader loaded after the ledger was read are not counted as missing."""
        if self._load is None or not missing:
            counts.missing += len(missing)
            return
        outcomes = list(self._load.load(missing).values())
        counts.missing += len(outcomes) - outcomes.count(Outcome.ALREADY) - outcomes.count(Outcome.GONE)
        counts.loaded += outcomes.count(Outcome.LOADED)
        counts.quarantined += outcomes.count(Outcome.QUARANTINED)
        counts.left += sum(not outcome.is_done for outcome in outcomes)


def _is_chosen(item: ObjectSummary, folder: str, since_us: int) -> bool:
    is_recent = span_of(folder) is not None or from_datetime(item.last_modified) >= since_us
    return item.key.endswith(".parquet") and is_recent


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """`every_seconds` between two sweeps; each goes back `hours` from the last that came to its end."""

    every_seconds: float = 900.0
    hours: int = 24
    min_age_seconds: float = 300.0


class ScheduledSweep:
    """Runs in a thread of its own, with a warehouse connection of its own, until the stop is requested.

    A queue that is more than a window of messages behind is left out: its objects are not lost, only late.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        store: ObjectStore,
        warehouse: Warehouse,
        stop: StopRequest,
        options: SweepOptions,
        limits: LoadLimits,
        memory: LoadMemory | None = None,
    ) -> None:
        """`memory` is shared with the loops of the process."""
        self._memory = memory
        self._datasets = datasets
        self._store = store
        self._warehouse = warehouse
        self._stop = stop
        self._options = options
        self._limits = limits
        self._queues = {name: open_queue(name) for name in {dataset.queue for dataset in datasets}}
        self._reach_us = dict.fromkeys([dataset.name for dataset in datasets], now_us())
        rounds = Backoff(options.every_seconds, options.every_seconds)
        self._outage = Outage(log, rounds, begins="not reconciled, the next round tries again", ends="reconciling again")

    def run(self) -> None:
        """Objects that another loader has claimed wait for the next round."""
        with on_demand_load(self._store, self._warehouse, self._limits, self._stop, waits=False, memory=self._memory) as load:
            ledger = Ledger(self._warehouse)
            sweep = Sweep(self._store, ledger, load, self._stop, self._options.min_age_seconds)
            while not self._stop.wait(self._options.every_seconds):
                self._round(sweep)

    def _round(self, sweep: Sweep) -> None:
        """An error ends a dataset's round, not the loader: the next round covers the same hours."""
        is_sound = True
        for dataset in self._datasets:
            try:
                if not self._is_behind(dataset):
                    self._sweep(sweep, dataset)
            except TickhouseError as error:
                self._outage.failed(error, dataset=dataset.name)
                is_sound = False
        if is_sound:
            self._outage.succeeded()

    def _is_behind(self, dataset: Dataset) -> bool:
        waiting = self._queues[dataset.queue].depth().visible
        if waiting > self._limits.window_messages:
            log.debug("not reconciled: the queue is behind", extra={"dataset": dataset.name, "waiting": waiting})
        return waiting > self._limits.window_messages

    def _sweep(self, sweep: Sweep, dataset: Dataset) -> None:
        began, counts = now_us(), SweepCounts()
        sweep.run(dataset, counts, self._reach_us[dataset.name] - self._options.hours * HOUR_US)
        if self._stop.is_set():
            return
        self._reach_us[dataset.name] = began - round(self._options.min_age_seconds * SECOND_US)
        level = logging.WARNING if counts.left else logging.INFO if counts.missing else logging.DEBUG
        log.log(level, "reconciled", extra={"dataset": dataset.name, **asdict(counts)})


def sweep_all(
    datasets: Sequence[Dataset],
    counts: Mapping[str, SweepCounts],
    stop: StopRequest,
    *,
    since_us: int = 0,
    min_age_seconds: float = 300,
    dry_run: bool = False,
) -> None:
    """Sweeps the datasets until the stop; `counts` by dataset say what was found, however it ends."""
    store = open_lake()
    with (
        closing(connect(read(WarehouseSettings))) as warehouse,
        on_demand_load(store, warehouse, limits_here(), stop) as load,
    ):
        sweep = Sweep(store, Ledger(warehouse), None if dry_run else load, stop, min_age_seconds)
        for dataset in datasets:
            sweep.run(dataset, counts[dataset.name], since_us)


def run_reconcile(
    datasets: list[Dataset], stop: StopRequest, *, since_us: int = 0, min_age_seconds: float = 300, dry_run: bool = False
) -> dict[str, SweepCounts]:
    """As `sweep_all`, and prints what was found. Raises TickhouseError if something is left."""
    counts = {dataset.name: SweepCounts() for dataset in datasets}
    try:
        sweep_all(datasets, counts, stop, since_us=since_us, min_age_seconds=min_age_seconds, dry_run=dry_run)
    finally:
        print_table(HEADER, [(name, *astuple(found)) for name, found in counts.items()], title="lake against ledger")
    if stop.is_set():
        raise Interrupted("stopped before everything was compared: run it again")
    if left := sum(found.left for found in counts.values()):
        raise TickhouseError(f"{left} missing objects could not be loaded: see ops_load_errors, then run it again")
    return counts


@with_data_folder(reads=True)
def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset; repeats.")] = None,
    since: Annotated[str | None, typer.Option(help="Skip hours before this instant (ISO 8601, UTC).")] = None,
    min_age: Annotated[
        int, typer.Option(min=0, help="Skip objects younger than this many seconds: their notification may still arrive.")
    ] = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
) -> None:
    """Compare the lake with the ledger and load objects whose notification was lost."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dict.fromkeys(dataset)] if dataset else list(DATASETS)
        since_us = instant("--since", since) if since else 0
        with stop_on_signals() as stop, serving_sql(read(WarehouseSettings)):
            run_reconcile(chosen, stop, since_us=since_us, min_age_seconds=min_age, dry_run=dry_run)

    run_command(work)


if __name__ == "__main__":
    start(main)

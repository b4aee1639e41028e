"""The sweep: what the bucket lists against what the ledger says, folder by folder; loads what notifications lost."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from load_process.lake_hours import is_outside, span_of
from load_process.ledger import LOADED, REPLACED, Ledger
from load_process.objects import Version, Wanted
from load_process.on_demand import MOST_AT_ONCE, NamedLoad, Outcome, wanted_of
from tickhouse_core.datasets import Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary
from tickhouse_core.timestamps import SECOND_US, from_datetime, now_us

log = logging.getLogger(__name__)

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
        self, store: ObjectStore, ledger: Ledger, load: NamedLoad | None, stop: StopRequest, min_age_seconds: float
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._load = load
        self._stop = stop
        self._min_age_us = round(min_age_seconds * SECOND_US)

    def run(self, dataset: Dataset, counts: SweepCounts, since_us: int = 0) -> None:
        """Adds to `counts` as it goes. Folders of hours before `since_us` are left out; where folders name no hours,
        objects that were written before."""
        span = (since_us, _FOREVER)
        seen: set[str] = set()
        missing: list[Wanted] = []
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

    def _missing(self, dataset: Dataset, folder: Folder, since_us: int, counts: SweepCounts) -> Iterator[Wanted]:
        """Objects younger than the least age still have their notification on the way."""
        known = self._known(dataset, folder.prefix)
        listed = {item.key for item in folder.objects}
        if any(version.key not in listed for version, status in known.items() if status == LOADED):
            counts.orphans += self._count_orphans(folder.prefix, known)
        youngest = now_us() - self._min_age_us
        chosen = [item for item in folder.objects if _is_chosen(item, folder.prefix, since_us)]
        counts.objects += len(chosen)
        for wanted in wanted_of(self._store.bucket, (item for item in chosen if from_datetime(item.last_modified) <= youngest)):
            if known.get(wanted.version, REPLACED) == REPLACED:
                yield wanted

    def _known(self, dataset: Dataset, folder: str) -> dict[Version, str]:
        return self._ledger.in_folder(self._store.bucket, dataset.name, folder)

    def _count_orphans(self, folder: str, known: dict[Version, str]) -> int:
        """Keys that are loaded and not in the bucket now: what was landed and loaded since the first listing is there."""
        listed = {item.key for item in self._store.list_keys(folder)}
        return len({version.key for version, status in known.items() if status == LOADED} - listed)

    def _load_missing(self, missing: list[Wanted], counts: SweepCounts) -> None:
        """What a loader has loaded since the ledger was asked is not counted as missing."""
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

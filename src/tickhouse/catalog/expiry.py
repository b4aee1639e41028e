"""Snapshots that are too old end, and with them what only they held: metadata files, and replaced objects in the lake."""

import logging
from itertools import pairwise

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table

from tickhouse.catalog.files import FilesOfTable
from tickhouse_core.compaction_records import Compactions
from tickhouse_core.datasets import Dataset
from tickhouse_core.iceberg.catalogue import TABLES, Catalogue, catalog_errors
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import venues_of
from tickhouse_core.timestamps import DAY_US

log = logging.getLogger(__name__)

PENDING_US = DAY_US
"""So long an object is held that no snapshot has: a commit may be about to name it."""

RENEWED_US = 7 * DAY_US
"""After so long a mark is written again, which counts for `HELD_US`."""


def expired(catalogue: Catalogue, before_us: int) -> dict[str, list[int]]:
    """Ids by table. A snapshot is kept that was the newest of its table at some time since then: with those of the other tables
    at the same moment it is the lake of that time."""
    tables = {dataset.name: table for dataset in TABLES if (table := catalogue.table(dataset)) is not None}
    kept = {name: _kept(table, before_us) for name, table in tables.items()}
    return {
        name: [one.snapshot_id for one in table.snapshots() if one.snapshot_id not in kept[name]]
        for name, table in tables.items()
    }


def expire(catalogue: Catalogue, before_us: int) -> int:
    """How many ended. One commit a table; a table that another process commits to at the moment is left to the next run."""
    count = 0
    ids = expired(catalogue, before_us)
    for dataset in TABLES:
        name, table = dataset.name, catalogue.table(dataset)
        if table is None:
            continue
        there = {one.snapshot_id for one in table.snapshots()}
        if not (ending := [number for number in ids.get(name, ()) if number in there]):
            continue
        before = _metadata_of(table)
        try:
            with catalog_errors(f"table {name}"):
                table.maintenance.expire_snapshots().by_ids(ending).commit()
        except CommitFailedException:
            log.info("another process committed: its snapshots end with the next run", extra={"table": name})
            continue
        count += len(ending)
        _delete(table, before - _metadata_of(table))
    return count


def release(store: ObjectStore, catalogue: Catalogue, dataset: Dataset, now_us: int) -> int:
    """After a registration: objects that no snapshot has any more may be deleted by the next compaction. How many plans.

    The others are held on: the marks of a table that is gone count for `HELD_US`.
    """
    compactions, count = Compactions(store), 0
    files = FilesOfTable(catalogue, catalogue.table(dataset))
    for venue in venues_of(store, dataset) if files.table is not None else ():
        for date, standing in compactions.standing(dataset, venue, files.uuid).items():
            for plan in standing.committed & files.plans:
                if standing.held.get(plan, 0) < now_us - RENEWED_US:
                    compactions.hold(dataset, venue, date, plan, files.uuid)
            for plan, since in standing.held.items():
                if plan not in files.plans and since < now_us - PENDING_US:
                    compactions.release(dataset, venue, date, plan, files.uuid)
                    count += 1
    return count


def _kept(table: Table, before_us: int) -> set[int]:
    ordered = sorted(table.snapshots(), key=lambda one: (one.sequence_number or 0, one.timestamp_ms))
    kept = {reference.snapshot_id for reference in table.refs().values()}
    kept |= {one.snapshot_id for one in ordered[-1:]}
    return kept | {one.snapshot_id for one, after in pairwise(ordered) if after.timestamp_ms * 1_000 >= before_us}


def _metadata_of(table: Table) -> set[str]:
    """Files that snapshots name: lists of manifests, manifests, and positions of rows that do not count."""
    found: set[str] = set()
    deletions: dict[str, ManifestFile] = {}
    with catalog_errors(f"table {table.name()[-1]}"):
        for snapshot in table.snapshots():
            manifests = snapshot.manifests(table.io)
            found |= {snapshot.manifest_list, *(one.manifest_path for one in manifests)}
            deletions.update({one.manifest_path: one for one in manifests if one.content == ManifestContent.DELETES})
        for manifest in deletions.values():
            found |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
    return found


def _delete(table: Table, paths: set[str]) -> None:
    """What stays after a kill is named by nothing."""
    with catalog_errors(f"table {table.name()[-1]}"):
        for path in sorted(paths):
            try:
                table.io.delete(path)
            except FileNotFoundError:
                continue

"""What a snapshot of the lake is: the objects of one table's snapshot, and of those that it names of the other tables.

A commit is of one table. It says in its summary which snapshots the other tables had, and until when gaps were known then: so
one id stands for the whole lake as it was.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from tickhouse_core.errors import UsageError
from tickhouse_core.iceberg.catalogue import TABLES, Catalogue, catalog_errors
from tickhouse_core.iceberg.locations import Locations
from tickhouse_core.iceberg.snapshot_store import LakeSnapshot

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

BESIDE, KNOWN_UNTIL = "tickhouse.beside", "tickhouse.gaps-known-until"
"""In a snapshot's summary, as JSON: ids by table; microseconds by venue."""


def snapshot_of(catalogue: Catalogue, snapshot_id: int) -> LakeSnapshot:
    """Raises UsageError for one that is not there, or that names one that is not there any more; CatalogUnavailable."""
    tables = {dataset.name: table for dataset in TABLES if (table := catalogue.table(dataset)) is not None}
    found = [(name, one) for name, table in tables.items() if (one := table.snapshot_by_id(snapshot_id)) is not None]
    if not found:
        raise UsageError(
            f"snapshot {snapshot_id}: the catalogue has none of this id, or it expired; `tickhouse catalog` prints the newest"
        )
    ((own, snapshot), *_) = found
    ids = {**beside(snapshot), own: snapshot_id}
    sizes: dict[str, int] = {}
    for name, number in ids.items():
        table = tables.get(name)
        one = table.snapshot_by_id(number) if table is not None else None
        if table is None or one is None:
            raise UsageError(f"snapshot {snapshot_id}: it goes with snapshot {number} of {name}, which expired: take a newer one")
        sizes |= {key_of(catalogue.locations, file): file.file_size_in_bytes for file in files_of(table, one)}
    return LakeSnapshot(snapshot_id, sizes, known_until(snapshot))


def newest(catalogue: Catalogue) -> "Snapshot | None":
    """The last commit of all: it names the newest snapshots of the other tables. None in an empty catalogue."""
    tables = [table for dataset in TABLES if (table := catalogue.table(dataset)) is not None]
    found = [snapshot for table in tables if (snapshot := table.current_snapshot()) is not None]
    return max(found, key=lambda one: one.timestamp_ms, default=None)


def files_of(table: "Table", snapshot: "Snapshot | None") -> Iterator["DataFile"]:
    """Live data files; none of no snapshot. Raises CatalogUnavailable."""
    if snapshot is None:
        return
    with catalog_errors(f"snapshot {snapshot.snapshot_id}"):
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file


def beside(snapshot: "Snapshot") -> dict[str, int]:
    """The snapshots that the other tables had, by the table's name."""
    return {name: int(number) for name, number in _said(snapshot, BESIDE).items()}


def known_until(snapshot: "Snapshot") -> dict[str, int]:
    return {venue: int(instant) for venue, instant in _said(snapshot, KNOWN_UNTIL).items()}


def key_of(locations: Locations, file: "DataFile") -> str:
    """Raises UsageError for a file that is not in this lake."""
    if not file.file_path.startswith(f"{locations.root}/"):
        raise UsageError(f"{file.file_path}: it is not in this lake, at {locations.root}; who added it to the table?")
    return locations.key(file.file_path)


def _said(snapshot: "Snapshot", name: str) -> dict[str, int]:
    summary = snapshot.summary
    text = summary.additional_properties.get(name) if summary is not None else None
    found: dict[str, int] = orjson.loads(text) if text else {}
    return found

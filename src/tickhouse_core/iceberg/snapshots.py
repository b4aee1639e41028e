"""What a snapshot of the lake is: the objects of one table's snapshot, and of those that it names of the other tables.

A commit is of one table. It says in its summary which snapshots the other tables had, and until when gaps were known then: so
one id stands for the whole lake as it was.
"""

from collections.abc import Iterator, Mapping
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
    return newest_of(current_of(catalogue))


def newest_of(current: Mapping[str, "Snapshot"]) -> "Snapshot | None":
    """The one that names the current snapshots of all other tables. While several runs commit there may be none: then the one
    that names most of them. None in an empty catalogue."""
    return max(current.values(), key=lambda one: (_named(one, current), one.timestamp_ms), default=None)


def current_of(catalogue: Catalogue) -> dict[str, "Snapshot"]:
    """By table."""
    tables = {dataset.name: table for dataset in TABLES if (table := catalogue.table(dataset)) is not None}
    return {name: one for name, table in tables.items() if (one := table.current_snapshot()) is not None}


def is_one_lake(current: Mapping[str, "Snapshot"]) -> bool:
    """Whether one of the current snapshots names all others."""
    return not current or any(_named(one, current) == len(current) - 1 for one in current.values())


def _named(snapshot: "Snapshot", current: Mapping[str, "Snapshot"]) -> int:
    """How many of the current ones it names. No clock is asked: of two commits only the later one can name the other."""
    found = beside(snapshot)
    return sum(found.get(name) == one.snapshot_id for name, one in current.items())


def files_of(table: "Table", snapshot: "Snapshot | None") -> Iterator["DataFile"]:
    """Live data files; none of no snapshot. Raises CatalogUnavailable."""
    from pyiceberg.manifest import ManifestContent

    if snapshot is None:
        return
    with catalog_errors(f"snapshot {snapshot.snapshot_id}"):
        for manifest in snapshot.manifests(table.io):
            if manifest.content != ManifestContent.DATA:  # rows that another object has too: our readers see that for themselves
                continue
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

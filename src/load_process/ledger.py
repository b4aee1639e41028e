"""The load ledger: which version of which object is done, and every failed try."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from load_process.objects import Version
from tickhouse_core.warehouse import Warehouse

LOADED = "loaded"
QUARANTINED = "quarantined"
SUPERSEDED = "superseded"
"""Was loaded; bronze keeps its rows, and silver has what a newer version of the object says."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A row of ops_loaded_objects; `load_time` is the warehouse's."""

    bucket: str
    key: str
    etag: str
    dataset: str
    rows: int
    checksum: int
    status: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LoadError:
    """A row of ops_load_errors; `time` is the warehouse's."""

    bucket: str
    key: str
    etag: str
    dataset: str
    reason: str
    detail: str
    fate: str
    attempts: int


class Ledger:
    """Reads and writes the two tables; errors are the warehouse's."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def done(self, versions: Collection[Version]) -> set[Version]:
        """Those that need no more work: loaded, or refused for good. A superseded version that is current again needs some."""
        statuses = self.statuses([version.key for version in versions])
        return {version for version in versions if statuses.get(version, SUPERSEDED) != SUPERSEDED}

    def superseded(self, versions: Collection[Version]) -> set[Version]:
        """Those of which bronze keeps the rows, and a newer version is in silver."""
        statuses = self.statuses([version.key for version in versions])
        return {version for version in versions if statuses.get(version) == SUPERSEDED}

    def statuses(self, keys: Collection[str]) -> dict[Version, str]:
        """By version, of every version of these keys."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, status from ops_loaded_objects final where key in %(keys)s", keys
        )
        return {Version(*row[:3]): str(row[3]) for row in rows}

    def older_than(self, version: Version) -> set[Version]:
        """The versions of the same object that are not loaded any more."""
        statuses = self.statuses([version.key])
        gone = {other for other, status in statuses.items() if status not in (LOADED, QUARANTINED)}
        return {other for other in gone if other.bucket == version.bucket and other != version}

    def supersede(self, versions: Collection[Version]) -> None:
        """A newer version of the same object is in silver in place of these, which are loaded."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, dataset, rows, checksum, attempts from ops_loaded_objects final "
            "where key in %(keys)s and status = 'loaded'",
            [version.key for version in versions],
        )
        entries = [
            LedgerEntry(bucket, key, etag, dataset, count, checksum, SUPERSEDED, attempts)
            for bucket, key, etag, dataset, count, checksum, attempts in rows
            if Version(bucket, key, etag) in versions
        ]
        if entries:
            self.record(entries)

    def record(self, entries: Sequence[LedgerEntry]) -> None:
        """All at once or none of them."""
        self._warehouse.insert_rows("ops_loaded_objects", [asdict(entry) for entry in entries])

    def record_error(self, error: LoadError) -> None:
        self._warehouse.insert_rows("ops_load_errors", [asdict(error)])

"""The load ledger: which version of which object is done, and every failed try."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from load_process.versions import Version
from tickhouse_core.warehouse import Warehouse

LOADED = "loaded"
QUARANTINED = "quarantined"


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
        """Those that need no more work: loaded, or refused for good."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag from ops_loaded_objects where key in %(keys)s", [version.key for version in versions]
        )
        return {Version(*row) for row in rows} & set(versions)

    def record(self, entries: Sequence[LedgerEntry]) -> None:
        """All at once or none of them."""
        self._warehouse.insert_rows("ops_loaded_objects", [asdict(entry) for entry in entries])

    def record_error(self, error: LoadError) -> None:
        self._warehouse.insert_rows("ops_load_errors", [asdict(error)])

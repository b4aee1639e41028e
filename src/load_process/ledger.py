"""The load ledger: which version of which object is done, and every failed try."""

from dataclasses import asdict, dataclass

from pipeline.warehouse import Warehouse

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

    def is_done(self, bucket: str, key: str, etag: str) -> bool:
        """Whether this version needs no more work: loaded, or refused for good."""
        rows = self._warehouse.query(
            "select 1 from ops_loaded_objects "
            "where bucket = {bucket:String} and key = {key:String} and etag = {etag:String} limit 1",
            {"bucket": bucket, "key": key, "etag": etag},
        )
        return bool(rows)

    def record(self, entry: LedgerEntry) -> None:
        self._warehouse.insert_rows("ops_loaded_objects", [asdict(entry)])

    def record_error(self, error: LoadError) -> None:
        self._warehouse.insert_rows("ops_load_errors", [asdict(error)])

"""What reconcile and redrive ask the ledger: a folder of it, the newest word on some objects, and which were replaced."""

from collections.abc import Collection
from dataclasses import dataclass

from load_process.ledger import Ledger, LedgerEntry
from load_process.objects import Version
from tickhouse_core.warehouse import Warehouse

REPLACED = "replaced"
"""Was loaded, and bronze holds another version of the object in its place."""


@dataclass(frozen=True, slots=True)
class LedgerWord:
    """What the ledger says of one version; `load_time` in microseconds by the warehouse's clock."""

    status: str
    load_time: int


class LedgerLookup:
    """Errors are the warehouse's."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def now_us(self) -> int:
        return self._warehouse.now_us()

    def in_folder(self, bucket: str, dataset: str, folder: str) -> dict[Version, str]:
        """The status of every version that was directly in the folder."""
        rows = self._warehouse.query(
            "select bucket, key, etag, status from ops_loaded_objects final "
            "where bucket = {bucket:String} and dataset = {dataset:String} and startsWith(key, {folder:String}) "
            "and position(substring(key, length({folder:String}) + 1), '/') = 0",
            {"bucket": bucket, "dataset": dataset, "folder": folder},
        )
        return {Version(*row[:3]): str(row[3]) for row in rows}

    def folders(self, bucket: str, dataset: str) -> list[str]:
        """Every folder of which something is loaded."""
        rows = self._warehouse.query(
            "select distinct substring(key, 1, length(key) - position(reverse(key), '/') + 1) as folder "
            "from ops_loaded_objects final "
            "where bucket = {bucket:String} and dataset = {dataset:String} and status = 'loaded' order by folder",
            {"bucket": bucket, "dataset": dataset},
        )
        return [str(row[0]) for row in rows]

    def of_keys(self, keys: Collection[str]) -> dict[str, dict[Version, LedgerWord]]:
        """By key, every version that the ledger has of it."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, status, toUnixTimestamp64Micro(load_time) from ops_loaded_objects final "
            "where key in %(keys)s",
            keys,
        )
        found: dict[str, dict[Version, LedgerWord]] = {}
        for bucket, key, etag, status, load_time in rows:
            found.setdefault(key, {})[Version(bucket, key, etag)] = LedgerWord(status, int(load_time))
        return found

    def dropped(self, keys: Collection[str], since_us: int) -> set[Version]:
        """Versions that turned out to be nothing to load, since that instant."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag from ops_load_errors "
            "where key in %(keys)s and fate = 'dropped' and time >= fromUnixTimestamp64Micro(%(since_us)s)",
            keys,
            {"since_us": since_us},
        )
        return {Version(*row) for row in rows}

    def mark_replaced(self, keys: Collection[str], before_us: int) -> None:
        """What was loaded of these keys before that instant is in bronze no more: a later version took its place."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, dataset, rows, checksum, attempts from ops_loaded_objects final "
            "where key in %(keys)s and (status = 'superseded' "
            "or status = 'loaded' and load_time < fromUnixTimestamp64Micro(%(before_us)s))",
            keys,
            {"before_us": before_us},
        )
        entries = [
            LedgerEntry(bucket, key, etag, dataset, count, checksum, REPLACED, attempts)
            for bucket, key, etag, dataset, count, checksum, attempts in rows
        ]
        if entries:
            Ledger(self._warehouse).record(entries)

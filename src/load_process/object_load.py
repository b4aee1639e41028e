"""What happens to one created object: ledger, checks, bronze, ledger; or quarantine. Knows no queue."""

import hashlib
import logging

from load_process.ledger import LOADED, QUARANTINED, Ledger, LedgerEntry, LoadError
from load_process.notifications import ObjectCreated
from load_process.parquet_check import check_every_value, count_loadable_rows
from load_process.quarantine import quarantine
from pipeline.datasets import Dataset, dataset_of_key
from pipeline.errors import ObjectMissing, ObjectRefused, WarehouseRefused
from pipeline.object_store import ObjectStore, StoredObject
from pipeline.warehouse import Warehouse

log = logging.getLogger(__name__)


class ObjectLoader:
    """Brings an object into bronze exactly once per version, whatever is delivered how often.

    Errors that travel: LakeUnavailable, WarehouseUnavailable (try again later) and WarehouseRefused (the engine
    refuses a sound object: the message runs out of deliveries and waits in the dead-letter queue).
    """

    def __init__(self, store: ObjectStore, warehouse: Warehouse) -> None:
        self._store = store
        self._warehouse = warehouse
        self._ledger = Ledger(warehouse)

    def load(self, created: ObjectCreated, attempts: int) -> None:
        """Safe to repeat at any point: what is done is found in the ledger, a repeated insert by its token."""
        dataset = dataset_of_key(created.key)
        if dataset is None or created.bucket != self._store.bucket:
            detail = f"s3://{created.bucket}/{created.key} is no dataset of bucket {self._store.bucket}"
            self._drop(created, "", "unknown_prefix", detail, attempts)
        elif self._ledger.is_done(created.bucket, created.key, created.etag):
            log.debug("already done", extra={"key": created.key})
        else:
            self._load_current_version(created, dataset, attempts)

    def _load_current_version(self, created: ObjectCreated, dataset: Dataset, attempts: int) -> None:
        """Loads what the key holds now, which may be newer than what the notification spoke of."""
        try:
            stored = self._store.read(created.key)
        except ObjectMissing as error:
            self._drop(created, dataset.name, "object_missing", str(error), attempts)
            return
        if stored.etag != created.etag and self._ledger.is_done(created.bucket, stored.key, stored.etag):
            return
        try:
            rows = count_loadable_rows(stored.body, dataset)
            check_every_value(stored.body, dataset)  # the engine may insert half of a broken file, or spin on it for ever
        except ObjectRefused as error:
            self._quarantine(stored, dataset, error, attempts)
            return
        token = f"{stored.key}+{stored.etag}"
        try:
            self._warehouse.insert_parquet(dataset.bronze_table, stored.body, object_key=stored.key, token=token)
        except WarehouseRefused as error:
            self._ledger.record_error(
                self._error(stored.key, stored.etag, dataset.name, "warehouse_refused", str(error), "retried", attempts)
            )
            raise
        self._ledger.record(self._entry(stored, dataset, rows, LOADED, attempts))
        log.info("loaded", extra={"key": stored.key, "rows": rows, "attempts": attempts})

    def _quarantine(self, stored: StoredObject, dataset: Dataset, error: ObjectRefused, attempts: int) -> None:
        copy = quarantine(self._store, stored, error.reason, str(error))
        self._ledger.record_error(
            self._error(stored.key, stored.etag, dataset.name, error.reason, str(error), QUARANTINED, attempts)
        )
        self._ledger.record(self._entry(stored, dataset, 0, QUARANTINED, attempts))
        log.error("quarantined", extra={"key": stored.key, "copy": copy, "reason": error.reason, "why": str(error)})

    def _drop(self, created: ObjectCreated, dataset: str, reason: str, detail: str, attempts: int) -> None:
        self._ledger.record_error(self._error(created.key, created.etag, dataset, reason, detail, "dropped", attempts))
        log.warning("nothing to load", extra={"key": created.key, "reason": reason})

    def _error(self, key: str, etag: str, dataset: str, reason: str, detail: str, fate: str, attempts: int) -> LoadError:
        return LoadError(self._store.bucket, key, etag, dataset, reason, detail, fate, attempts)

    def _entry(self, stored: StoredObject, dataset: Dataset, rows: int, status: str, attempts: int) -> LedgerEntry:
        checksum = int.from_bytes(hashlib.sha256(stored.body).digest()[:8])
        return LedgerEntry(self._store.bucket, stored.key, stored.etag, dataset.name, rows, checksum, status, attempts)

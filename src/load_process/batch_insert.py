"""One insert for many objects, exactly once: manifest, insert with its token, ledger. What a crash left is repeated first."""

import logging
from collections.abc import Sequence

import pyarrow as pa

from load_process.batches import LoadLimits, batch_id, cut_into_batches, token_of
from load_process.claims import Claims, Manifest
from load_process.ledger import LOADED, Ledger, LedgerEntry, LoadError
from load_process.object_reader import ObjectReader
from load_process.versions import Fate, ReadObject, Version
from pipeline.datasets import NAME
from pipeline.errors import WarehouseRefused
from pipeline.warehouse import Warehouse

log = logging.getLogger(__name__)

Fates = dict[Version, Fate]


class BatchInsert:
    """Inserts objects that were read; errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat."""

    def __init__(self, warehouse: Warehouse, reader: ObjectReader, limits: LoadLimits) -> None:
        self._warehouse = warehouse
        self._reader = reader
        self._limits = limits
        self._ledger = Ledger(warehouse)
        self._claims = Claims(warehouse)

    def insert(self, objects: Sequence[ReadObject]) -> Fates:
        """One fate for each of them."""
        fates: Fates = {}
        for batch in cut_into_batches(objects, self._limits):
            fates |= self._insert_batch(batch)
        return fates

    def insert_again(self, item: ReadObject, salt: str) -> Fates:
        """Replaces what bronze has of the object by what the lake has; `salt` names this repetition."""
        self._warehouse.delete_object(item.dataset.bronze_table, item.version.key)
        return self._insert_claimed([item], salt)

    def _insert_batch(self, objects: list[ReadObject]) -> Fates:
        fates = dict.fromkeys(self._ledger.done([item.version for item in objects]), Fate.DONE)
        fates |= self._finish_what_others_began([item for item in objects if item.version not in fates])
        left = [item for item in objects if item.version not in fates]
        return fates | (self._insert_claimed(left) if left else {})

    def _insert_claimed(self, objects: list[ReadObject], salt: str = "") -> Fates:
        versions = [item.version for item in objects]
        manifest = Manifest(batch_id(versions, salt), tuple(versions))
        self._claims.claim(manifest)
        rivals = [] if salt else self._claims.manifests_with(versions, other_than=manifest.batch)
        taken = {version for rival in rivals for version in rival.members}.intersection(versions)
        self._claims.release(manifest.batch, taken)
        mine = [item for item in objects if item.version not in taken]
        fates = dict.fromkeys(taken, Fate.LATER)
        return fates | (self._insert_members(manifest.batch, mine) if mine else {})

    def _insert_members(self, batch: str, objects: list[ReadObject]) -> Fates:
        versions = [item.version for item in objects]
        try:
            self._insert_rows(objects, token_of(batch, versions))
        except WarehouseRefused as error:
            self._claims.release(batch, versions)
            return self._on_refused(objects, error)
        self._ledger.record([_entry(item) for item in objects])
        rows = sum(item.table.num_rows for item in objects)
        log.info("loaded", extra={"dataset": objects[0].dataset.name, "objects": len(objects), "rows": rows})
        return dict.fromkeys(versions, Fate.DONE)

    def _on_refused(self, objects: list[ReadObject], error: WarehouseRefused) -> Fates:
        """One of them spoils the insert: each alone shows which."""
        if len(objects) > 1:
            fates: Fates = {}
            for item in objects:
                fates |= self._insert_claimed([item])
            return fates
        (item,) = objects
        log.error("not loaded, left for another try", extra={"key": item.version.key, "why": str(error)})
        self._ledger.record_error(
            LoadError(*item.version, item.dataset.name, "warehouse_refused", str(error), "retried", item.attempts)
        )
        return {item.version: Fate.STUCK}

    def _finish_what_others_began(self, objects: list[ReadObject]) -> Fates:
        """Batches that claim one of these and are not in the ledger: a loader died there, or is at it this moment.

        Either way the same members in the same order under the same token are inserted once.
        """
        at_hand = {item.version: item for item in objects}
        fates: Fates = {}
        for manifest in self._claims.manifests_with(at_hand.keys()):
            members = [at_hand.get(version) or self._reader.read_version(version) for version in manifest.members]
            sound = [member for member in members if member is not None]
            if len(sound) < len(members):
                log.warning("a batch cannot be repeated: objects of it were replaced", extra={"batch": manifest.batch})
                self._claims.release(manifest.batch, manifest.members)
                continue
            fates |= self._insert_members(manifest.batch, sound)
        return fates

    def _insert_rows(self, objects: list[ReadObject], token: str) -> None:
        dataset = objects[0].dataset
        tables = [_with_key(item) for item in objects if item.table.num_rows]
        if tables:
            rows = pa.concat_tables(tables).unify_dictionaries()
            self._warehouse.insert_arrow(dataset.bronze_table, rows, token=token)


def _with_key(item: ReadObject) -> pa.Table:
    indices = pa.repeat(pa.scalar(0, pa.int32()), item.table.num_rows)
    keys = pa.DictionaryArray.from_arrays(indices, [item.version.key])
    return item.table.append_column(pa.field("object_key", NAME, nullable=False), keys)


def _entry(item: ReadObject) -> LedgerEntry:
    return LedgerEntry(*item.version, item.dataset.name, item.table.num_rows, item.checksum, LOADED, item.attempts)

"""Compacted objects in the warehouse: their rows are there by the sources, or they take the place of sources that are gone, or
they were undone and leave it."""

import logging
from collections.abc import Collection, Iterable

from load_process.ledger import COVERED, LOADED, Ledger, LedgerEntry
from load_process.objects import DecodedObject
from load_process.supersession import Supersession
from tickhouse_core.compaction import Compaction, Source
from tickhouse_core.compaction_records import Compactions, compacted_day
from tickhouse_core.datasets import Dataset
from tickhouse_core.lake_keys import compacted_name, object_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence

log = logging.getLogger(__name__)

_MOST_KNOWN = 1_000
"""Plans that are remembered: the objects of one come together, one of each symbol."""


class CoveredObjects:
    """Whether a compacted object has nothing to insert. Errors: the store's and the warehouse's.

    One that was undone has nothing: its sources count, and it is about to be deleted.

    An object whose sources are not all in the ledger is loaded as any other: silver keeps each row once in any case. So no
    order of notifications loses or doubles a row, and a lake without raw objects fills an empty warehouse.
    """

    def __init__(self, store: ObjectStore, ledger: Ledger) -> None:
        self._compactions = Compactions(store)
        self._ledger = ledger
        self._covered: set[str] = set()

    def settle(self, item: DecodedObject) -> bool:
        """Whether the ledger has its rows by its sources; then the ledger says so of the object too.

        An insert of it that was begun is finished instead, or a part of it would stay in bronze.
        """
        name = compacted_name(item.version.key)
        if name is None or not self._is_covered(item.version.key, name.plan) or self._ledger.is_claimed(item.version):
            return False
        rows, checksum = item.table.num_rows, item.checksum
        self._ledger.record([LedgerEntry(*item.version, item.dataset.name, rows, checksum, COVERED, item.attempts)])
        return True

    def _is_covered(self, key: str, plan: str) -> bool:
        if plan in self._covered:
            return True
        found = self._compactions.behind(key)
        if found is None or (not found.is_undone and self._ledger.lacks(found.plan.sources)):
            return False
        if len(self._covered) >= _MOST_KNOWN:
            self._covered.clear()
        self._covered.add(plan)
        return True


class RetiredSources:
    """What a redrive with --again does about sources that the lake no longer has: compacted objects take their place."""

    def __init__(self, store: ObjectStore, warehouse: Warehouse) -> None:
        self._store = store
        self._warehouse = warehouse
        self._ledger = Ledger(warehouse)
        self._compactions = Compactions(store)
        self._fence = WriterFence(warehouse)

    def replace(self, loaded: Collection[str], before_us: int) -> None:
        """After these objects were loaded again: once all objects of a plan are in bronze, the sources that are gone leave it.

        One object alone holds one symbol, its sources hold all. Safe to repeat.
        """
        plans: dict[str, Compaction] = {}
        for key in loaded:
            if (name := compacted_name(key)) is not None and name.plan not in plans and (found := self._compactions.behind(key)):
                plans[name.plan] = found
        for found in plans.values():
            if found.commit is None:
                continue
            statuses = self._ledger.statuses([output.key for output in found.commit.outputs])
            in_bronze = {Source(version.key, version.etag) for version, status in statuses.items() if status == LOADED}
            if in_bronze.issuperset(Source(output.key, output.etag) for output in found.commit.outputs):
                self._take_out(found, before_us)

    def _take_out(self, found: Compaction, before_us: int) -> None:
        plan = found.plan
        keys = {source.key for source in self._compactions.recorded(plan.sources)}
        folders = {f"{key.rpartition('/')[0]}/" for key in keys}
        gone = sorted(keys.difference(*({item.key for item in self._store.list_keys(folder)} for folder in folders)))
        if gone:
            self._fence.check()
            self._warehouse.delete_objects(plan.dataset.bronze_table, gone, until_us=before_us)
            self._ledger.mark_replaced(gone, before_us)
            log.info("compacted objects are loaded in place of their sources", extra={"plan": plan.id, "sources": len(gone)})


class UndoneObjects:
    """Takes compacted objects out of the warehouse that were loaded and then undone, because a source was replaced.

    Silver gets what the other objects say that are loaded; what is loaded later comes as always. Safe to repeat.
    """

    def __init__(self, store: ObjectStore, warehouse: Warehouse, supersession: Supersession) -> None:
        self._bucket = store.bucket
        self._warehouse = warehouse
        self._supersession = supersession
        self._ledger = Ledger(warehouse)
        self._compactions = Compactions(store)
        self._fence = WriterFence(warehouse)

    def take_out(self, keys: Iterable[str]) -> set[str]:
        """Those of the days of these keys, of which the ones that are not compacted objects do not count.

        Of all symbols: where a new version lacks a symbol, no new object of it says that the old one was undone.
        """
        taken: set[str] = set()
        for dataset, venue, date in dict.fromkeys(day for key in keys if (day := compacted_day(key)) is not None):
            taken |= self._of_day(dataset, venue, date)
        return taken

    def _of_day(self, dataset: Dataset, venue: str, date: str) -> set[str]:
        loaded = self._ledger.compacted_of_day(self._bucket, dataset.name, object_key(dataset, {"venue": venue}, ""), date)
        plans = {name.plan: version.key for version in loaded if (name := compacted_name(version.key)) is not None}
        gone = {plan for plan, key in plans.items() if self._compactions.is_undone(key)}
        undone = [version for version in loaded if (name := compacted_name(version.key)) is not None and name.plan in gone]
        keys = sorted({version.key for version in undone})
        if keys:
            self._fence.check()
            now_us = self._warehouse.now_us()
            self._supersession.retract(dataset, undone)
            self._warehouse.delete_objects(dataset.bronze_table, keys, until_us=now_us)
            self._ledger.mark_replaced(keys, now_us)
            log.info("compacted objects left: a source was replaced", extra={"objects": len(keys), "key": keys[0]})
        return set(keys)

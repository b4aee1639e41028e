"""One insert for many objects, exactly once: manifest, insert with its token, ledger. What a crash left is repeated first."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from uuid import uuid4

from load_process.compacted import UndoneObjects
from load_process.ledger import LOADED, SUPERSEDED, BatchManifest, Claims, Ledger, LedgerEntry, LoadError
from load_process.limits import INSERT_COPIES, LoadLimits, MemoryBudget, Room
from load_process.object_reader import ObjectReader, Reading
from load_process.objects import (
    DecodedObject,
    LoadRequest,
    LoadResult,
    LoadStatus,
    ObjectVersion,
    cut_into_batches,
    in_large_chunks,
    slices_of,
)
from load_process.supersession import Supersession
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence

log = logging.getLogger(__name__)

Statuses = dict[ObjectVersion, LoadStatus]

AGAIN_AT_ONCE = 50
"""Objects whose old rows go with one deletion."""


class BatchInsert:
    """Inserts objects that were read; errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat.

    The replica that is written to may change at any time: the fence is asked before the first step and after every claim.

    The rows of a batch go in slices, as many at once as there are connections: an insert keeps one core busy.

    What a kill or an outage leaves, and what the next loader does about it (the code names these steps):

    | it happens after | ops_load_claims | bronze | ledger | the next try |
    |---|---|---|---|---|
    | 1. the read | - | - | - | claims and inserts |
    | 2. the claim | yes | - | - | repeats the claim's insert under its token |
    | 3. a part of the insert | yes | some rows | - | as 2: the engine takes only the slices that it lacks |
    | 4. the insert | yes | all rows | - | as 2: the engine takes nothing, and pushes to the views again |
    | 5. the engine noted a slice it then lost | yes | too few rows | - | repeats, counts, deletes what is left, claims anew |
    | 6. the count of a repeated insert | yes | all rows | - | as 4 |
    | 7. the deletion of 5, or its new claim | both | none or some | - | as 5 for the old claim, as 2 to 4 for the new one |
    | 8. any step of taking older versions out of silver | yes | all rows | older: loaded | as 4, and takes them out |
    | 9. the older versions are superseded | yes | all rows | older: superseded | as 4 |
    | 10. the ledger | yes | all rows | loaded | nothing: the version is done |
    | 2 to 9, and the object was replaced | yes | any | - | takes the batch's rows out, gives the claim up, loads what is left |

    So the ledger comes last: after a repeated insert's rows were counted, and after silver has nothing of older versions.
    """

    def __init__(
        self,
        warehouses: Sequence[Warehouse],
        reader: ObjectReader,
        limits: LoadLimits,
        patience_seconds: float,
        memory: MemoryBudget | None = None,
    ) -> None:
        """A claim younger than `patience_seconds` is left to its loader, which may be alive.

        `memory` for inserts is shared with others of the process; without, the limits' share is this one's alone.
        """
        self._memory = memory or MemoryBudget(limits.inserting_bytes)
        self._patience_seconds = patience_seconds
        self._begun: set[str] = set()
        self._warehouses = warehouses
        self._reader = reader
        self._limits = limits
        self._ledger = Ledger(warehouses[0])
        self._claims = Claims(warehouses[0])
        self._fence = WriterFence(warehouses[0])
        self._supersession = Supersession(warehouses[0], reader.etag_now, patience_seconds)
        self.undone = UndoneObjects(reader.store, warehouses[0], self._supersession)

    def insert_reading(self, reading: Reading, is_stopping: Callable[[], bool] = lambda: False) -> list[LoadResult]:
        """One result for each request that was read, but for those of the batches that a stop left out.

        Only here versions become results. Several requests may have led to the same version: by its etag, by an older etag or
        by none. A batch that another loader left unfinished may have members that were requested and could not be read.
        """
        again = [item for item in reading.objects if any(request.again for request in reading.requests[item.version])]
        statuses = self.insert_again(again) if again else {}
        statuses |= self.insert([item for item in reading.objects if item.version not in statuses], is_stopping)
        results = [replace(result, status=statuses.get(result.request.version, result.status)) for result in reading.results]
        for item in reading.objects:
            if status := statuses.get(item.version):
                requests = reading.requests[item.version]
                results += [LoadResult(request, status, item.version, item.table.num_rows) for request in requests]
        self.undone.take_out(result.request.key for result in results if result.status is LoadStatus.DONE)
        return results

    def insert(self, objects: Sequence[DecodedObject], is_stopping: Callable[[], bool] = lambda: False) -> Statuses:
        """One status per object, except for batches that a stop skipped."""
        statuses: Statuses = {}
        for batch in cut_into_batches(objects, self._limits):
            if is_stopping():
                break
            statuses |= self._insert_batch(batch)
        return statuses

    def insert_again(self, objects: Sequence[DecodedObject]) -> Statuses:
        """Replaces the objects' rows in bronze by the lake's: the old rows are deleted after the new ones are inserted.

        Rows of their older versions leave silver too. Some objects at a time, so that a kill leaves few with both.
        """
        statuses: Statuses = {}
        for dataset in dict.fromkeys(item.dataset for item in objects):
            left = [item for item in objects if item.dataset is dataset]
            while left:
                by_key: dict[str, DecodedObject] = {}
                for item in left:  # two versions of one key: the second takes the first one's place
                    by_key.setdefault(item.version.key, item)
                some = list(by_key.values())[:AGAIN_AT_ONCE]
                statuses |= self._replace(dataset, some)
                left = [item for item in left if item.version not in statuses]
        return statuses

    def _replace(self, dataset: Dataset, objects: Sequence[DecodedObject]) -> Statuses:
        """Each under a claim of its own, but one deletion: it rewrites every part of the table that has any of the rows."""
        self._fence.check()
        began_us = self._warehouses[0].now_us()
        statuses: Statuses = {}
        for item in objects:
            statuses |= self._insert_claimed([item], has_rivals=False)
        done = [item.version for item in objects if statuses[item.version] is LoadStatus.DONE]
        self._supersession.retract(dataset, {older for version in done for older in self._ledger.older_than(version)})
        self._warehouses[0].delete_objects(dataset.bronze_table, [version.key for version in done], until_us=began_us)
        return statuses

    def _insert_batch(self, objects: list[DecodedObject]) -> Statuses:
        self._fence.check()
        statuses = dict.fromkeys(self._ledger.done([item.version for item in objects]), LoadStatus.DONE)
        self._make_way_for([item for item in objects if item.version not in statuses])
        statuses |= self._finish_what_others_began([item for item in objects if item.version not in statuses])
        left = [item for item in objects if item.version not in statuses]
        return statuses | (self._insert_claimed(left) if left else {})

    def _make_way_for(self, objects: list[DecodedObject]) -> None:
        """A superseded version is current again: its rows leave bronze, and the version is loaded as if it were new."""
        back = self._ledger.superseded([item.version for item in objects])
        for item in objects:
            if item.version in back:
                self._warehouses[0].delete_object(item.dataset.bronze_table, item.version.key, etag=item.version.etag)

    def _insert_claimed(self, objects: list[DecodedObject], *, has_rivals: bool = True) -> Statuses:
        """Under a new batch id: a token must not be reused after its rows were deleted."""
        versions = [item.version for item in objects]
        manifest = BatchManifest(uuid4().hex, tuple(versions))
        self._begun.add(manifest.batch)
        self._claims.claim(manifest)  # step 2
        self._fence.check()
        rivals = self._claims.manifests_with(versions, other_than=manifest.batch) if has_rivals else []
        taken = {version for rival in rivals for version in rival.members}.intersection(versions)
        done = self._ledger.done(versions) if has_rivals else set()  # by a loader that was faster than our claim
        self._claims.release(manifest.batch, taken | done)
        mine = [item for item in objects if item.version not in taken | done]
        statuses = dict.fromkeys(taken, LoadStatus.RETRY) | dict.fromkeys(done, LoadStatus.DONE)
        return statuses | (self._insert_members(manifest.batch, mine) if mine else {})

    def _insert_members(self, batch: str, objects: list[DecodedObject], *, is_repeat: bool = False) -> Statuses:
        versions = [item.version for item in objects]
        try:
            self._insert_rows(objects, BatchManifest(batch, tuple(versions)).token, push_again=is_repeat)  # steps 3 to 5
        except WarehouseRefused as error:
            return self._insert_one_by_one(batch, objects) if len(objects) > 1 else self._on_refused(objects[0], error)
        lacking = self._lacking(batch, objects) if is_repeat else set()  # step 6
        whole = [item for item in objects if item.version not in lacking]
        if whole:
            stale = self._supersession.settle(whole[0].dataset, [item.version for item in whole])  # steps 8 and 9
            entries = [_entry(item, SUPERSEDED if item.version in stale else LOADED) for item in whole]
            self._ledger.record(entries)  # step 10
            rows = sum(item.table.num_rows for item in whole)
            log.info("loaded", extra={"dataset": whole[0].dataset.name, "objects": len(whole), "rows": rows})
        statuses = dict.fromkeys([item.version for item in whole], LoadStatus.DONE)
        for item in objects:
            if item.version in lacking:
                statuses |= self._load_anew(batch, item)
        self._begun.discard(batch)
        return statuses

    def _insert_one_by_one(self, batch: str, objects: list[DecodedObject]) -> Statuses:
        """The engine refused the batch: each object is inserted alone, which shows the bad one.

        Rows that were stored before are deleted.
        """
        self._fence.check()
        claimed_at_us = self._claims.time_of(batch)
        self._claims.release(batch, [item.version for item in objects])
        statuses = dict.fromkeys(self._ledger.done([item.version for item in objects]), LoadStatus.DONE)
        left = [item for item in objects if item.version not in statuses]
        for item in left:
            self._warehouses[0].delete_object(
                item.dataset.bronze_table, item.version.key, etag=item.version.etag, since_us=claimed_at_us
            )
        for item in left:
            statuses |= self._insert_claimed([item])
        return statuses

    def _on_refused(self, item: DecodedObject, error: WarehouseRefused) -> Statuses:
        """Its claim stays: the retry runs alone and reuses the token, because the engine may have stored part of it."""
        log.error("not loaded, will be retried", extra={"key": item.version.key, "why": str(error)})
        self._ledger.record_error(
            LoadError(*item.version, item.dataset.name, "warehouse_refused", str(error), "retried", item.attempts)
        )
        return {item.version: LoadStatus.REFUSED}

    def _finish_what_others_began(self, objects: list[DecodedObject]) -> Statuses:
        """Batches that claim one of these and are not in the ledger: a loader died there, or is at it this moment.

        A young claim is waited for. The members of an old one are inserted again in the same order under the same token, so
        that the engine takes each row once, however many loaders do this. A member that is in the ledger came with another
        batch, which the dead loader had yet to see: it would have given the member up.
        """
        at_hand = {item.version: item for item in objects}
        statuses: Statuses = {}
        for manifest in self._claims.manifests_with(at_hand.keys()):
            done = self._ledger.done(manifest.members)
            if manifest.age_seconds < self._patience_seconds and manifest.batch not in self._begun:
                statuses |= {version: LoadStatus.DONE if version in done else LoadStatus.RETRY for version in manifest.members}
                continue
            self._claims.release(manifest.batch, done)
            statuses |= dict.fromkeys(done, LoadStatus.DONE)
            left = [version for version in manifest.members if version not in done]
            with self._reader.room() as room:
                members = [at_hand.get(version) or self._reader.read_version(version, room) for version in left]
                sound = [member for member in members if member is not None]
                if len(sound) < len(members):
                    log.warning("a batch cannot be repeated: objects of it were replaced", extra={"batch": manifest.batch})
                    self._supersession.withdraw(objects[0].dataset, left)
                    self._claims.release(manifest.batch, left)
                elif sound:
                    statuses |= self._insert_members(manifest.batch, sound, is_repeat=True)
        return statuses

    def _lacking(self, batch: str, objects: list[DecodedObject]) -> set[ObjectVersion]:
        """Those of a repeated insert of which bronze has another number of rows: a kill can leave an engine that knows a
        token whose rows it never kept (MergeTree notes the block before it adds the part)."""
        claimed_at_us = self._claims.time_of(batch)
        self._fence.wait_for_rows(objects[0].dataset.bronze_table)  # another replica may have inserted them
        keys = [item.version.key for item in objects]
        counts = self._warehouses[0].count_of_versions(objects[0].dataset.bronze_table, keys, since_us=claimed_at_us)
        return {item.version for item in objects if counts.get(item.version[1:], 0) != item.table.num_rows}

    def _load_anew(self, batch: str, item: DecodedObject) -> Statuses:
        """Step 7: under a new token, without what the batch left of it."""
        self._fence.check()
        log.warning("rows of a killed insert are loaded again", extra={"key": item.version.key})
        table, claimed_at_us = item.dataset.bronze_table, self._claims.time_of(batch)
        self._warehouses[0].delete_object(table, item.version.key, etag=item.version.etag, since_us=claimed_at_us)
        return self._insert_claimed([item], has_rivals=False)

    def _insert_rows(self, objects: list[DecodedObject], token: str, *, push_again: bool) -> None:
        """Slices of the same objects are always the same rows, and the token says which."""
        table, slices, one_at_a_time = objects[0].dataset.bronze_table, slices_of(objects, self._limits), Lock()

        def work(warehouse: Warehouse) -> None:
            with Room(self._memory) as room:
                while True:
                    with one_at_a_time:
                        start, size, part = next(slices, (0, 0, None))
                    if part is None:
                        return
                    room.wait_for(INSERT_COPIES * part.nbytes)
                    warehouse.insert_arrow(table, in_large_chunks(part), token=f"{token}:{start}+{size}", push_again=push_again)
                    room.close()

        with ThreadPoolExecutor(len(self._warehouses)) as threads:
            for done in [threads.submit(work, warehouse) for warehouse in self._warehouses]:
                done.result()


def load_window(requests: Sequence[LoadRequest], reader: ObjectReader, batches: BatchInsert) -> list[LoadResult]:
    """One result for each request. The caller must hold no room of the reader's memory. Safe to repeat.

    The queue loader does the same with a thread for each of the two steps. Errors that travel: those of the steps.
    """
    results: list[LoadResult] = []
    left = list(requests)
    while left:
        with reader.read(left) as reading:
            results += batches.insert_reading(reading)
            left = reading.left
    return results


def _entry(item: DecodedObject, status: str) -> LedgerEntry:
    return LedgerEntry(*item.version, item.dataset.name, item.table.num_rows, item.checksum, status, item.attempts)

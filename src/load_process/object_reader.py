"""From the lake into memory: reads several objects at once, and records in ledger and quarantine what can never be loaded."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from load_process.compacted import CoveredObjects
from load_process.ledger import Ledger
from load_process.limits import LoadLimits, MemoryBudget, NoRoom, Room
from load_process.object_decoder import FIRST_BYTES, BrokenObject, ObjectDecoder
from load_process.objects import DecodedObject, LargeTable, LoadRequest, LoadResult, LoadStatus, ObjectVersion
from load_process.refusals import Refusals, Unreadable, UnreadObjects
from tickhouse_core.datasets import Dataset, dataset_of_key
from tickhouse_core.errors import (
    AccessRefused,
    LakeInconsistent,
    LakeRefused,
    LakeSilent,
    LakeUnavailable,
    NotProvisioned,
    ObjectChanged,
    ObjectMissing,
)
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.redaction import redacted

log = logging.getLogger(__name__)

_ACCESS = "access_refused"
_SILENT = "lake_silent"
_NO_BUCKET = "bucket_missing"
_REFUSED = "lake_refused"
_OF_ALL_OR_ONE = {_ACCESS, _SILENT, _NO_BUCKET, _REFUSED}
"""May concern one object or the whole lake: one more request to the lake decides."""

READERS = 4
"""Objects that one loop reads concurrently."""

MOST_SILENT = 4
"""Silent objects per read, ten seconds each, before the remaining objects are postponed."""


@dataclass(slots=True)
class Reading:
    """The objects to insert, in the order of the requests, and the `results` of the requests that led to none.

    Leaving the context drops the rows and releases their memory. The requests that memory had no room for are `left`.
    """

    room: Room = field(default_factory=lambda: Room(MemoryBudget(0)), compare=False)
    objects: list[DecodedObject] = field(default_factory=list)
    requests: dict[ObjectVersion, list[LoadRequest]] = field(default_factory=dict)
    """By the version that was read: every request that led to it, which may have named an older etag or none."""

    results: list[LoadResult] = field(default_factory=list)
    left: list[LoadRequest] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.objects.clear()
        self.room.close()


_Found = DecodedObject | BrokenObject | Unreadable | ObjectMissing | LakeUnavailable | NoRoom


class ObjectReader:
    """Reads several objects at once; objects that can never be loaded are quarantined and recorded in the ledger.

    RETRY is the status of an object that the lake cannot answer for. REFUSED is that of an object that the lake refuses or
    does not send in time, and of one that our own code fails on. Errors that travel: the warehouse's, NotProvisioned, and
    AccessRefused, LakeRefused or LakeUnavailable where the lake refuses this process altogether, or answers nothing at all.
    """

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        limits: LoadLimits,
        threads: ThreadPoolExecutor,
        memory: MemoryBudget | None = None,
        unread: UnreadObjects | None = None,
    ) -> None:
        """`memory` is shared with other readers of the process; without, the limits' share is this reader's alone. `unread` is
        shared with those that read the same objects again."""
        self._unread = unread or UnreadObjects()
        self._refusals = Refusals(store, ledger, self._unread)
        self._covered = CoveredObjects(store, ledger)
        self._memory = memory or MemoryBudget(limits.reading_bytes)
        self._decoder = ObjectDecoder(store, limits, self._memory.total)
        self._store = store
        self._ledger = ledger
        self._limits = limits
        self._threads = threads

    def read(self, requests: Sequence[LoadRequest], *, waits: bool = True, gives_up: bool = False) -> Reading:
        """Safe to repeat at any point: what is done is found in the ledger.

        As many as memory has room for, the rest is `left` in the answer. With `waits` at least one is read, as soon as
        others gave back what it needs; that is for callers that hold nothing themselves. With `gives_up` no status is RETRY.
        """
        reading = Reading(Room(self._memory, most=self._limits.part_bytes))
        try:
            self._read_into(reading, requests, waits, gives_up)
        except BaseException:
            reading.room.close()
            raise
        return reading

    @property
    def store(self) -> ObjectStore:
        return self._store

    def room(self) -> Room:
        """For what `read_version` reads: it never waits, since others wait for its caller."""
        return Room(self._memory, always=True)

    def _read_into(self, reading: Reading, requests: Sequence[LoadRequest], waits: bool, gives_up: bool) -> None:
        new = self._without_done(self._of_datasets(requests, reading), reading)
        silent: list[str] = []
        found = self._read_all(silent, new, reading.room, waits)
        reading.left = [item for item, outcome in found if isinstance(outcome, NoRoom)]
        settled = [(item, outcome) for item, outcome in found if not isinstance(outcome, NoRoom)]
        if any(_may_be_of_all(outcome) for _, outcome in settled):
            self._store.check_access()  # of all objects: then no delivery is spent on it
        judged = self._ledger.done([outcome.version for _, outcome in settled if isinstance(outcome, BrokenObject)])
        for item, outcome in settled:
            if isinstance(outcome, DecodedObject) and not item.again and self._covered.settle(outcome):
                reading.results.append(LoadResult(item, LoadStatus.DONE))
                reading.room.give(0 if isinstance(outcome.table, LargeTable) else outcome.table.nbytes)
            elif isinstance(outcome, DecodedObject):
                reading.requests.setdefault(outcome.version, []).append(item)
                if len(reading.requests[outcome.version]) == 1:
                    reading.objects.append(outcome)
            elif isinstance(outcome, BrokenObject) and outcome.version in judged and not item.again:
                reading.results.append(LoadResult(item, LoadStatus.DONE))  # requested by an older etag, or twice
            else:
                status = self._refusals.settle(item, outcome, gives_up=gives_up)
                reading.results.append(LoadResult(item, status))
                if isinstance(outcome, BrokenObject) and status is LoadStatus.DONE:
                    judged.add(outcome.version)
        for _, outcome in settled:
            if isinstance(outcome, BrokenObject):
                reading.room.give(len(outcome.body or b""))
        unread = {item.version for item in reading.left}
        unread |= {result.request.version for result in reading.results if result.status is not LoadStatus.DONE}
        for request in requests:
            if request.version not in unread:
                self._unread.discard(request.key)
        self._drop_done_versions(reading)

    def _read_all(self, silent: list[str], new: list[LoadRequest], room: Room, waits: bool) -> list[tuple[LoadRequest, _Found]]:
        """All at once; where nothing found room the first waits for it, alone."""
        found = list(zip(new, self._threads.map(partial(self._read_unless, silent, room), new), strict=True))
        if not waits or not found or not all(isinstance(outcome, NoRoom) for _, outcome in found):
            return found
        item, outcome = found[0]
        while isinstance(outcome, NoRoom):
            log.debug("waiting for memory", extra={"key": item.key, "bytes": outcome.needed})
            room.wait_for(outcome.needed)
            outcome = self._read_unless(silent, room, item)
        found[0] = (item, outcome)
        return found

    def read_version(self, version: ObjectVersion, room: Room) -> DecodedObject | None:
        """Exactly this version, or None if the lake no longer has it in a sound state. LakeUnavailable travels."""
        dataset = dataset_of_key(version.key)
        if dataset is None or version.bucket != self._store.bucket:
            return None
        result = self._try(room, version.key, 0, dataset, 1)
        if isinstance(result, LakeUnavailable):
            raise result
        if isinstance(result, Unreadable) and result.reason == _NO_BUCKET:
            raise LakeUnavailable(result.why)
        return result if isinstance(result, DecodedObject) and result.version == version else None

    def etag_now(self, key: str) -> str | None:
        """Of the version that the lake has of the key at this moment, None if it has none. LakeUnavailable travels."""
        summary = next(self._store.list_keys(key), None)  # the shortest key with a prefix is listed first
        return summary.etag if summary is not None and summary.key == key else None

    def _of_datasets(self, requests: Sequence[LoadRequest], reading: Reading) -> list[LoadRequest]:
        known = []
        for item in requests:
            if dataset_of_key(item.key) is not None and item.bucket == self._store.bucket:
                known.append(item)
            else:
                detail = f"s3://{item.bucket}/{item.key} is no dataset of bucket {self._store.bucket}"
                reading.results.append(LoadResult(item, self._refusals.drop(item, "unknown_prefix", detail)))
        return known

    def _without_done(self, requests: list[LoadRequest], reading: Reading) -> list[LoadRequest]:
        done = self._ledger.done([item.version for item in requests if not item.again])
        new = []
        for item in requests:
            if item.version in done and not item.again:
                reading.results.append(LoadResult(item, LoadStatus.DONE))
            else:
                new.append(item)
        return new

    def _drop_done_versions(self, reading: Reading) -> None:
        """The key may hold a newer version than the notification spoke of, and that one may be done."""
        unnamed = [
            version
            for version, requests in reading.requests.items()
            if not any(item.again or item.version == version for item in requests)
        ]
        for version in self._ledger.done(unnamed):
            reading.results += [LoadResult(item, LoadStatus.DONE) for item in reading.requests.pop(version)]
        reading.objects = [item for item in reading.objects if item.version in reading.requests]

    def _read_unless(self, silent: list[str], room: Room, item: LoadRequest) -> _Found:
        """Several threads share `silent`: an object more or less does not matter."""
        if len(silent) >= MOST_SILENT:
            return LakeUnavailable(f"not read: {len(silent)} other objects did not come in time, {silent[0]} for one")
        result = self._read(room, item)
        if isinstance(result, Unreadable) and result.reason == _SILENT:
            silent.append(item.key)
        return result

    def _read(self, room: Room, item: LoadRequest) -> _Found:
        dataset = dataset_of_key(item.key)
        assert dataset is not None, "objects of no dataset are sorted out before"
        if room.is_refused:
            return NoRoom(FIRST_BYTES)
        size = item.size
        result = self._try(room, item.key, size, dataset, item.attempts)
        if isinstance(result, ObjectMissing):
            for key in item.spellings:
                of_spelling = dataset_of_key(key)
                found = result if of_spelling is None else self._try(room, key, size, of_spelling, item.attempts)
                if not isinstance(found, ObjectMissing):
                    return found
        return result

    def _try(self, room: Room, key: str, size: int, dataset: Dataset, attempts: int) -> _Found:
        """The last word on one object, whatever is in it.

        The writer of the object chooses the bytes. An unforeseen error is therefore a fault of ours that one object revealed:
        it must not end the loader and all its queues. The object is tried again, and its message ends in the dead-letter queue.
        """
        try:
            return self._decoder.decode(room, key, size, dataset, attempts)
        except LakeSilent as error:
            return Unreadable(_SILENT, str(error))
        except LakeInconsistent as error:
            return Unreadable("lake_inconsistent", str(error))
        except (ObjectMissing, LakeUnavailable, NoRoom) as error:
            return error
        except NotProvisioned as error:
            return Unreadable(_NO_BUCKET, str(error))
        except AccessRefused as error:
            return Unreadable(_ACCESS, str(error))
        except (LakeRefused, ObjectChanged) as error:
            return Unreadable(_REFUSED, str(error))
        except Exception as error:
            log.debug("unexpected error", extra={"key": key}, exc_info=True)
            return Unreadable("unforeseen", redacted(f"{type(error).__name__}: {error}")[:500])


def _may_be_of_all(outcome: _Found) -> bool:
    return isinstance(outcome, LakeUnavailable) or (isinstance(outcome, Unreadable) and outcome.reason in _OF_ALL_OR_ONE)

"""From the lake into memory: an object is read, checked to its last value and summed up, or meets its fate here."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from load_process.batches import LoadLimits
from load_process.ledger import QUARANTINED, Ledger, LedgerEntry, LoadError
from load_process.memory_budget import MemoryBudget, NoRoom, Room
from load_process.sound_read import FIRST_BYTES, Refused, SoundRead
from load_process.trouble import ObjectTrouble
from load_process.versions import Fate, ReadObject, Version, Wanted
from tickhouse_core.datasets import Dataset, dataset_of_key
from tickhouse_core.errors import (
    AccessRefused,
    LakeRefused,
    LakeSilent,
    LakeUnavailable,
    NotProvisioned,
    ObjectChanged,
    ObjectMissing,
)
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.quarantine import quarantine
from tickhouse_core.redaction import redacted

log = logging.getLogger(__name__)

_ACCESS = "access_refused"
_SILENT = "lake_silent"
_NO_BUCKET = "bucket_missing"
_UNAVAILABLE = "lake_unavailable"
_OF_ALL_OR_ONE = {_ACCESS, _SILENT, _NO_BUCKET}
"""May be the trouble of a single object or of the whole lake: one question to the lake tells."""

MOST_SILENT = 4
"""Objects of one reading that a lake keeps us waiting for, ten seconds each, before the others are left for later."""


@dataclass(slots=True)
class Reading:
    """What was read of the wanted objects, in their order, and what became of those that have no rows to insert.

    Leaving it drops the rows and gives their memory back. What memory had no room for is `left`.
    """

    room: Room = field(default_factory=lambda: Room(MemoryBudget(0)), compare=False)
    objects: list[ReadObject] = field(default_factory=list)
    fates: dict[Version, Fate] = field(default_factory=dict)
    wanted_as: dict[Version, list[Version]] = field(default_factory=dict)
    """By the version that was read: how it was asked for, which may be an older etag or none."""

    left: list[Wanted] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.objects.clear()
        self.room.close()


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Neither read nor known to be broken: the lake refused it, or our own code failed on it."""

    reason: str
    why: str


_Result = ReadObject | Refused | _Unreadable | ObjectMissing | LakeUnavailable | NoRoom


class ObjectReader:
    """Reads several objects at once; tells ledger and quarantine of those that can never be loaded.

    A lake that cannot answer for one object is its fate LATER; one that refuses an object, or does not send it in time, or one
    that we fail on, STUCK. Errors that travel: the warehouse's, NotProvisioned, and AccessRefused or LakeUnavailable where the
    lake refuses this process altogether, or answers nothing at all.
    """

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        limits: LoadLimits,
        threads: ThreadPoolExecutor,
        memory: MemoryBudget | None = None,
        trouble: ObjectTrouble | None = None,
    ) -> None:
        """`memory` is shared with other readers of the process; without, the limits' share is this reader's alone. `trouble` is
        shared with those that read the same objects again."""
        self._trouble = trouble or ObjectTrouble()
        self._memory = memory or MemoryBudget(limits.reading_bytes)
        self._sound = SoundRead(store, limits, self._memory.total)
        self._store = store
        self._ledger = ledger
        self._limits = limits
        self._threads = threads

    def read(self, wanted: Sequence[Wanted], *, waits: bool = True, gives_up: bool = False) -> Reading:
        """Safe to repeat at any point: what is done is found in the ledger.

        As many as memory has room for, the rest is `left` in the answer. With `waits` at least one is read, as soon as
        others gave back what it needs; that is for callers that hold nothing themselves. With `gives_up` nothing is LATER: what
        the lake still cannot answer for is noted and STUCK.
        """
        reading = Reading(Room(self._memory, most=self._limits.part_bytes))
        try:
            self._read_into(reading, wanted, waits, gives_up)
        except BaseException:
            reading.room.close()
            raise
        return reading

    def room(self) -> Room:
        """For what `read_version` reads: it never waits, since others wait for its caller."""
        return Room(self._memory, always=True)

    def _read_into(self, reading: Reading, wanted: Sequence[Wanted], waits: bool, gives_up: bool) -> None:
        new = self._without_done(self._of_datasets(wanted, reading), reading)
        silent: list[str] = []
        results = self._results(silent, new, reading.room, waits)
        reading.left = [item for item, result in results if isinstance(result, NoRoom)]
        settled = [(item, result) for item, result in results if not isinstance(result, NoRoom)]
        if any(_may_be_of_all(result) for _, result in settled):
            self._store.check_access()  # of all objects: then no delivery is spent on it
        judged = self._ledger.done([result.version for _, result in settled if isinstance(result, Refused)])
        for item, result in settled:
            if isinstance(result, ReadObject):
                reading.wanted_as.setdefault(result.version, []).append(item.version)
                if len(reading.wanted_as[result.version]) == 1:
                    reading.objects.append(result)
            elif isinstance(result, Refused) and result.version in judged and not item.again:
                reading.fates[item.version] = Fate.DONE  # asked for by an older etag, or twice
            else:
                reading.fates[item.version] = self._settle(item, result, gives_up)
                if isinstance(result, Refused) and reading.fates[item.version] is Fate.DONE:
                    judged.add(result.version)
        for _, result in settled:
            if isinstance(result, Refused):
                reading.room.give(len(result.body or b""))
        unread = {version for version, fate in reading.fates.items() if fate is not Fate.DONE}
        unread |= {item.version for item in reading.left}
        for item in wanted:
            if item.version not in unread:
                self._trouble.is_over(item.created.key)
        self._drop_done_versions(reading, {item.version for item in new if item.again})

    def _results(self, silent: list[str], new: list[Wanted], room: Room, waits: bool) -> list[tuple[Wanted, _Result]]:
        """All at once; where nothing found room the first waits for it, alone."""
        results = list(zip(new, self._threads.map(partial(self._read_unless, silent, room), new), strict=True))
        if not waits or not results or not all(isinstance(result, NoRoom) for _, result in results):
            return results
        item, result = results[0]
        while isinstance(result, NoRoom):
            log.debug("waiting for memory", extra={"key": item.created.key, "bytes": result.needed})
            room.wait_for(result.needed)
            result = self._read_unless(silent, room, item)
        results[0] = (item, result)
        return results

    def read_version(self, version: Version, room: Room) -> ReadObject | None:
        """Exactly this version, or None if the lake no longer has it in a sound state. LakeUnavailable travels."""
        dataset = dataset_of_key(version.key)
        if dataset is None or version.bucket != self._store.bucket:
            return None
        result = self._try(room, version.key, 0, dataset, 1)
        if isinstance(result, LakeUnavailable):
            raise result
        if isinstance(result, _Unreadable) and result.reason == _NO_BUCKET:
            raise LakeUnavailable(result.why)
        return result if isinstance(result, ReadObject) and result.version == version else None

    def etag_now(self, key: str) -> str | None:
        """Of the version that the lake has of the key at this moment, None if it has none. LakeUnavailable travels."""
        summary = next(self._store.list_keys(key), None)  # the shortest key with a prefix is listed first
        return summary.etag if summary is not None and summary.key == key else None

    def _of_datasets(self, wanted: Sequence[Wanted], reading: Reading) -> list[Wanted]:
        known = []
        for item in wanted:
            created = item.created
            if dataset_of_key(created.key) is not None and created.bucket == self._store.bucket:
                known.append(item)
            else:
                detail = f"s3://{created.bucket}/{created.key} is no dataset of bucket {self._store.bucket}"
                reading.fates[item.version] = self._drop(item, "", "unknown_prefix", detail)
        return known

    def _without_done(self, wanted: list[Wanted], reading: Reading) -> list[Wanted]:
        done = self._ledger.done([item.version for item in wanted if not item.again])
        reading.fates |= dict.fromkeys(done, Fate.DONE)
        return [item for item in wanted if item.again or item.version not in done]

    def _drop_done_versions(self, reading: Reading, again: set[Version]) -> None:
        """The key may hold a newer version than the notification spoke of, and that one may be done."""
        other = [item.version for item in reading.objects if item.version not in reading.wanted_as[item.version]]
        done = self._ledger.done(other)
        for version in done:
            names = reading.wanted_as[version]
            if again.isdisjoint(names):
                reading.fates |= dict.fromkeys(reading.wanted_as.pop(version), Fate.DONE)
        reading.objects = [item for item in reading.objects if item.version in reading.wanted_as]

    def _read_unless(self, silent: list[str], room: Room, item: Wanted) -> _Result:
        """Several threads share `silent`: an object more or less does not matter."""
        if len(silent) >= MOST_SILENT:
            return LakeUnavailable(f"not read: {len(silent)} other objects did not come in time, {silent[0]} for one")
        result = self._read(room, item)
        if isinstance(result, _Unreadable) and result.reason == _SILENT:
            silent.append(item.created.key)
        return result

    def _read(self, room: Room, item: Wanted) -> _Result:
        dataset = dataset_of_key(item.created.key)
        assert dataset is not None, "objects of no dataset are sorted out before"
        if room.is_refused:
            return NoRoom(FIRST_BYTES)
        size = item.created.size
        result = self._try(room, item.created.key, size, dataset, item.attempts)
        if isinstance(result, ObjectMissing):
            for key in item.created.spellings:
                of_spelling = dataset_of_key(key)
                found = result if of_spelling is None else self._try(room, key, size, of_spelling, item.attempts)
                if not isinstance(found, ObjectMissing):
                    return found
        return result

    def _try(self, room: Room, key: str, size: int, dataset: Dataset, attempts: int) -> _Result:
        """The last word on one object, whatever is in it.

        Anybody who may write to the lake chooses the bytes. So an error that nobody foresaw is a fault of ours that one
        object brought to light: it must not end the loader and all its queues. The object is tried again, and then its
        message waits in the dead-letter queue.
        """
        try:
            return self._sound.read(room, key, size, dataset, attempts)
        except LakeSilent as error:
            return _Unreadable(_SILENT, str(error))
        except (ObjectMissing, LakeUnavailable, NoRoom) as error:
            return error
        except NotProvisioned as error:
            return _Unreadable(_NO_BUCKET, str(error))
        except AccessRefused as error:
            return _Unreadable(_ACCESS, str(error))
        except (LakeRefused, ObjectChanged) as error:
            return _Unreadable("lake_refused", str(error))
        except Exception as error:
            log.debug("an error that nobody foresaw", extra={"key": key}, exc_info=True)
            return _Unreadable("unforeseen", redacted(f"{type(error).__name__}: {error}")[:500])

    def _settle(self, item: Wanted, result: Refused | _Unreadable | ObjectMissing | LakeUnavailable, gives_up: bool) -> Fate:
        dataset = dataset_of_key(item.created.key)
        name = dataset.name if dataset else ""
        if isinstance(result, ObjectMissing):
            return self._drop(item, name, "object_missing", str(result))
        if isinstance(result, LakeUnavailable):
            return self._put_off(item, name, "not read", str(result), gives_up)
        if isinstance(result, _Unreadable):
            return self._stick(item, name, result)
        try:
            self._quarantine(result, name, item.attempts)
        except LakeUnavailable as error:
            return self._put_off(item, name, "not quarantined", str(error), gives_up)
        except (AccessRefused, LakeRefused) as error:
            return self._stick(item, name, _Unreadable("not_quarantined", f"{result.error.reason}: {result.error}; {error}"))
        return Fate.DONE

    def _put_off(self, item: Wanted, dataset: str, what: str, why: str, gives_up: bool) -> Fate:
        if gives_up:
            return self._stick(item, dataset, _Unreadable(_UNAVAILABLE, f"{what}: {why}"))
        level = logging.WARNING if self._trouble.is_news(item.created.key, what) else logging.DEBUG
        log.log(level, "%s, another try follows", what, extra={"key": item.created.key, "why": why})
        return Fate.LATER

    def _stick(self, item: Wanted, dataset: str, result: _Unreadable) -> Fate:
        created = item.created
        level = logging.ERROR if self._trouble.is_news(created.key, result.reason) else logging.DEBUG
        said = {"key": created.key, "reason": result.reason, "why": result.why}
        log.log(level, "not read, left for another try", extra=said)
        self._ledger.record_error(
            LoadError(created.bucket, created.key, created.etag, dataset, result.reason, result.why, "retried", item.attempts)
        )
        return Fate.STUCK

    def _quarantine(self, refused: Refused, dataset: str, attempts: int) -> None:
        version, reason, detail = refused.version, refused.error.reason, str(refused.error)
        copy = quarantine(self._store, version.key, version.etag, refused.body, reason, detail)
        self._ledger.record_error(LoadError(*version, dataset, reason, detail, QUARANTINED, attempts))
        self._ledger.record([LedgerEntry(*version, dataset, 0, 0, QUARANTINED, attempts)])
        log.error("quarantined", extra={"key": version.key, "copy": copy, "reason": reason, "why": detail})

    def _drop(self, item: Wanted, dataset: str, reason: str, detail: str) -> Fate:
        created = item.created
        self._ledger.record_error(
            LoadError(created.bucket, created.key, created.etag, dataset, reason, detail, "dropped", item.attempts)
        )
        log.warning("nothing to load", extra={"key": created.key, "reason": reason})
        return Fate.DONE


def _may_be_of_all(result: _Result) -> bool:
    return isinstance(result, LakeUnavailable) or (isinstance(result, _Unreadable) and result.reason in _OF_ALL_OR_ONE)

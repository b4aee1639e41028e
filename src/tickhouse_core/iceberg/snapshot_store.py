"""SnapshotStore: the lake as a snapshot has it. Everything that reads a lake reads it through this one too."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tickhouse_core.errors import ObjectMissing, TickhouseError
from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.read_only_store import ReadOnlyStore


@dataclass(frozen=True, slots=True)
class LakeSnapshot:
    """`sizes` in bytes, by key. `known_until`: by venue, from when on (us) a gap may have been recorded that is not in it."""

    id: int
    sizes: Mapping[str, int]
    known_until: Mapping[str, int]


class SnapshotStore(ReadOnlyStore):
    """Only these objects, and all of them: one that is gone or another by now is an error, never a row less. It only reads."""

    def __init__(self, store: ObjectStore, sizes: Mapping[str, int]) -> None:
        """`sizes` in bytes, by key."""
        super().__init__(store)
        self._sizes = sizes
        self._keys = sorted(sizes)

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        wanted = self._under(prefix)
        if not wanted:
            return
        found = {summary.key: summary for summary in self._store.list_keys(_shared(wanted[0], wanted[-1]))}
        for key in wanted:
            summary = found.get(key)
            if summary is None or summary.size != self._sizes[key]:
                raise self._gone(key)
            yield summary

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        wanted = self._under(prefix)
        inner = {f"{prefix}{rest.partition('/')[0]}/" for key in wanted if "/" in (rest := key.removeprefix(prefix))}
        direct = {key for key in wanted if "/" not in key.removeprefix(prefix)}
        return Folder(prefix, [one for one in self.list_keys(prefix) if one.key in direct] if direct else []), sorted(inner)

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        self._check(key)
        try:
            return self._store.read(key, most_bytes=most_bytes)
        except ObjectMissing as error:
            raise self._gone(key) from error

    def chunks(self, key: str) -> Iterator[bytes]:
        self._check(key)
        try:
            yield from self._store.chunks(key)
        except ObjectMissing as error:
            raise self._gone(key) from error

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        self._check(summary.key)
        try:
            return self._store.read_range(summary, start, end)
        except ObjectMissing as error:
            raise self._gone(summary.key) from error

    def _under(self, prefix: str) -> list[str]:
        start = bisect_left(self._keys, prefix)
        end = start
        while end < len(self._keys) and self._keys[end].startswith(prefix):
            end += 1
        return self._keys[start:end]

    def _check(self, key: str) -> None:
        if key not in self._sizes:
            raise ObjectMissing(f"{self.where(key)}: not in the snapshot")

    def _gone(self, key: str) -> TickhouseError:
        return TickhouseError(f"{self.where(key)}: the snapshot has it, and it is not there any more as it was: take a newer one")


def _shared(first: str, last: str) -> str:
    """What all keys between begin with."""
    count = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:count]

"""Objects of the lake as a loader takes them: every value is checked before the first row is used."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from tickhouse.compact.small_objects import Group, SmallObjects
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectMissing, ObjectRefused
from tickhouse_core.object_store import ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.parquet_check import CheckedFile
from tickhouse_core.reading.object_rows import in_chunks

FETCHED_AT_ONCE = 8
_AHEAD_BYTES, _AHEAD_OBJECTS = 8 * 1024**2, 512
"""Twice as much is in memory."""


class CheckedObjects:
    """Of one dataset and venue. Errors: the store's, and what `check_stop` raises between two steps."""

    def __init__(
        self, store: ObjectStore, dataset: Dataset, venue: str, piece_bytes: int, whole_bytes: int, check_stop: Callable[[], None]
    ) -> None:
        """Pieces of at most `piece_bytes`; objects of more than `whole_bytes` of rows are not in memory whole."""
        self._store = store
        self._dataset, self._venue = dataset, venue
        self._piece_bytes, self._whole_bytes = piece_bytes, whole_bytes
        self._check_stop = check_stop
        self._small = SmallObjects(dataset, venue, piece_bytes)

    def ahead(self, objects: Sequence[ObjectSummary]) -> Iterator[list[StoredObject]]:
        """In their order, without those that are others by now. Some are fetched while those before them are in use."""
        with ThreadPoolExecutor(FETCHED_AT_ONCE, thread_name_prefix="compact") as threads:
            before: list[Future[StoredObject | None]] = []
            for some in in_chunks(objects, _AHEAD_BYTES, _AHEAD_OBJECTS):
                coming = [threads.submit(self._fetched, summary) for summary in some]
                yield _present(before)
                before = coming
            yield _present(before)

    def groups(self, stored: Sequence[StoredObject]) -> Iterator[Group]:
        """In their order; neighbours with all their rows, or with None those for `pieces`."""
        return self._small.groups(stored)

    def pieces(self, stored: StoredObject) -> Iterable[pa.Table]:
        """After all rows were looked at. Raises ObjectRefused, also for rows of another venue than the key's."""
        file = CheckedFile(stored.body, self._dataset, stored.key)
        if file.sizes.decoded <= self._whole_bytes:
            return list(self._of_venue(file))
        for _ in self._of_venue(file):  # decoded twice: what is refused half-way must not be half in
            self._check_stop()
        return self._of_venue(file)

    def is_sound(self, summary: ObjectSummary) -> bool:
        """Whether it is there, and a loader would load it."""
        stored = self._fetched(summary)
        if stored is None:
            return False
        try:
            self.pieces(stored)
        except ObjectRefused:
            return False
        return True

    def _fetched(self, summary: ObjectSummary) -> StoredObject | None:
        """None where it is another one by now, or none."""
        self._check_stop()
        try:
            stored = self._store.read(summary.key)
        except ObjectMissing:
            return None
        return stored if stored.etag == summary.etag else None

    def _of_venue(self, file: CheckedFile) -> Iterator[pa.Table]:
        for piece in file.pieces(self._piece_bytes):
            venues = piece.column("venue").unique().to_pylist()
            if venues not in ([], [self._venue]):
                raise ObjectRefused("wrong_value", f"rows of {', '.join(map(str, venues))} under {self._venue}")
            yield piece


def _present(fetched: Sequence[Future[StoredObject | None]]) -> list[StoredObject]:
    return [stored for one in fetched if (stored := one.result()) is not None]

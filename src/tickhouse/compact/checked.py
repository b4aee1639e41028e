"""Objects of the lake as a loader takes them: every value is checked before the first row is used."""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectMissing, ObjectRefused
from tickhouse_core.object_store import ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.parquet_check import CheckedFile


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

    def fetched(self, summary: ObjectSummary) -> StoredObject | None:
        """None where it is another one by now, or none."""
        self._check_stop()
        try:
            stored = self._store.read(summary.key)
        except ObjectMissing:
            return None
        return stored if stored.etag == summary.etag else None

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
        stored = self.fetched(summary)
        if stored is None:
            return False
        try:
            self.pieces(stored)
        except ObjectRefused:
            return False
        return True

    def _of_venue(self, file: CheckedFile) -> Iterator[pa.Table]:
        for piece in file.pieces(self._piece_bytes):
            venues = piece.column("venue").unique().to_pylist()
            if venues not in ([], [self._venue]):
                raise ObjectRefused("wrong_value", f"rows of {', '.join(map(str, venues))} under {self._venue}")
            yield piece

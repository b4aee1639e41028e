"""ReadOnlyStore: another store, of which nothing can be written: what a view of a lake begins with."""

from collections.abc import Iterator
from typing import BinaryIO

from tickhouse_core.errors import UsageError
from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary, StoredObject


class ReadOnlyStore(ObjectStore):
    """UsageError for a write or a deletion."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store.bucket)
        self.is_local = store.is_local
        self._store = store

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        return self._store.read(key, most_bytes=most_bytes)

    def chunks(self, key: str) -> Iterator[bytes]:
        return self._store.chunks(key)

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        return self._store.read_range(summary, start, end)

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        return self._store.list_keys(prefix)

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        return self._store.list_folder(prefix)

    def check_access(self) -> None:
        self._store.check_access()

    def where(self, key: str) -> str:
        return self._store.where(key)

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        raise self._refused(key)

    def upload_new(self, key: str, file: BinaryIO) -> None:
        raise self._refused(key)

    def delete(self, key: str, *, only: str | None = None) -> None:
        raise self._refused(key)

    def _refused(self, key: str) -> UsageError:
        return UsageError(f"{self.where(key)}: a view of a lake is only read")

"""ListedOnce: a lake that is still recorded, as it was at the first look: all parts of an export have the same objects."""

import re
from collections.abc import Iterator

from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary
from tickhouse_core.read_only_store import ReadOnlyStore
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

_DATE = re.compile(r"/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/")


class ListedOnce(ReadOnlyStore):
    """Lists of days that are long over are not kept in memory: they are asked for each time."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self._first_date = format_instant(now_us() - 2 * DAY_US)[:10]
        self._keys: dict[str, list[ObjectSummary]] = {}
        self._folders: dict[str, tuple[Folder, list[str]]] = {}

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        if self._is_over(prefix):
            return self._store.list_keys(prefix)
        if prefix not in self._keys:
            self._keys.setdefault(prefix, list(self._store.list_keys(prefix)))  # of two threads the first one counts
        return iter(self._keys[prefix])

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        if self._is_over(prefix):
            return self._store.list_folder(prefix)
        if prefix not in self._folders:
            self._folders.setdefault(prefix, self._store.list_folder(prefix))
        return self._folders[prefix]

    def _is_over(self, prefix: str) -> bool:
        found = _DATE.search(prefix)
        return found is not None and found[1] < self._first_date

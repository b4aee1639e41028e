"""Lakes that count the requests that S3 would be sent, by operation; for benchmarks."""

import bisect
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, BinaryIO

from tickhouse_core.errors import ObjectChanged, ObjectMissing
from tickhouse_core.object_store import Folder, ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.s3_store import S3Store

OPERATIONS = ("PutObject", "GetObject", "HeadObject", "DeleteObject", "ListObjectsV2")
KEYS_A_LIST = 1_000


class CountedS3(S3Store):
    """A bucket. What its client sends is counted."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._client.meta.events.register("before-send.s3", self._count)

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        """Small objects do not come by boto3."""
        self._add("GetObject")
        return super().read(key, most_bytes=most_bytes)

    def _count(self, event_name: str, **_rest: Any) -> None:
        self._add(event_name.rpartition(".")[2])

    def _add(self, operation: str) -> None:
        with self._lock:
            self.requests[operation] += 1


class CountedMemory(ObjectStore):
    """A bucket in this process's memory: what takes S3 hours takes minutes. Counts what `S3Store` would send."""

    def __init__(self) -> None:
        super().__init__("in-memory")
        self.requests: Counter[str] = Counter()
        self._objects: dict[str, tuple[ObjectSummary, bytes]] = {}
        self._keys: list[str] = []
        self._lock = threading.Lock()

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        etag = md5(body).hexdigest()
        with self._lock:
            self.requests["PutObject"] += 1
            found = self._objects.get(key)
            if (must_be_new and found) or (replaces and (found is None or found[0].etag != replaces)):
                raise ObjectChanged(f"{key} is another object now")
            if found is None:
                bisect.insort(self._keys, key)
            self._objects[key] = ObjectSummary(key, etag, len(body), datetime.now(UTC)), body
        return etag

    def upload_new(self, key: str, file: BinaryIO) -> None:
        self.write(key, file.read(), must_be_new=True)

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        with self._lock:
            self.requests["GetObject"] += 1
            if key not in self._objects:
                raise ObjectMissing(key)
            summary, body = self._objects[key]
        return StoredObject(key, summary.etag, body)

    def chunks(self, key: str) -> Iterator[bytes]:
        yield self.read(key).body

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        return self.read(summary.key).body[start:end]

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        with self._lock:
            names = self._below(prefix)
            self.requests["ListObjectsV2"] += max(-(-len(names) // KEYS_A_LIST), 1)
            found = [self._objects[name][0] for name in names]
        yield from found

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        with self._lock:
            names = self._below(prefix)
            rests = [name.removeprefix(prefix).partition("/") for name in names]
            inner = sorted({f"{prefix}{folder}/" for folder, slash, _ in rests if slash})
            objects = [self._objects[prefix + name][0] for name, slash, _ in rests if not slash]
            self.requests["ListObjectsV2"] += max(-(-(len(inner) + len(objects)) // KEYS_A_LIST), 1)
        return Folder(prefix, objects), inner

    def delete(self, key: str, *, only: str | None = None) -> None:
        with self._lock:
            self.requests["HeadObject"] += only is not None
            self.requests["DeleteObject"] += 1
            found = self._objects.get(key)
            if found is None:
                return
            if only is not None and found[0].etag != only:
                raise ObjectChanged(f"{key} is another object now")
            del self._objects[key]
            self._keys.pop(bisect.bisect_left(self._keys, key))

    def check_access(self) -> None:
        """Nobody is refused."""

    def where(self, key: str) -> str:
        return f"memory:{key}"

    def _below(self, prefix: str) -> list[str]:
        start = bisect.bisect_left(self._keys, prefix)
        return self._keys[start : bisect.bisect_left(self._keys, prefix + "\U0010ffff")]

"""ObjectStore: the lake as bytes, keys and etags; nothing of datasets. S3Store has it in a bucket, FolderStore in files.

`quarantine` puts a copy of what can never be loaded beside the data, with the reason.
"""

import io
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import orjson

from tickhouse_core.timestamps import format_instant, now_us

CHUNK_BYTES = 1024**2
"""Of what is read piece by piece."""


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One line of a bucket listing; `size` in bytes."""

    key: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class Folder:
    """What is directly in a folder of the bucket; `prefix` ends in a slash."""

    prefix: str
    objects: list[ObjectSummary]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes with the etag they belong to."""

    key: str
    etag: str
    body: bytes


class ObjectStore(ABC):
    """Thread-safe. Any two with the same objects answer alike.

    Errors: ObjectMissing, ObjectTooLarge, ObjectChanged, NotProvisioned, LakeUnavailable, LakeRefused, AccessRefused.
    """

    is_local = False
    """Whether objects are files of this machine: `where` is a path, which may be opened."""

    def __init__(self, bucket: str) -> None:
        """`bucket` is part of the names of objects' versions."""
        self.bucket = bucket

    @abstractmethod
    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        """Stores the bytes and returns their etag.

        With `replaces` (an etag) or `must_be_new` the write is conditional: ObjectChanged if the stored object
        is another one (S3 conditional writes, If-Match and If-None-Match).
        """

    @abstractmethod
    def upload_new(self, key: str, file: BinaryIO) -> None:
        """`write` of a file that is not in memory, without a copy; ObjectChanged where there is such an object."""

    @abstractmethod
    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        """The whole object; ObjectTooLarge, without reading it, if it has more than `most_bytes`."""

    @abstractmethod
    def chunks(self, key: str) -> Iterator[bytes]:
        """The whole object piece by piece, a megabyte at a time; an object that is cut short is LakeUnavailable."""

    @abstractmethod
    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        """Bytes `start` up to but not including `end` of exactly that version (ObjectChanged otherwise)."""

    @abstractmethod
    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        """All objects under a prefix in key order."""

    @abstractmethod
    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        """What is directly in the folder `prefix` (with its slash), and the folders in it, with their slashes."""

    @abstractmethod
    def delete(self, key: str, *, only: str | None = None) -> None:
        """Takes the object away for good; it may be gone already. Only a compaction does it, with what it holds elsewhere.

        With `only` (an etag) another version stays: ObjectChanged.
        """

    @abstractmethod
    def check_access(self) -> None:
        """One cheap question that any process may ask: AccessRefused means its keys or rights, not a single object's."""

    @abstractmethod
    def where(self, key: str) -> str:
        """The address of an object."""

    def open(self, summary: ObjectSummary) -> "RangedReader":
        """A file that reads only the bytes asked for: a Parquet footer costs one small request."""
        return RangedReader(self, summary)

    def list_folders(self, prefix: str, skip: Callable[[str], bool] = lambda _folder: False) -> Iterator[Folder]:
        """The folder `prefix` (with its slash) and all folders below it that hold objects themselves, in key order.

        One folder is in memory at a time, and what `skip` says yes to is not even listed.
        """
        folder, inner = self.list_folder(prefix)
        if folder.objects:
            yield folder
        for name in inner:
            if not skip(name):
                yield from self.list_folders(name, skip)

    def folders_in(self, prefix: str) -> list[str]:
        """The names of the folders directly in `prefix` (with its slash)."""
        _, inner = self.list_folder(prefix)
        return [folder.removeprefix(prefix).rstrip("/") for folder in inner]


class RangedReader(io.RawIOBase):
    """A read-only seekable file over one version of an object. It remembers what it read last: a footer is looked at twice."""

    def __init__(self, store: ObjectStore, summary: ObjectSummary) -> None:
        self._store = store
        self._summary = summary
        self._position = 0
        self._last_start, self._last = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._summary.size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._summary.size if size is None or size < 0 else min(self._position + size, self._summary.size)
        if end <= self._position:
            return b""
        start = self._position - self._last_start
        if not 0 <= start <= end - self._last_start <= len(self._last):
            self._last_start, self._last = self._position, self._store.read_range(self._summary, self._position, end)
            start = 0
        body = self._last[start : end - self._last_start]
        self._position += len(body)
        return body


def quarantine(store: ObjectStore, key: str, etag: str, body: bytes | None, reason: str, detail: str) -> str:
    """Writes the refused bytes to `quarantine/<key>` and `quarantine/<key>.reason.json`; returns the copy's key.

    Not a copy of the key, which may hold another version by now, or none. Without a body (too large to be read) only the
    reason is written. The original stays. Doing it twice leaves the same objects.
    """
    refused_key = f"quarantine/{key}"
    if body is not None:
        store.write(refused_key, body)
    explanation = {
        "bucket": store.bucket,
        "key": key,
        "etag": etag,
        "reason": reason,
        "detail": detail,
        "refused_at": format_instant(now_us()),
        "what_to_do": "write a repaired object under the same key: its notification loads it",
        "redrive": f"python -m load_process.redrive --key {shlex.quote(key)}",
    }
    store.write(f"{refused_key}.reason.json", orjson.dumps(explanation, option=orjson.OPT_INDENT_2))
    return refused_key

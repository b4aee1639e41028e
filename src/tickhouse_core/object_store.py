"""ObjectStore: one bucket of the lake over boto3. Knows bytes, keys and etags; nothing of datasets."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.errors import ObjectTooLarge
from tickhouse_core.quick_get import SILENCE_SECONDS, QuickGet

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

_CHUNK_BYTES = 1024**2


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


class ObjectStore:
    """Thread-safe.

    Errors: ObjectMissing, ObjectTooLarge, ObjectChanged, NotProvisioned, LakeUnavailable, LakeRefused, AccessRefused.
    """

    def __init__(self, bucket: str, *, silence_seconds: float = SILENCE_SECONDS, brief: bool = False) -> None:
        """`silence_seconds`: how long `read` waits for bytes before it is LakeSilent. `brief`: as `s3_client`."""
        self.bucket = bucket
        self._client = s3_client(brief=brief)
        self._quick = QuickGet(bucket, self._client, silence_seconds)

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        """Stores the bytes and returns their etag.

        With `replaces` (an etag) or `must_be_new` the write is conditional: ObjectChanged if the stored object
        is another one (S3 conditional writes, If-Match and If-None-Match).
        """
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"} if must_be_new else {}
        with aws_errors(self._where(key), conditional=bool(condition)):
            answer = self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=_content_type(key),
                **condition,  # type: ignore[arg-type]  # two optional string parameters
            )
        return _bare(answer["ETag"])

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        """The whole object; ObjectTooLarge, before anything is read, if it has more than `most_bytes`.

        LakeSilent where its bytes do not come, or too slowly.
        """
        quickly = self._quick.get(key, most_bytes)
        if quickly is not None:
            etag, body = quickly
            return StoredObject(key, _bare(etag), body)
        with aws_errors(self._where(key)):
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            if most_bytes is not None and answer["ContentLength"] > most_bytes:
                answer["Body"].close()
                said = f"{self._where(key)} has {answer['ContentLength']:,} bytes, {most_bytes:,} are allowed"
                raise ObjectTooLarge(said, _bare(answer["ETag"]))
            return StoredObject(key, _bare(answer["ETag"]), answer["Body"].read())

    def chunks(self, key: str) -> Iterator[bytes]:
        """The whole object piece by piece, a megabyte at a time; an object that is cut short is LakeUnavailable."""
        with aws_errors(self._where(key)):
            yield from self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES)

    def upload_new(self, key: str, file: BinaryIO) -> None:
        """`write` of a file that is not in memory, without a copy; ObjectChanged where there is such an object."""
        with aws_errors(self._where(key), conditional=True):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=file, ContentType=_content_type(key), IfNoneMatch="*")

    def open(self, summary: ObjectSummary) -> "RangedReader":
        """A file that reads only the bytes asked for: a Parquet footer costs one small request."""
        return RangedReader(self, summary)

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        """Bytes `start` up to but not including `end` of exactly that version (ObjectChanged otherwise)."""
        with aws_errors(self._where(summary.key), conditional=True):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=summary.key, Range=f"bytes={start}-{end - 1}", IfMatch=summary.etag
            )
            return answer["Body"].read()

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        """All objects under a prefix in key order, 1,000 per request."""
        with aws_errors(self._where(prefix)):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from _summaries(page)

    def check_access(self) -> None:
        """One cheap question that any process may ask: AccessRefused means its keys or rights, not a single object's."""
        with aws_errors(self._where("data_sources/")):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix="data_sources/", MaxKeys=1)

    def list_folders(self, prefix: str, skip: Callable[[str], bool] = lambda _folder: False) -> Iterator[Folder]:
        """The folder `prefix` (with its slash) and all folders below it that hold objects themselves, in key order.

        One folder is in memory at a time, 1,000 names come per request, and what `skip` says yes to is not even listed.
        """
        objects: list[ObjectSummary] = []
        inner: list[str] = []
        with aws_errors(self._where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            for page in pages:
                objects += _summaries(page)
                inner += [common["Prefix"] for common in page.get("CommonPrefixes", ())]
        if objects:
            yield Folder(prefix, objects)
        for folder in inner:
            if not skip(folder):
                yield from self.list_folders(folder, skip)

    def folders_in(self, prefix: str) -> list[str]:
        """The names of the folders directly in `prefix` (with its slash)."""
        with aws_errors(self._where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            found = [common["Prefix"] for page in pages for common in page.get("CommonPrefixes", ())]
        return [folder.removeprefix(prefix).rstrip("/") for folder in found]

    def _where(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


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


def _summaries(page: "ListObjectsV2OutputTypeDef") -> Iterator[ObjectSummary]:
    for item in page.get("Contents", ()):
        yield ObjectSummary(item["Key"], _bare(item["ETag"]), item["Size"], item["LastModified"])


def _content_type(key: str) -> str:
    return "application/vnd.apache.parquet" if key.endswith(".parquet") else "application/json"


def _bare(etag: str) -> str:
    return etag.strip('"')

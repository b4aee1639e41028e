"""S3Store: the lake in one bucket of S3, or of whatever speaks its protocol, over boto3; small objects come by QuickGet."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import boto3
import obstore
from botocore.exceptions import ClientError
from obstore import store as obstore_stores
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError

from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.errors import LakeInconsistent, LakeSilent, NotProvisioned, ObjectChanged, ObjectMissing, ObjectTooLarge
from tickhouse_core.object_store import CHUNK_BYTES, Folder, ObjectStore, ObjectSummary, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

log = logging.getLogger(__name__)

_NAME = "[A-Za-z0-9=_-][A-Za-z0-9=._-]*"
_PLAIN = re.compile(f"{_NAME}(/{_NAME})*")
"""Keys that object_store sends as they are. From others it would take slashes and dots, or encode them in its own way."""

_CREDENTIALS_LIVE = timedelta(minutes=5)
"""Shorter than the ten minutes that botocore's credentials are still good for when it hands them out."""


SILENCE_SECONDS = 10.0
"""Without a byte. S3's first usually comes within 0.2 s (AWS: "Performance guidelines for Amazon S3")."""

SLOWEST_BYTES_A_SECOND = 256 * 1024
"""Of an answer as a whole, after `SILENCE_SECONDS`: one that drips holds a reader no longer than this."""


class QuickGet:
    """GET through obstore (Rust's object_store): a fifth of boto3's CPU time for a small object, and other threads run meanwhile.

    Whole objects of one bucket, with the endpoint, region and credentials of a boto3 client. Thread-safe.

    Whatever goes wrong soon is None: boto3 is asked then, which tries again and whose errors have a meaning to us. What took
    as long as the silence that is allowed is LakeSilent: to ask again would take five times as long.
    """

    def __init__(self, bucket: str, client: "S3Client", silence_seconds: float = SILENCE_SECONDS) -> None:
        self._bucket = bucket
        self._client = client
        self._silence_seconds = silence_seconds

    def get(self, key: str, most_bytes: int | None) -> tuple[str, bytes] | None:
        """The etag as S3 says it, and the bytes; None also for more than `most_bytes`. LakeSilent where they do not come."""
        if not _PLAIN.fullmatch(key):
            return None
        began = time.monotonic()
        try:
            found = obstore.get(self._store, key)
            etag, size = found.meta["e_tag"], found.meta["size"]
            if etag is None or (most_bytes is not None and size > most_bytes):
                return None
            return etag, self._whole(found, key, began)
        except (BaseError, FileNotFoundError, ValueError) as error:
            why = str(error)
        except BaseException as error:
            # A panic of Rust code, for a key of 65,000 characters for one, is no Exception and would end the process.
            if type(error).__module__ != "pyo3_runtime":
                raise
            why = f"the client panicked: {error}"
        if time.monotonic() - began >= self._silence_seconds:
            raise LakeSilent(f"s3://{self._bucket}/{key}: no whole answer after {time.monotonic() - began:.0f} s")
        log.debug("asking boto3 instead", extra={"bucket": self._bucket, "key": key[:1_024], "why": why.partition("\n")[0]})
        return None

    def _whole(self, found: "obstore.GetResult", key: str, began: float) -> bytes:
        """As they come in, so that a body that drips is given up and not waited for."""
        size = found.meta["size"]
        deadline = began + self._silence_seconds + size / SLOWEST_BYTES_A_SECOND
        parts: list[bytes] = []
        length = 0
        for chunk in found.stream(min_chunk_size=1):
            parts.append(chunk)
            length += len(chunk)
            if length < size and time.monotonic() > deadline:
                said = f"{length:,} of {size:,} bytes in {time.monotonic() - began:.0f} s"
                raise LakeSilent(f"s3://{self._bucket}/{key}: {said}")
        return b"".join(parts)

    @cached_property
    def _store(self) -> obstore_stores.S3Store:
        return obstore_stores.S3Store(
            self._bucket,
            endpoint=self._client.meta.endpoint_url,
            region=self._client.meta.region_name,
            virtual_hosted_style_request=False,
            credential_provider=Boto3CredentialProvider(boto3.Session(), ttl=_CREDENTIALS_LIVE),
            client_options={
                "allow_http": True,
                "connect_timeout": "5s",
                "read_timeout": f"{round(self._silence_seconds * 1000)}ms",
                "timeout": "1h",
            },
            retry_config={"max_retries": 0},
        )


class S3Store(ObjectStore):
    """One bucket. Beside the errors of any store: LakeSilent where bytes do not come, or too slowly; LakeInconsistent."""

    def __init__(self, bucket: str, *, silence_seconds: float = SILENCE_SECONDS, brief: bool = False) -> None:
        """`silence_seconds`: how long `read` waits for bytes before it is LakeSilent. `brief`: as `s3_client`."""
        super().__init__(bucket)
        self._client = s3_client(brief=brief)
        self._quick = QuickGet(bucket, self._client, silence_seconds)
        self._knows_conditional_delete = True

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"} if must_be_new else {}
        with aws_errors(self.where(key), conditional=bool(condition)):
            answer = self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=_content_type(key),
                **condition,  # type: ignore[arg-type]  # two optional string parameters
            )
        return _bare(answer["ETag"])

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        """The whole object; ObjectTooLarge if it has more than `most_bytes`: then only the first byte too many is read.

        LakeSilent where its bytes do not come, or too slowly; LakeInconsistent where only an answer's header says too many.
        """
        quickly = self._quick.get(key, most_bytes)
        if quickly is not None:
            etag, body = quickly
            return StoredObject(key, _bare(etag), body)
        with aws_errors(self.where(key)):
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            if most_bytes is not None and answer["ContentLength"] > most_bytes:
                answer["Body"].close()
                self._refuse(key, answer["ETag"], answer["ContentLength"], most_bytes)
            return StoredObject(key, _bare(answer["ETag"]), answer["Body"].read())

    def _refuse(self, key: str, etag: str, size: int, most_bytes: int) -> NoReturn:
        """A header alone proves no size, and a refusal is for good: the first byte too many has to be there."""
        if self._has_byte(key, etag, most_bytes):
            raise ObjectTooLarge(f"{self.where(key)} has {size:,} bytes, {most_bytes:,} are allowed", _bare(etag))
        raise LakeInconsistent(
            f"{self.where(key)}: an answer announces {size:,} bytes, but byte {most_bytes + 1:,} does not come; "
            "something between here and the bucket changes answers"
        )

    def _has_byte(self, key: str, etag: str, position: int) -> bool:
        with aws_errors(self.where(key)):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={position}-{position}")
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return False
                raise
            with closing(answer["Body"]) as body:
                is_range = answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.PARTIAL_CONTENT
                return is_range and answer["ETag"] == etag and answer["ContentLength"] == 1 and len(body.read()) == 1

    def chunks(self, key: str) -> Iterator[bytes]:
        with aws_errors(self.where(key)):
            yield from self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES)

    def upload_new(self, key: str, file: BinaryIO) -> None:
        with aws_errors(self.where(key), conditional=True):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=file, ContentType=_content_type(key), IfNoneMatch="*")

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        with aws_errors(self.where(summary.key), conditional=True):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=summary.key, Range=f"bytes={start}-{end - 1}", IfMatch=summary.etag
            )
            return answer["Body"].read()

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        """1,000 per request."""
        with aws_errors(self.where(prefix)):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from _summaries(page)

    def delete(self, key: str, *, only: str | None = None) -> None:
        """A conditional delete, where S3 knows it; stand-ins of S3 ignore the condition or refuse it, so a look comes first."""
        if only is None:
            with aws_errors(self.where(key)):
                self._client.delete_object(Bucket=self.bucket, Key=key)
            return
        with aws_errors(self.where(key), conditional=True):
            try:
                if _bare(self._client.head_object(Bucket=self.bucket, Key=key)["ETag"]) != only:
                    raise ObjectChanged(f"{self.where(key)} is another object now")
                self._delete_if(key, only)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in ("404", "NoSuchKey"):
                    raise

    def _delete_if(self, key: str, etag: str) -> None:
        """Without the condition once it was refused as unknown: one request in vain, not one per object."""
        if self._knows_conditional_delete:
            try:
                self._client.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
                return
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "NotImplemented":
                    raise
                self._knows_conditional_delete = False
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def has(self, key: str) -> bool:
        """Whether there is such an object now."""
        try:
            with aws_errors(self.where(key)):
                self._client.head_object(Bucket=self.bucket, Key=key)
        except (ObjectMissing, NotProvisioned):
            return False
        return True

    def check_access(self) -> None:
        with aws_errors(self.where("data_sources/")):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix="data_sources/", MaxKeys=1)

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        """1,000 names come per request."""
        folder = Folder(prefix, [])
        inner: list[str] = []
        with aws_errors(self.where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            for page in pages:
                folder.objects.extend(_summaries(page))
                inner += [common["Prefix"] for common in page.get("CommonPrefixes", ())]
        return folder, inner

    def where(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


def _summaries(page: "ListObjectsV2OutputTypeDef") -> Iterator[ObjectSummary]:
    for item in page.get("Contents", ()):
        yield ObjectSummary(item["Key"], _bare(item["ETag"]), item["Size"], item["LastModified"])


def _content_type(key: str) -> str:
    return "application/vnd.apache.parquet" if key.endswith(".parquet") else "application/json"


def _bare(etag: str) -> str:
    return etag.strip('"')

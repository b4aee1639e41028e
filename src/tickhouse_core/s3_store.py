"""S3Store: the lake in one bucket of S3, or of whatever speaks its protocol, over boto3."""

from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from botocore.exceptions import ClientError

from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.errors import LakeInconsistent, NotProvisioned, ObjectMissing, ObjectTooLarge
from tickhouse_core.object_store import CHUNK_BYTES, Folder, ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.quick_get import SILENCE_SECONDS, QuickGet

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef


class S3Store(ObjectStore):
    """One bucket. Beside the errors of any store: LakeSilent where bytes do not come, or too slowly; LakeInconsistent."""

    def __init__(self, bucket: str, *, silence_seconds: float = SILENCE_SECONDS, brief: bool = False) -> None:
        """`silence_seconds`: how long `read` waits for bytes before it is LakeSilent. `brief`: as `s3_client`."""
        super().__init__(bucket)
        self._client = s3_client(brief=brief)
        self._quick = QuickGet(bucket, self._client, silence_seconds)

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

"""LakeKeeper: one bucket and its copy on disk, kept alike. A bucket that was forgotten comes back from the copy.

Our own processes write both (`ObjectStore`, LAKE_COPY_DIR); here is what else has to be: restoring, and what other
programs upload or delete.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import NotProvisioned, ObjectChanged, ObjectMissing
from tickhouse_core.lake_copy import CopiedObject, LakeCopy
from tickhouse_core.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import TaggingTypeDef, TagTypeDef

log = logging.getLogger(__name__)

_WHOLE: "TagTypeDef" = {"Key": "tickhouse-lake", "Value": "whole"}
"""The bucket's tag: it lives and dies with the bucket, so a bucket that has it forgot nothing since it was whole."""

MANY = 400_000
_ADVICE = "LocalStack holds the name of every object in memory: time for a real S3, or for larger batches (--batch-seconds 60)"


class LakeKeeper:
    """Not for several processes at once on one copy. Errors: LakeUnavailable, NotProvisioned, UsageError."""

    def __init__(self, bucket: str, copy: LakeCopy, is_stopping: Callable[[], bool]) -> None:
        self._store = ObjectStore(bucket, copies=False)
        self._client = s3_client()
        self._copy = copy
        self._is_stopping = is_stopping
        self._alike: dict[str, str] = {}  # key -> etag of what is in the bucket and, the same, in the copy
        self._said_many = False

    def is_whole(self) -> bool:
        """Whether the bucket has all the copy has, but for what somebody deleted on purpose."""
        try:
            with aws_errors(f"bucket {self._store.bucket}"):
                tags = self._tags()
        except NotProvisioned:
            return False
        return _WHOLE in tags

    def restore(self, on_klines: Callable[[], None] = lambda: None) -> int:
        """Puts back what the bucket lacks, and returns how many objects; every put notifies like any other.

        Klines come first and are reported, because a backfiller would ask the venue again for what it does not see. The
        newest of the rest comes next. A key that is there by now is left alone: it is younger than its copy.
        """
        there = {summary.key for summary in self._store.list_keys("")}
        missing = [copied for copied in self._copy.objects() if copied.key not in there]
        klines = [copied for copied in missing if copied.key.startswith(KLINES.prefix)]
        others = [copied for copied in missing if not copied.key.startswith(KLINES.prefix)]
        done = sum(map(self._put_back, klines))
        if not self._is_stopping():
            on_klines()
        done += sum(map(self._put_back, sorted(others, key=lambda copied: copied.modified_ns, reverse=True)))
        if not self._is_stopping():
            with aws_errors(f"bucket {self._store.bucket}"):
                tags: TaggingTypeDef = {"TagSet": [*self._tags(), _WHOLE]}
                self._client.put_bucket_tagging(Bucket=self._store.bucket, Tagging=tags)
        return done

    def compare(self) -> None:
        """Copies what other programs uploaded, forgets what they deleted. Call it on a whole bucket only."""
        found = {}
        for summary in self._store.list_keys(""):
            if self._is_stopping():
                return
            found[summary.key] = summary.etag
            if self._alike.get(summary.key) != summary.etag:
                self._copy_unless_there(summary.key, summary.etag)
        gone = self._alike.keys() - found.keys()
        if gone and self.is_whole():  # a bucket that vanished under the listing deleted nothing on purpose
            for key in gone:
                self._copy.forget(key)
                log.info("deleted from the lake, and from its copy", extra={"key": key})
        self._alike = found
        if len(found) > MANY and not self._said_many:
            log.warning(_ADVICE, extra={"objects": len(found)})
            self._said_many = True

    def _copy_unless_there(self, key: str, etag: str) -> None:
        if self._copy.etag(key) == etag:
            return
        try:
            size = self._copy.keep_all(key, self._store.chunks(key))
        except ObjectMissing:
            return
        log.info("copied", extra={"key": key, "bytes": size})

    def _put_back(self, copied: CopiedObject) -> int:
        if self._is_stopping():
            return 0
        with self._copy.opened(copied.key) as file:
            if file is None:
                return 0
            try:
                self._store.upload_new(copied.key, file)
            except ObjectChanged:
                return 0
        return 1

    def _tags(self) -> list["TagTypeDef"]:
        try:
            return list(self._client.get_bucket_tagging(Bucket=self._store.bucket)["TagSet"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchTagSet":
                return []
            raise

"""`tickhouse keep`: beside emulators that forget it provisions and restores again whenever they did. Ends on a signal.

LakeKeeper keeps one bucket and its copy on disk alike. Our own processes write both (`CopiedStore`, LAKE_COPY_DIR); here is
what else has to be: restoring, and what other programs upload or delete.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import ClientError

from tickhouse.provision import provision_aws
from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.datasets import KLINES, dataset_of_key
from tickhouse_core.errors import (
    LakeRefused,
    LakeUnavailable,
    NotProvisioned,
    ObjectChanged,
    ObjectMissing,
    ObjectTooLarge,
    PubSubUnavailable,
    UsageError,
)
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake import configured_copy
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.object_store import ObjectSummary
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import LakeSettings, PubSubSettings, RetentionSettings, read

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import TaggingTypeDef, TagTypeDef

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Seconds between two checks."""

COMPARE_SECONDS = 30.0
"""Least seconds between two comparisons; they take at most a tenth of the time."""

_WHOLE: "TagTypeDef" = {"Key": "tickhouse-lake", "Value": "whole"}
"""The bucket's tag: it lives and dies with the bucket, so a bucket that has it forgot nothing since it was whole.

Only in such a bucket does a missing object mean that somebody deleted it.
"""

_MOST_IN_MEMORY = 64 * 1024**2
"""Bytes of one object; ours are smaller."""

MANY = 400_000
_ADVICE = "LocalStack holds the name of every object in memory: time for a real S3, or for larger batches (--batch-seconds 60)"


class LakeKeeper:
    """Not for several processes at once on one copy. Errors: LakeUnavailable, NotProvisioned, UsageError."""

    def __init__(self, bucket: str, copy: FolderStore, is_stopping: Callable[[], bool]) -> None:
        self._store = S3Store(bucket)
        self._client = s3_client()
        self._copy = copy
        self._is_stopping = is_stopping
        self._alike: dict[str, str] = {}  # key -> etag of what is in the bucket and, the same, in the copy
        self._said_many = False

    def is_whole(self) -> bool:
        """Whether the bucket has every object of the copy, except for deliberate deletions."""
        try:
            with aws_errors(f"bucket {self._store.bucket}"):
                tags = self._tags()
        except NotProvisioned:
            return False
        return _WHOLE in tags

    def restore(self, on_klines: Callable[[], None] = lambda: None) -> int:
        """Uploads what the bucket lacks and returns the number of objects; every put notifies like any other.

        Klines come first and are reported, because a backfiller would ask the venue again for what it does not see. The
        newest of the rest comes next. A key that is there by now is left as it is: it is younger than its copy. But it may
        have come before the bucket had its notifications: it is put again, the same bytes, so that its queue hears of it.
        """
        there = {summary.key: summary.etag for summary in self._store.list_keys("")}
        missing = [copied for copied in self._copy.list_keys("") if copied.key not in there]
        klines = [copied for copied in missing if copied.key.startswith(KLINES.prefix)]
        others = [copied for copied in missing if not copied.key.startswith(KLINES.prefix)]
        done = sum(map(self._put_back, klines))
        if not self._is_stopping():
            on_klines()
        for key, etag in there.items():
            self._notify(key, etag)
        done += sum(map(self._put_back, sorted(others, key=lambda copied: copied.last_modified, reverse=True)))
        if not self._is_stopping():
            with aws_errors(f"bucket {self._store.bucket}"):
                tags: TaggingTypeDef = {"TagSet": [*self._tags(), _WHOLE]}
                self._client.put_bucket_tagging(Bucket=self._store.bucket, Tagging=tags)
        return done

    def compare(self) -> None:
        """Copies objects that other programs uploaded and drops those they deleted. Call it only when `is_whole`."""
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
                self._copy.delete(key)
                log.info("deleted from the lake, and from its copy", extra={"key": key})
        self._alike = found
        if len(found) > MANY and not self._said_many:
            log.warning(_ADVICE, extra={"objects": len(found)})
            self._said_many = True

    def _copy_unless_there(self, key: str, etag: str) -> None:
        if self._copy.etag_if_any(key) == etag:
            return
        try:
            size = self._copy.write_chunks(key, self._store.chunks(key))
        except ObjectMissing:
            return
        log.info("copied", extra={"key": key, "bytes": size})

    def _put_back(self, copied: ObjectSummary) -> int:
        if self._is_stopping():
            return 0
        try:
            with self._copy.opened(copied.key) as file:
                self._store.upload_new(copied.key, file)
        except (ObjectMissing, ObjectChanged):
            return 0
        return 1

    def _notify(self, key: str, etag: str) -> None:
        """Puts the same version again. One that changed meanwhile has notified; the loader's sweep finds a huge one."""
        if self._is_stopping() or dataset_of_key(key) is None:
            return
        try:
            self._store.write(key, self._store.read(key, most_bytes=_MOST_IN_MEMORY).body, replaces=etag)
        except (ObjectMissing, ObjectChanged, ObjectTooLarge) as error:
            log.debug("not put again", extra={"key": key, "why": str(error)})

    def _tags(self) -> list["TagTypeDef"]:
        try:
            return list(self._client.get_bucket_tagging(Bucket=self._store.bucket)["TagSet"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchTagSet":
                return []
            raise


def run_keeper(stop: StopRequest, ready_file: Path | None) -> None:
    """Until the stop. `ready_file` is touched whenever a look found the lake well. Raises UsageError, PubSubRefused."""
    copy = configured_copy()
    if copy is None:
        raise UsageError("LAKE_COPY_DIR is not set: the folder that keeps what the lake forgets")
    lake = _LakeWatch(LakeKeeper(read(LakeSettings).bucket, copy, stop.is_set), ready_file)
    looks: list[Callable[[], None]] = [lake.look]
    if read(PubSubSettings).is_configured:
        looks.append(_keep_topics)
    with ThreadPoolExecutor(len(looks)) as threads:  # an unavailable one must not delay the other
        done, running = wait([threads.submit(_look_again_and_again, look, stop) for look in looks], return_when=FIRST_EXCEPTION)
        if running:
            stop.set()
    for future in done:
        future.result()


def _look_again_and_again(look: Callable[[], None], stop: StopRequest) -> None:
    outage = Outage(log, Backoff(LOOK_SECONDS, LOOK_SECONDS), begins="waiting for it to come back", ends="all is well again")
    while True:
        try:
            look()
            outage.succeeded()
        except (LakeUnavailable, LakeRefused, NotProvisioned, PubSubUnavailable) as error:
            outage.failed(error)
        if stop.wait(LOOK_SECONDS):
            return


class _LakeWatch:
    def __init__(self, keeper: LakeKeeper, ready_file: Path | None) -> None:
        self._keeper = keeper
        self._ready_file = ready_file
        self._compare_at = 0.0

    def look(self) -> None:
        if not self._keeper.is_whole():
            provision_aws(read(LakeSettings).bucket, read(RetentionSettings), read(LakeSettings).cell)
            began = time.monotonic()
            restored = self._keeper.restore(self._say_ready)
            log.info("the lake is whole", extra={"restored": restored, "seconds": round(time.monotonic() - began, 2)})
        self._say_ready()
        if time.monotonic() >= self._compare_at:
            began = time.monotonic()
            self._keeper.compare()
            self._compare_at = time.monotonic() + max(COMPARE_SECONDS, 9 * (time.monotonic() - began))

    def _say_ready(self) -> None:
        if self._ready_file is not None:
            self._ready_file.touch()


def _keep_topics() -> None:
    from tickhouse.provision_pubsub import has_forgotten, provision_pubsub  # Google's client is loaded only here

    settings = read(PubSubSettings)
    if has_forgotten(settings):
        provision_pubsub(settings)


def main(
    ready_file: Annotated[
        Path | None, typer.Option(help="Touch this file while lake and copy are in sync, for a health check.")
    ] = None,
) -> None:
    """Keep LocalStack's lake and its copy in LAKE_COPY_DIR in sync; create queues and topics again after a restart."""

    def work() -> None:
        with stop_on_signals() as stop:
            run_keeper(stop, ready_file)

    run_command(work)

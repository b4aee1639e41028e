"""Where every process gets its lake and its queues: S3 and SQS, or a data folder's files."""

from pathlib import Path
from urllib.parse import quote

import orjson

from tickhouse_core.datasets import dataset_of_key
from tickhouse_core.folder_queue import FolderQueue
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.message_queue import MessageQueue, SqsQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import DataSettings, LakeSettings, read


class NotifyingStore(FolderStore):
    """The lake of a data folder: what is written is a message of its dataset's queue, as S3's notifications are."""

    def __init__(self, data: Path, bucket: str) -> None:
        super().__init__(data / "lake", bucket, self._notify)
        self._queues = data / "queue"

    def _notify(self, key: str, etag: str, size: int) -> None:
        dataset = dataset_of_key(key)
        if dataset is None or not key.endswith(".parquet"):
            return
        created = {"bucket": {"name": self.bucket}, "object": {"key": quote(key), "size": size, "eTag": etag}}
        body = {"Records": [{"eventName": "ObjectCreated:Put", "s3": created}]}
        FolderQueue(self._queues, dataset.queue).send(orjson.dumps(body).decode())


def open_lake(*, brief: bool = False) -> ObjectStore:
    """The data folder's lake, or S3_BUCKET, written to LAKE_COPY_DIR too where that is set.

    `brief` as `s3_client`, for who only looks. Raises UsageError for settings that cannot be meant.
    """
    bucket, data = read(LakeSettings).bucket, read(DataSettings).folder
    if data is not None:
        return NotifyingStore(data, bucket)
    from tickhouse_core.copied_store import CopiedStore  # botocore: a data folder does without, half a second of the processor
    from tickhouse_core.s3_store import S3Store

    copy = configured_copy()
    return S3Store(bucket, brief=brief) if copy is None or brief else CopiedStore(bucket, copy)


def open_queue(name: str, *, brief: bool = False) -> MessageQueue:
    """The data folder's queue, or SQS's of this cell. `brief` as `sqs_client`.

    Raises NotProvisioned, LakeUnavailable, UsageError.
    """
    data = read(DataSettings).folder
    if data is not None:
        return FolderQueue(data / "queue", name)
    return SqsQueue(f"{name}{read(LakeSettings).cell.suffix}", brief=brief)


def lakes_of_other_cells() -> list[ObjectStore]:
    """To look into; none in a data folder."""
    settings = read(LakeSettings)
    if read(DataSettings).folder is not None:
        return []
    from tickhouse_core.s3_store import S3Store

    return [S3Store(settings.bucket_of(cell)) for cell in settings.cell.all[1:]]


def configured_copy() -> FolderStore | None:
    """The copy that LAKE_COPY_DIR names, None where the lake itself is trusted to keep what it has."""
    folder = read(LakeSettings).copy_dir
    return None if folder is None else FolderStore(folder)

"""The lake that the settings name: where every process gets its ObjectStore."""

from tickhouse_core.lake_copy import LakeCopy, configured_copy
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import LakeSettings, read


class CopiedStore(ObjectStore):
    """A bucket that forgets (LocalStack's community edition does), with a copy of every object on disk."""

    def __init__(self, bucket: str, copy: LakeCopy) -> None:
        super().__init__(bucket)
        self._copy = copy

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        """As ObjectStore's; what returned is on the disk of LAKE_COPY_DIR too."""
        etag = super().write(key, body, replaces=replaces, must_be_new=must_be_new)
        self._copy.keep(key, body)
        return etag


def open_lake() -> ObjectStore:
    """S3_BUCKET, written to LAKE_COPY_DIR too where that is set. Raises UsageError for settings that cannot be meant."""
    bucket, copy = read(LakeSettings).bucket, configured_copy()
    return ObjectStore(bucket) if copy is None else CopiedStore(bucket, copy)

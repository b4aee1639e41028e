"""The lake that the settings name: where every process gets its ObjectStore."""

from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import LakeSettings, read


class CopiedStore(S3Store):
    """A bucket that forgets (LocalStack's community edition does), with a copy of every object on disk."""

    def __init__(self, bucket: str, copy: FolderStore) -> None:
        super().__init__(bucket)
        self._copy = copy

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        """As ObjectStore's; what returned is on the disk of LAKE_COPY_DIR too."""
        etag = super().write(key, body, replaces=replaces, must_be_new=must_be_new)
        self._copy.write(key, body)
        return etag


def open_lake() -> ObjectStore:
    """S3_BUCKET, written to LAKE_COPY_DIR too where that is set. Raises UsageError for settings that cannot be meant."""
    settings = read(LakeSettings)
    copy = configured_copy()
    return S3Store(settings.bucket) if copy is None else CopiedStore(settings.bucket, copy)


def configured_copy() -> FolderStore | None:
    """The copy that LAKE_COPY_DIR names, None where the lake itself is trusted to keep what it has."""
    folder = read(LakeSettings).copy_dir
    return None if folder is None else FolderStore(folder)

"""CopiedStore: the lake in a bucket that forgets, with a copy on disk."""

from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.s3_store import S3Store


class CopiedStore(S3Store):
    """A bucket that forgets (LocalStack's community edition does), with a copy of every object on disk."""

    def __init__(self, bucket: str, copy: FolderStore) -> None:
        super().__init__(bucket)
        self._copy = copy

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        """As ObjectStore's; what returned is on the disk of LAKE_COPY_DIR too.

        LakeUnavailable where the bucket forgot it before the copy was there: who restores it may have looked too early.
        """
        etag = super().write(key, body, replaces=replaces, must_be_new=must_be_new)
        self._copy.write(key, body)
        if not self.has(key):
            raise LakeUnavailable(f"{self.where(key)}: the lake forgot it while it was copied")
        return etag

    def delete(self, key: str, *, only: str | None = None) -> None:
        """The copy first: what is on disk comes back into the bucket."""
        self._copy.delete(key, only=only)
        super().delete(key, only=only)

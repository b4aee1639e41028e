"""Runs inside LocalStack 4.14 as it starts (/etc/localstack/init/start.d): bodies of objects lie on its disk.

By itself it keeps bodies of up to 512 kB in memory, and larger ones as files that stay open (services/s3/storage/ephemeral.py):
days of recording would fill any limit. Here a body is a file that is open only while it is read or written.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

from localstack.services.s3.storage import ephemeral

FOLDER = Path(tempfile.gettempdir(), "bodies")
_numbers = itertools.count()


class BodyOnDisk(ephemeral.LockedFileMixin):
    """What LocalStack does with a LockedSpooledTemporaryFile, under its locks, and no more."""

    def __init__(self, dir: str | None = None, max_size: int = 0) -> None:  # noqa: A002  # LocalStack's names
        super().__init__()
        number = next(_numbers)
        self._path = FOLDER / f"{number % 256:02x}" / str(number)
        self._path.touch(exist_ok=False)
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (self._path.stat().st_size if start is None else start)
        return self._position

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read(-1 if size is None else size)
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:
        with self._path.open("r+b") as file:
            file.seek(self._position)
            written = file.write(data)
        self._position += written
        return written

    def truncate(self, size: int | None = None) -> int:
        length = self._position if size is None else size
        os.truncate(self._path, length)
        return length

    def close(self) -> None:
        self._path.unlink(missing_ok=True)

    __del__ = close  # a bucket that is deleted closes nothing


shutil.rmtree(FOLDER, ignore_errors=True)  # what a kill left behind
for inner in range(256):
    (FOLDER / f"{inner:02x}").mkdir(parents=True)
ephemeral.LockedSpooledTemporaryFile = BodyOnDisk

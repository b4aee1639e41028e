"""Files that survive a power cut, folders that one process holds at a time, and the etag of a file that is an object."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from tickhouse_core.errors import UsageError

UNFINISHED = ".unfinished"
"""Ends the name of a file that is being written; after a crash such a file is of no use."""

_ETAG = "user.tickhouse.etag"
"""An extended attribute: etag, size and modification time. It saves reading a file for its etag where the disk can hold it."""

md5 = partial(hashlib.md5, usedforsecurity=False)


def write_whole(path: Path, body: bytes) -> None:
    """Writes or replaces a file, whole or not at all; it is durable once its folder is synced. Raises OSError."""
    draft = path.with_name(path.name + UNFINISHED)
    try:
        with draft.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)  # a part of a file is of no use, and takes room on a full disk
        raise


def write_durably(path: Path, body: bytes) -> None:
    """As `write_whole`: a reader finds the old file or the new one, after a power cut too. Raises OSError."""
    write_whole(path, body)
    sync(path.parent)


def sync(path: Path) -> None:
    """Makes a file durable, or the new files and renames of a folder (POSIX: it is a file of its own). Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def locked_folder(folder: Path, lock: str, in_use: str) -> Iterator[None]:
    """Makes the folder and holds its file `lock` until the context ends or the process dies, however it dies.

    Raises UsageError where another process holds it: "<folder> is in use by <in_use>".
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / lock).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder} is in use by {in_use}") from None
        yield


def etag_of(file: BufferedReader) -> str:
    """MD5, as S3 has it: as it was remembered with the file, if that is still the same; else read piece by piece."""
    if (known := _remembered(file)) is not None:
        return known
    etag = hashlib.file_digest(file, md5).hexdigest()
    file.seek(0)
    remember_etag(file, etag)
    return etag


def _remembered(file: BufferedReader) -> str | None:
    try:
        said = os.getxattr(file.fileno(), _ETAG).decode()
    except (OSError, AttributeError):  # this disk or system has no such attributes
        return None
    etag, _, identity = said.partition(" ")
    return etag if identity == _identity(file) else None


def remember_etag(file: BinaryIO, etag: str) -> None:
    try:
        os.setxattr(file.fileno(), _ETAG, f"{etag} {_identity(file)}".encode())
    except (OSError, AttributeError):  # this disk or system has no such attributes: the file is read for its etag
        return


def _identity(file: BinaryIO) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_size} {found.st_mtime_ns}"

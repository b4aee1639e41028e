"""Files that survive a power cut, and folders that one process holds at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickhouse_core.errors import UsageError

UNFINISHED = ".unfinished"
"""Ends the name of a file that is being written; after a crash such a file is of no use."""


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
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes new files and renames durable (POSIX: the directory is a file of its own). Raises OSError."""
    file = os.open(folder, os.O_RDONLY)
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

"""Folders for the rows of a day, under TMPDIR: they go with the process, or after a kill with the next one."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_PREFIX = "tickhouse-compact-"
_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new one, which is deleted in the end. Raises OSError."""
    root = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    root.mkdir(parents=True, exist_ok=True)
    _delete_left(root)
    folder, lock = _locked(root)
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked(root: Path) -> tuple[Path, TextIO]:
    """A folder whose lock is ours. Until it is, another process may take the folder for one that was left, and delete it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        lock = (folder / _LOCK).open("w")
        if _is_taken(lock) and (folder / _LOCK).exists():
            return folder, lock
        lock.close()


def _delete_left(root: Path) -> None:
    """Folders of processes that were killed: nobody holds their locks any more."""
    for lock in root.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("r+") as file:
                if _is_taken(file):
                    shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # another account's, or deleted just now
            continue


def _is_taken(file: TextIO) -> bool:
    """Whether the lock is ours now: until the file is closed, or the process dies."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

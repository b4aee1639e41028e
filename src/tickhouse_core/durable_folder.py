"""Makes what happened to a folder's entries survive a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes new files and renames durable (POSIX: the directory is a file of its own). Raises OSError."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

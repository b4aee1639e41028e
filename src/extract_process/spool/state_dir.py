"""The folder of one capture: its spool, its outbox, its memory, and the lock that keeps a second process out."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickhouse_core.errors import UsageError
from tickhouse_core.files import locked_folder

_INSTANCE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@contextmanager
def capture_folder(spool: Path, venue: str, instance: str) -> Iterator[Path]:
    """`<spool>/stream-<venue>-<instance>`, held until the context ends (or the process dies).

    Raises UsageError where another process holds it, or the instance's name does not fit in a key.
    """
    if not _INSTANCE.fullmatch(instance):
        raise UsageError(f"--instance {instance!r}: 1 to 40 letters, digits, '.', '_' or '-'")
    folder = spool / f"stream-{venue}-{instance}"
    with locked_folder(folder, "lock", "another process: give this one another --instance"):
        yield folder


def outbox_folder(folder: Path) -> Path:
    return folder / "outbox"


def measure(folder: Path) -> tuple[int, int]:
    """Bytes used by the folder's files, and bytes free on its disk."""
    used = 0
    for path in (*folder.glob("*"), *outbox_folder(folder).glob("*")):
        try:
            used += path.stat().st_size
        except FileNotFoundError:
            continue  # uploaded or flushed in this moment
    return used, shutil.disk_usage(folder).free

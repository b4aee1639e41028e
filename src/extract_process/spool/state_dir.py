"""The folder of one capture: its lock, its spool, its outbox, and the checkpoint: what it must know after a restart."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from extract_process.records import StreamKey
from tickhouse_core.errors import UsageError
from tickhouse_core.files import locked_folder, write_durably

_INSTANCE = re.compile(r"[A-Za-z0-9_.-]{1,40}")

_LAST_IDS = "last_ids.json"

LastIds = Mapping[StreamKey, tuple[int, int]]
"""Last id and the receipt_time of its message (microseconds), by stream."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """As of the end of segment `sequence`; later segments on disk are newer than this."""

    sequence: int
    last_ids: LastIds

    def save(self, folder: Path) -> None:
        """Atomic: a reader finds the old memory or the new one, after a power cut too."""
        streams = [{**asdict(key), "last_id": last, "receipt_time": at} for key, (last, at) in self.last_ids.items()]
        write_durably(folder / _LAST_IDS, orjson.dumps({"sequence": self.sequence, "streams": streams}))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Empty where there is none. Raises UsageError where the file is not ours: guessing would hide a gap."""
    path = folder / _LAST_IDS
    if not path.exists():
        return Checkpoint(0, {})
    try:
        stored = orjson.loads(path.read_bytes())
        ids = {_key(stream): (int(stream["last_id"]), int(stream["receipt_time"])) for stream in stored["streams"]}
        return Checkpoint(int(stored["sequence"]), ids)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): move it away to start without last ids") from error


def _key(stream: dict[str, str]) -> StreamKey:
    return StreamKey(stream["channel"], stream["symbol"], stream["interval"])


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

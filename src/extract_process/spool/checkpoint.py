"""Checkpoint: what one capture must know after a restart: the last id of every stream, the last segment's number."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from extract_process.stream_key import StreamKey
from tickhouse_core.errors import UsageError
from tickhouse_core.files import write_durably

_FILE = "last_ids.json"

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
        write_durably(folder / _FILE, orjson.dumps({"sequence": self.sequence, "streams": streams}))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Empty where there is none. Raises UsageError where the file is not ours: guessing would hide a gap."""
    path = folder / _FILE
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

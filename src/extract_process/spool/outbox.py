"""Outbox: finished objects on local disk until S3 has them. Their keys and bytes are fixed before the first attempt."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tickhouse_core.files import UNFINISHED, sync_folder, write_whole

_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class WaitingObject:
    """An object that is complete on disk and not yet known to be in the bucket."""

    key: str
    path: Path


class Outbox:
    """A folder of files named `<segment>~<key, percent-encoded>`, so that the oldest segment sorts first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"*{UNFINISHED}"):
            path.unlink()

    def put(self, sequence: int, objects: Iterable[tuple[str, bytes]]) -> list[WaitingObject]:
        """All objects of one segment, synced to the disk. The same segment again overwrites its own."""
        waiting = []
        for key, body in objects:
            path = self._folder / f"{sequence:012}~{_file_name(key)}"
            write_whole(path, body)
            waiting.append(WaitingObject(key, path))
        sync_folder(self._folder)
        return waiting

    def waiting(self) -> list[WaitingObject]:
        """Oldest segment first."""
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        return [WaitingObject(unquote(path.name.partition("~")[2]), path) for path in paths]

    def last_sequence(self) -> int:
        """The newest segment that has objects here; 0 where there are none."""
        return max((int(item.path.name.partition("~")[0]) for item in self.waiting()), default=0)


def _file_name(key: str) -> str:
    """As short as can be: a file name has 255 bytes at most, and a symbol may be Chinese."""
    return key.replace("%", "%25").replace("/", "%2F")

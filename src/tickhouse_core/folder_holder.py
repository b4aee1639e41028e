"""Who holds the folder of the embedded engine: its lock says that a process does, a file beside it which one.

The engine lets one process at a time into a folder. That process writes `holder.json`: its id, its command line and the
port at which it answers SQL. After a kill the file is stale, and the lock is free.
"""

import fcntl
import http.client
import os
import re
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from tickhouse_core.errors import FolderHeld
from tickhouse_core.files import write_whole
from tickhouse_core.redaction import redacted

DOOR_HEADER = "X-Tickhouse-Door"
"""Of every answer of the SQL door: the id of its process, the one in `holder.json`."""

OWN_ID = uuid.uuid4().hex
"""Of this process. A process id alone may be another container's."""

_NOTE = "holder.json"
_LOCK = "status"
"""ClickHouse locks it while it runs, and writes its process id into it; it is not there at first."""

_PID = re.compile(rb"PID: (\d+)")
_MOST_COMMAND = 200
_WAIT_SECONDS = 10.0
"""For a reader that is about to end, or a process that is about to answer SQL."""

_PAUSE_SECONDS = 0.1
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder; `port` is None where it answers no SQL, `command` is empty for a foreign program.

    `loads`: it loads what comes to the folder's queues, at the latest before it ends.
    """

    door: str
    pid: int
    command: str
    port: int | None = None
    loads: bool = False

    @property
    def may_load(self) -> bool:
        """One that answers SQL does, as far as processes of earlier versions go."""
        return self.loads or self.port is not None

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid})" if self.command else f"another program (process {self.pid})"


def other_holder(path: Path) -> Holder | None:
    """The other process that holds the folder now; None where no other process does. Errors: OSError."""
    if not _is_locked(path):
        return None
    noted, pid = _noted(path), _locked_by(path)
    if noted is None or noted.pid != pid:  # a program of another kind, or a process that has just begun
        return Holder("", pid, "")
    return None if _is_own(noted) else noted


def is_held_here(path: Path) -> bool:
    """Whether this process holds the folder. Errors: OSError."""
    return _is_noted_here(path) and _is_locked(path) and other_holder(path) is None


def note_holder(path: Path, port: int | None = None, *, loads: bool = False) -> None:
    """Writes down that this process holds the folder, where it answers SQL, and whether it loads. Errors: OSError.

    Written completely or not at all; the folder is not synced: after a power cut no process holds it.
    """
    note = {"door": OWN_ID, "pid": os.getpid(), "command": _command(), "port": port, "loads": loads}
    write_whole(path / _NOTE, orjson.dumps(note) + b"\n")


def note_holder_once(path: Path) -> None:
    """As `note_holder`, where this process has not done so. Errors: OSError."""
    if not _is_noted_here(path):
        note_holder(path)


def wait_until_free(path: Path) -> None:
    """Returns once no other process holds the folder. FolderHeld where it is not only about to be freed."""
    holder = _wait(path, lambda holder: holder.port is not None)
    if holder is not None:
        raise FolderHeld(f"{path} is held by {holder}: end it first, or use a ClickHouse server; reading goes on meanwhile")


def loading_holder(path: Path) -> Holder | None:
    """The other process that holds the folder: it may have just begun, and say in a moment that it loads. None: nobody does."""
    return _wait(path, lambda holder: holder.may_load)


def door_to(path: Path, wait_seconds: float = _WAIT_SECONDS) -> int | None:
    """The port at which the folder's holder answers SQL; None where the folder is free. FolderHeld where it does not answer."""
    holder = _wait(path, _answers, wait_seconds)
    if holder is None:
        return None
    if not _answers(holder):
        raise FolderHeld(f"{path} is held by {holder}, which answers no SQL: try again when it has ended")
    return holder.port


def _wait(path: Path, is_enough: Callable[[Holder], bool], seconds: float = _WAIT_SECONDS) -> Holder | None:
    deadline = time.monotonic() + seconds
    while True:
        holder = other_holder(path)
        if holder is None or is_enough(holder) or time.monotonic() > deadline:
            return holder
        time.sleep(_PAUSE_SECONDS)  # another process's lock: nothing tells when it is free


def _answers(holder: Holder) -> bool:
    """Whether it is the holder that answers at its port: another program may listen there by now."""
    if holder.port is None:
        return False
    connection = http.client.HTTPConnection("127.0.0.1", holder.port, timeout=_LOOK_SECONDS)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().headers.get(DOOR_HEADER) == holder.door
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_locked(path: Path) -> bool:
    try:
        with (path / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _is_noted_here(path: Path) -> bool:
    noted = _noted(path)
    return noted is not None and _is_own(noted)


def _is_own(noted: Holder) -> bool:
    """A process that was forked has its parent's id, and a copied folder its original's note."""
    return (noted.door, noted.pid) == (OWN_ID, os.getpid())


def _noted(path: Path) -> Holder | None:
    """What the file says; None where there is none, or none that can be read."""
    try:
        said = orjson.loads((path / _NOTE).read_bytes())
        port = said["port"]
        loads = said.get("loads") is True  # earlier versions do not say it
        return Holder(str(said["door"]), int(said["pid"]), str(said["command"]), None if port is None else int(port), loads)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _locked_by(path: Path) -> int:
    try:
        found = _PID.search((path / _LOCK).read_bytes())
    except OSError:
        found = None
    return int(found[1]) if found else 0


def _command() -> str:
    """As a person would type it, without a path: `tickhouse local --symbol BTCUSDT`, `load_process --drain`."""
    program, *arguments = sys.argv
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.stem
    return redacted(" ".join([name, *arguments]))[:_MOST_COMMAND]

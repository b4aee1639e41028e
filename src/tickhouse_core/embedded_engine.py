"""The embedded engine (chDB): its folder is opened here, by one process at a time that may open enough files."""

import errno
import os
import resource
import time
from collections.abc import Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ProgrammingError

from tickhouse_core.errors import FolderHeld, UsageError
from tickhouse_core.folder_holder import is_held_here, note_holder_once, other_holder, wait_until_free
from tickhouse_core.settings import DataSettings, read

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LEAST_FILES = 256
"""Open at once; `tickhouse local` was seen with 158, and with 64 the engine fails in the middle of an insert."""

_FILES = 4096

_TRIES = 3
_PAUSE_SECONDS = 0.1
"""Another process that looks whether the folder is held has its lock for a moment."""


def open_engine(path: Path, database: str, restrictions: Mapping[str, Any] | None) -> "Client":
    """A client of the engine with its data in `path`, which is made. UsageError where the engine cannot work.

    FolderHeld where another process holds the folder; one that only reads for a moment is waited for.
    """
    _allow_open_files()
    if not is_held_here(path):
        _check_folder(path)
    try:
        import chdb  # noqa: F401  # it starts an engine of its own in the folder for temporary files
    except ImportError as error:
        raise UsageError(f"the engine for {path}, chdb, is not installed: install the extra `embedded`") from error
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0][:300]
        raise UsageError(f"the embedded engine does not start: can it write to TMPDIR? ({said})") from error
    for tries_left in reversed(range(_TRIES)):
        try:
            client = clickhouse_connect.get_client(
                interface="chdb", path=str(path), database=database, settings=dict(restrictions or {})
            )
        except ProgrammingError as error:
            if other_holder(path) is not None:
                raise FolderHeld(f"{path} is held by {other_holder(path)}: try again when it has ended") from error
            if not tries_left:
                raise UsageError(f"{path} cannot be opened; the line above is the engine's own ({error})") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            note_holder_once(path)
            return client
    raise AssertionError("the last try returns or raises")


def raw_connection(path: Path) -> Any:
    """A connection of chDB's own to the folder that this process has open: it writes answers in the engine's formats.

    Its statements raise RuntimeError with the engine's text.
    """
    from chdb.state.sqlitelike import Connection

    return Connection(os.path.realpath(path))


def statements_in(path: Path, sql: str) -> int:
    """How many statements a text is, by the engine's own parser; 0 where it cannot be parsed. The folder is open."""
    with closing(raw_connection(path)) as connection:
        return int(connection._conn.classify_query(sql, "")["statement_count"])  # chDB's own gate (chdb.durable): nothing runs


def check_engine_folder(path: Path) -> None:
    """UsageError where the engine has no data in `path`: a command that reads does not make a warehouse, it names who does."""
    if (path / "metadata").is_dir():
        return
    data = read(DataSettings).folder
    if data is None or path != data / "warehouse":
        raise UsageError(f"CLICKHOUSE_PATH={path}: there is no warehouse in this folder: `tickhouse migrate` makes one")
    raise UsageError(
        f"--data {data} has no warehouse yet: `tickhouse klines --data {data} --symbol …` and `tickhouse local --data {data} "
        f"--symbol …` fill one, `tickhouse migrate --data {data}` makes an empty one"
    )


def _check_folder(path: Path) -> None:
    """Makes it. UsageError for what the engine would put into several lines: another process, the wrong owner."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        wait_until_free(path)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UsageError(_not_ours(Path(error.filename or path), path)) from error
    for entry in chain((path,), path.iterdir(), path.glob("store/*/*"), path.glob("store/*/*/*")):  # down to parts of tables
        if not os.access(entry, os.R_OK | os.W_OK) and os.path.lexists(entry):
            raise UsageError(_not_ours(entry, path))


def _not_ours(entry: Path, path: Path) -> str:
    there = next(place for place in (entry, *entry.parents) if os.access(place, os.F_OK))
    owner, user = there.stat().st_uid, os.getuid()
    if owner == user:
        return f"{there} cannot be written: check its rights and how its disk is mounted"
    to_change = path if there == path or path in there.parents else there
    return (
        f"{there} belongs to user {owner}, this process runs as user {user} and cannot write there: "
        f"chown -R {user} {to_change}, or choose another folder"
    )


def _allow_open_files() -> None:
    """Takes what the process may take by itself: a shell's own limit is often lower (macOS: 256)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES:
        return
    allowed = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if allowed < _LEAST_FILES:
        raise UsageError(
            f"this process may open {allowed} files, the embedded engine needs {_LEAST_FILES}: "
            "raise its limit (ulimit -n, or nofile of a service or container)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))

"""The embedded engine (chDB): its folder is opened here, by one process at a time that may open enough files."""

import errno
import fcntl
import os
import resource
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ProgrammingError

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import DataSettings, read

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LEAST_FILES = 256
"""Open at once; `tickhouse local` was seen with 158, and with 64 the engine fails in the middle of an insert."""

_FILES = 4096

_opened: set[Path] = set()
"""Folders that this process opened: it may open them again, although they are locked."""


def open_engine(path: Path, database: str, restrictions: Mapping[str, Any] | None) -> "Client":
    """A client of the engine with its data in `path`, which is made. UsageError where the engine cannot work."""
    _allow_open_files()
    if path not in _opened:
        _check_folder(path)
    try:
        import chdb  # noqa: F401  # it starts an engine of its own in the folder for temporary files
    except ImportError as error:
        raise UsageError(f"the engine for {path}, chdb, is not installed: install the extra `embedded`") from error
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0][:300]
        raise UsageError(f"the embedded engine does not start: can it write to TMPDIR? ({said})") from error
    try:
        client = clickhouse_connect.get_client(
            interface="chdb", path=str(path), database=database, settings=dict(restrictions or {})
        )
    except ProgrammingError as error:
        raise UsageError(f"{path} cannot be opened; the line above is the engine's own ({error})") from error
    _opened.add(path)
    return client


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
        with (path / "status").open("r+") as status:  # ClickHouse holds its lock while it runs; it is not there at first
            fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        pass
    except BlockingIOError:
        raise UsageError(
            f"{path} is in use by another process: end it (`tickhouse local`, a loader, …), or use a ClickHouse server"
        ) from None
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

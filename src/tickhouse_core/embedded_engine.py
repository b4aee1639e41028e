"""The embedded engine (chDB): its folder is opened here, by one process at a time that may open enough files."""

import resource
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ProgrammingError

from tickhouse_core.errors import UsageError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LEAST_FILES = 256
"""Open at once; `tickhouse local` was seen with 158, and with 64 the engine fails in the middle of an insert."""

_FILES = 4096


def open_engine(path: Path, database: str, restrictions: Mapping[str, Any] | None) -> "Client":
    """A client of the engine with its data in `path`, which is made. UsageError where the engine cannot work."""
    _allow_open_files()
    path.mkdir(parents=True, exist_ok=True)
    try:
        import chdb  # noqa: F401  # it starts an engine of its own in the folder for temporary files
    except ImportError as error:
        raise UsageError("CLICKHOUSE_PATH is set but chdb is not installed: install the extra `embedded`") from error
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0][:300]
        raise UsageError(f"the embedded engine does not start: can it write to TMPDIR? ({said})") from error
    try:
        return clickhouse_connect.get_client(
            interface="chdb", path=str(path), database=database, settings=dict(restrictions or {})
        )
    except ProgrammingError as error:
        raise UsageError(f"CLICKHOUSE_PATH={path} cannot be opened: is another process using it? ({error})") from error


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

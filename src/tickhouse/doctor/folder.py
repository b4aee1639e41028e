"""The doctor's look at a data folder: the engine's extra, and whether lake and warehouse in it can be used. It makes nothing."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tickhouse.doctor.findings import CheckFailed, Finding
from tickhouse.doctor.services import check_warehouse
from tickhouse_core.settings import DataSettings, read

_EXTRA = "make setup, or pip install 'tickhouse[embedded]'"


def check_extras() -> Iterator[Finding]:
    if find_spec("chdb") is None:
        raise CheckFailed("the embedded engine, chdb, is not installed", _EXTRA)
    yield Finding("extras", "ok", "the embedded engine, chdb, is installed")


def check_folder() -> Iterator[Finding]:
    data = read(DataSettings).folder
    assert data is not None, "it is looked at only where there is one"
    nearest = next(place for place in (data, *data.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise CheckFailed(f"{nearest} is a file", "name a folder with --data; a new one is created")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise CheckFailed(
            f"{nearest} cannot be written by user {os.getuid()}", f"chown -R {os.getuid()} {nearest}, or choose another --data"
        )
    if not data.exists():
        yield Finding("folder", "ok", f"{data} is not there yet: `tickhouse local` and `tickhouse klines` make it")
    elif (data / "warehouse").exists():
        yield Finding("folder", "ok", f"{data} can be written")
    else:
        yield _without_warehouse(data)


def check_engine() -> Iterator[Finding]:
    """The warehouse in the folder, where there is one."""
    data = read(DataSettings).folder
    assert data is not None, "it is looked at only where there is one"
    if (data / "warehouse").exists() and find_spec("chdb") is not None:
        yield from check_warehouse()
    else:
        yield Finding("ClickHouse", "skipped", f"there is no warehouse in {data} yet")


def _without_warehouse(data: Path) -> Finding:
    if not (data / "lake").exists():
        return Finding("folder", "ok", f"{data} has no data yet: `tickhouse local` and `tickhouse klines` fill it")
    fix = f"tickhouse migrate --data {data}, then: tickhouse reconcile --data {data}"
    return Finding("folder", "warning", f"{data} has a lake and no warehouse: nothing can be queried", fix)

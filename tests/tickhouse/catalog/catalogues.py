"""Catalogues over lakes of the compactor's tests, and what is in a snapshot. Not a test."""

from pathlib import Path
from typing import Any

from pyiceberg.table import Table
from tests.tickhouse.compact.lakes import DAY, DAY_US, SYMBOLS

import tickhouse as th
from tickhouse.catalog.registration import TableCounts
from tickhouse.catalog.update import update
from tickhouse_core.datasets import Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.iceberg.catalogue import Catalogue, open_catalogue
from tickhouse_core.iceberg.snapshots import newest
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import now_us

MONTH = 30 * DAY_US


def register(store: ObjectStore, catalogue: Catalogue | None = None, at: int | None = None) -> dict[str, TableCounts]:
    """As of an instant; by table."""
    done: list[TableCounts] = []
    update(store, catalogue or open_catalogue(store), StopRequest(), at or now_us(), MONTH, done)
    return {one.dataset.name: one for one in done}


def newest_id(folder: Path) -> int:
    found = newest(open_catalogue(FolderStore(folder), must_exist=True))
    assert found is not None
    return found.snapshot_id


def table_of(folder: Path, dataset: Dataset) -> Table:
    table = open_catalogue(FolderStore(folder), must_exist=True).table(dataset)
    assert table is not None
    return table


def trades_at(folder: Path, snapshot: int) -> list[dict[str, Any]]:
    lake = th.open(folder, snapshot=snapshot)
    return list(lake.trades(SYMBOLS, DAY, DAY + DAY_US, exact=True).arrow().to_pylist())

"""Loaders that die, as at kill -9, at a step of an insert that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pyarrow as pa
import pytest
from tests.load_process.conftest import FOLDER, klines, land, parquet

from load_process.batch_insert import BatchInsert
from load_process.ledger import Ledger
from load_process.limits import LoadLimits
from load_process.object_reader import ObjectReader
from load_process.objects import DecodedObject, LoadStatus, ObjectVersion
from load_process.value_checksum import value_checksum
from tickhouse_core.datasets import KLINES
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


SMALL_SLICES = LoadLimits(insert_rows=3)


class Killed(BaseException):
    """kill -9: nothing after it happens."""


@dataclass
class Death:
    """Comes before or after the step when it is taken for the `nth` time."""

    step: str
    is_before: bool
    nth: int = 1


class MortalWarehouse(Warehouse):
    """The connection of a loader that dies at one of its steps: claim, release, insert, ledger."""

    def __init__(self, settings: WarehouseSettings, death: Death, event: Callable[[], object] | None = None) -> None:
        assert settings.path is not None
        super().__init__(clickhouse_connect.get_client(interface="chdb", path=str(settings.path), database=settings.database))
        self._death = death
        self._event = event

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        step = {"ops_load_claims": "release" if rows[0].get("state") == "released" else "claim", "ops_loaded_objects": "ledger"}
        with self._step(step.get(table, table)):
            super().insert_rows(table, rows)

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        with self._step("insert"):
            super().insert_arrow(table, rows, token=token, push_again=push_again)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._death.nth -= name == self._death.step
        is_due = name == self._death.step and self._death.nth == 0
        if is_due and self._death.is_before:
            self._come()
        yield
        if is_due and not self._death.is_before:
            self._come()

    def _come(self) -> None:
        if self._event is None:
            raise Killed
        self._event()


DEATHS = {
    "before the claim": Death("claim", is_before=True),
    "after the claim": Death("claim", is_before=False),
    "before the second slice": Death("insert", is_before=True, nth=2),
    "after the first slice": Death("insert", is_before=False),
    "after the insert": Death("ledger", is_before=True),
    "after the ledger": Death("ledger", is_before=False),
}


def inserter(lake: Lake, warehouse: Warehouse, limits: LoadLimits = SMALL_SLICES) -> BatchInsert:
    reader = ObjectReader(lake.store, Ledger(warehouse), limits, ThreadPoolExecutor(1))
    return BatchInsert([warehouse], reader, limits, 0)


def landed(lake: Lake, name: str, *hours: int, close: str = "1.5") -> DecodedObject:
    table = klines(*hours, close=close)
    created = land(lake, parquet(table), f"{FOLDER}/{name}.parquet")
    return DecodedObject(
        ObjectVersion(created.bucket, created.key, created.etag), KLINES, table.cast(KLINES.schema), value_checksum(table), 1
    )


def die_inserting(
    lake: Lake, settings: WarehouseSettings, objects: Sequence[DecodedObject], death: Death, limits: LoadLimits = SMALL_SLICES
) -> None:
    with (
        closing(MortalWarehouse(settings, Death(death.step, death.is_before, death.nth))) as warehouse,
        pytest.raises(Killed),
    ):
        inserter(lake, warehouse, limits).insert(objects)


def insert(lake: Lake, warehouse: Warehouse, *objects: DecodedObject) -> list[LoadStatus]:
    statuses = inserter(lake, warehouse).insert(objects)
    return [statuses[item.version] for item in objects]


def bronze(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.query("select object_key, count() from bronze_klines group by object_key")
    return {key.rpartition("/")[2].removesuffix(".parquet"): count for key, count in rows}


def silver_count(warehouse: Warehouse) -> int:
    return int(warehouse.query("select count() from silver_klines final")[0][0])

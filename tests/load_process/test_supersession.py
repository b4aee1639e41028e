"""Silver is a function of the current versions of the objects: what a newer version no longer says, nobody sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.load_process.conftest import FOLDER, KEY, klines, land, ledger, load_objects, parquet
from tests.load_process.test_every_dataset import EVERY, load, rows_of, seen

from load_process.batch_insert import BatchInsert
from load_process.ledger import Ledger
from load_process.limits import LoadLimits
from load_process.object_reader import ObjectReader
from load_process.objects import LoadRequest
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

OTHER_KEY = f"{FOLDER}/2024-01-other.parquet"
EARLY, LATE = 1_704_200_000_000_000, 1_704_200_000_000_001


def hours(warehouse: Warehouse) -> dict[int, str]:
    """What people see: the close by hour."""
    rows = warehouse.query("select toHour(open_time), toString(close) from klines order by open_time")
    assert len({row[0] for row in rows}) == len(rows)
    return {int(hour): str(close) for hour, close in rows}


def put(lake: Lake, warehouse: Warehouse, *tables: pa.Table, key: str = KEY) -> list[LoadRequest]:
    """Each table as the next version of the object, loaded before the one after it is written."""
    created = []
    for table in tables:
        created.append(land(lake, parquet(table), key))
        load_objects(lake, warehouse, created[-1])
    return created


def statuses(warehouse: Warehouse) -> list[str]:
    return [str(status) for (status,) in warehouse.query("select status from ops_loaded_objects final order by load_time")]


def test_a_row_that_the_newer_version_dropped_is_gone(moto_lake: Lake, warehouse: Warehouse) -> None:
    first, second = put(moto_lake, warehouse, klines(0, 1, 2), klines(0, 2))
    assert hours(warehouse) == {0: "1.5", 2: "1.5"}
    assert warehouse.query("select count() from bronze_klines") == [(5,)], "bronze keeps every version"
    assert sorted(ledger(warehouse)) == sorted([(KEY, first.etag, 3, "superseded", 1), (KEY, second.etag, 2, "loaded", 1)])
    assert {row[0] for row in warehouse.query("select verdict from ops_accounting_klines")} == {"ok"}


def test_a_changed_key_is_one_row(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, 1), klines(0, 5))
    assert hours(warehouse) == {0: "1.5", 5: "1.5"}


def test_a_version_without_rows_takes_all_of_them_back(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, 1), klines())
    assert hours(warehouse) == {}
    assert sorted(statuses(warehouse)) == ["loaded", "superseded"]


def test_a_value_that_was_received_earlier_is_right_all_the_same(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, close="9", receipt_time=LATE), klines(0, close="1", receipt_time=EARLY))
    assert hours(warehouse) == {0: "1"}


@pytest.mark.parametrize("is_merged", [False, True])
def test_a_row_that_another_object_says_too_is_that_objects(moto_lake: Lake, warehouse: Warehouse, is_merged: bool) -> None:
    put(moto_lake, warehouse, klines(0, 1, close="1", receipt_time=EARLY), key=OTHER_KEY)
    put(moto_lake, warehouse, klines(0, 1, close="9", receipt_time=LATE))
    if is_merged:
        warehouse.command("optimize table silver_klines final")  # the other object's rows, which were beaten, are forgotten
    assert hours(warehouse) == {0: "9", 1: "9"}
    put(moto_lake, warehouse, klines(1, close="9", receipt_time=LATE))
    assert hours(warehouse) == {0: "1", 1: "9"}
    put(moto_lake, warehouse, klines())
    assert hours(warehouse) == {0: "1", 1: "1"}
    put(moto_lake, warehouse, klines(1, close="1", receipt_time=EARLY), key=OTHER_KEY)
    assert hours(warehouse) == {1: "1"}


def test_a_beaten_row_of_an_older_version_does_not_come_back(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, 1), klines(0, 1, 2), klines(0, 1, 2, 3), klines(0, 2, 3))
    assert hours(warehouse) == {0: "1.5", 2: "1.5", 3: "1.5"}


def test_the_old_versions_notification_delivered_again_changes_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    first, second = put(moto_lake, warehouse, klines(0, 1), klines(0))
    for created in (first, second, first):
        load_objects(moto_lake, warehouse, created, attempts=2)
    assert hours(warehouse) == {0: "1.5"}
    assert warehouse.query("select count() from bronze_klines") == [(3,)]


def test_bytes_that_are_put_back_are_current_again(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, 1), klines(0, 2), klines(0, 1), klines(0, 2))
    assert hours(warehouse) == {0: "1.5", 2: "1.5"}
    assert sorted(statuses(warehouse)) == ["loaded", "superseded"]
    assert warehouse.query("select count() from bronze_klines") == [(4,)]
    assert {row[0] for row in warehouse.query("select verdict from ops_accounting_klines")} == {"ok"}


def test_a_loader_that_is_late_with_an_old_version_gives_it_up(moto_lake: Lake, warehouse: Warehouse) -> None:
    old = land(moto_lake, parquet(klines(0, 1, close="9", receipt_time=LATE)))
    with ThreadPoolExecutor(2) as threads:
        reader = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(), threads)
        reading = reader.read([old])
        put(moto_lake, warehouse, klines(0, close="1", receipt_time=EARLY))
        BatchInsert([warehouse], reader, LoadLimits(), 0).insert(reading.objects)
    assert hours(warehouse) == {0: "1"}
    assert sorted(statuses(warehouse)) == ["loaded", "superseded"]


class Watched(Warehouse):
    """Counts the calls and fails after one of them was done, as if this process had been killed there."""

    def __init__(self, warehouse: Warehouse, fail_after: int = 0) -> None:
        super().__init__(warehouse._client)
        self.calls: list[str] = []
        self._fail_after = fail_after

    def _count(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) == self._fail_after:
            raise WarehouseUnavailable("killed here")

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().command(sql, parameters, **settings)
        self._count(sql)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        rows = super().query(sql, parameters)
        self._count(sql)
        return rows

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().insert_rows(table, rows)
        self._count(table)

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        super().insert_arrow(table, rows, token=token, push_again=push_again)
        self._count(table)


def test_rows_that_were_only_added_cost_no_deletion(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, klines(0, 1))
    watched = Watched(warehouse)
    put(moto_lake, watched, klines(0, 1, 2))
    assert hours(warehouse) == {0: "1.5", 1: "1.5", 2: "1.5"}
    assert not [call for call in watched.calls if "delete" in call]
    assert warehouse.query("select count() from ops_lost_minutes") == [(0,)]


def test_gold_is_told_before_the_rows_are_taken_out_and_again_after(moto_lake: Lake, warehouse: Warehouse) -> None:
    """Before: a loader may be killed after the deletion. After: a pass may have looked in between."""
    put(moto_lake, warehouse, klines(0, 1))
    watched = Watched(warehouse)
    put(moto_lake, watched, klines(1))
    wanted = ("insert into ops_lost_minutes", "delete from silver_klines")
    steps = [start for call in watched.calls for start in wanted if call.startswith(start)]
    assert steps == [wanted[0], wanted[1], wanted[0]]
    assert warehouse.query("select toHour(minute), count() from ops_lost_minutes group by minute") == [(0, 2)]


@pytest.mark.slow
def test_killed_at_any_step_the_next_try_ends_it(moto_lake: Lake, warehouse: Warehouse) -> None:
    """The other object's rows were beaten and are forgotten: between two steps nobody but bronze knows of them."""

    def repair(key: str, fail_after: int) -> list[str]:
        other = key.replace(".parquet", "-other.parquet")
        put(moto_lake, warehouse, klines(0, 1, close="1", receipt_time=EARLY), key=other)
        put(moto_lake, warehouse, klines(0, 1, 2, close="9", receipt_time=LATE), key=key)
        warehouse.command("optimize table silver_klines final")
        created, watched = land(moto_lake, parquet(klines(1, close="9", receipt_time=LATE)), key), Watched(warehouse, fail_after)
        if fail_after:
            with pytest.raises(WarehouseUnavailable):
                load_objects(moto_lake, watched, created)
        load_objects(moto_lake, watched, created, attempts=2)
        assert hours(warehouse) == {0: "1", 1: "9"}, watched.calls[:fail_after]
        told = warehouse.query("select distinct toHour(minute) from ops_lost_minutes where dataset = 'klines' order by minute")
        assert {hour for (hour,) in told} >= {0, 2}, watched.calls[:fail_after]
        assert {row[0] for row in warehouse.query("select verdict from ops_accounting_klines")} == {"ok"}
        for table in ("bronze_klines", "silver_klines", "ops_loaded_objects", "ops_load_claims", "ops_lost_minutes"):
            warehouse.command(f"truncate table {table}")
        return watched.calls

    calls = repair(KEY, 0)
    first = calls.index("bronze_klines") + 1
    assert any("delete" in call for call in calls[first:])
    assert calls[-1] == "ops_loaded_objects"
    for step in range(first, len(calls) + 1):
        repair(f"{FOLDER}/{step}.parquet", step)


@EVERY
def test_in_every_dataset_a_dropped_row_is_gone(dataset: Dataset, moto_lake: Lake, warehouse: Warehouse) -> None:
    rows = rows_of(dataset, 0, 1, 2)
    load(moto_lake, warehouse, dataset, rows)
    load(moto_lake, warehouse, dataset, rows[1:])
    assert seen(warehouse, dataset) == sorted(rows[1:], key=repr)
    load(moto_lake, warehouse, dataset, rows[1:], name="two")
    load(moto_lake, warehouse, dataset, rows[:1])
    assert seen(warehouse, dataset) == sorted(rows, key=repr)

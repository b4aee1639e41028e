from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.load_process.conftest import FOLDER, KEY, counts, errors, klines, land, ledger, load_objects, parquet
from tests.load_process.mortal_loader import bronze, insert, inserter, landed, silver_count

from load_process.limits import LoadLimits
from load_process.objects import LoadStatus
from load_process.value_checksum import value_checksum
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


def test_an_object_is_loaded_and_written_into_the_ledger(moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0, 1, 2)))
    assert load_objects(moto_lake, warehouse, created) == [LoadStatus.DONE]
    assert counts(warehouse) == (3, 3, 3)
    assert ledger(warehouse) == [(KEY, created.etag, 3, "loaded", 1)]
    assert warehouse.query("select bucket, dataset, checksum from ops_loaded_objects") == [
        (moto_lake.store.bucket, "klines", value_checksum(klines(0, 1, 2)))
    ]
    assert warehouse.query("select distinct object_key from bronze_klines") == [(KEY,)]


def test_the_same_version_delivered_again_is_loaded_once(moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0, 1)))
    for attempts in (1, 2, 3):
        assert load_objects(moto_lake, warehouse, created, attempts=attempts) == [LoadStatus.DONE]
    assert counts(warehouse) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, created.etag, 2, "loaded", 1)]


def test_a_load_that_died_before_the_ledger_doubles_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0, 1)))
    load_objects(moto_lake, warehouse, created)
    warehouse.command("truncate table ops_loaded_objects")
    load_objects(moto_lake, warehouse, created, attempts=2)
    assert (counts(warehouse)[0], silver_count(warehouse), counts(warehouse)[2]) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, created.etag, 2, "loaded", 2)]


def test_of_two_objects_with_the_same_kline_the_later_one_wins(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_objects(moto_lake, warehouse, land(moto_lake, parquet(klines(0, 1, close="1.5", receipt_time=1_704_200_000_000_000))))
    other = parquet(klines(1, 2, close="2.5", receipt_time=1_704_200_000_000_001))
    load_objects(moto_lake, warehouse, land(moto_lake, other, f"{FOLDER}/other.parquet"))
    assert counts(warehouse) == (4, 4, 3)
    rows = warehouse.query("select toHour(open_time), toString(close) from klines order by open_time")
    assert [tuple(row) for row in rows] == [(0, "1.5"), (1, "2.5"), (2, "2.5")]


def test_many_objects_are_one_insert_and_one_part(moto_lake: Lake, warehouse: Warehouse) -> None:
    warehouse.command("system stop merges bronze_klines")
    created = [land(moto_lake, parquet(klines(number)), f"{FOLDER}/{number}.parquet") for number in range(50)]
    assert load_objects(moto_lake, warehouse, *created) == [LoadStatus.DONE] * 50
    parts = warehouse.query(
        "select count(), sum(rows) from system.parts where active and database = currentDatabase() and table = 'bronze_klines'"
    )
    warehouse.command("system start merges bronze_klines")
    assert [tuple(row) for row in parts] == [(1, 50)]
    assert {row[0] for row in ledger(warehouse)} == {item.key for item in created}
    assert warehouse.query("select uniqExact(object_key), count() from bronze_klines") == [(50, 50)]
    assert warehouse.query("select uniqExact(batch), count() from ops_load_claims") == [(1, 50)]


def test_rows_of_a_batch_of_several_slices_have_the_keys_of_their_objects(moto_lake: Lake, warehouse: Warehouse) -> None:
    objects = [landed(moto_lake, str(number), *range(number, 5 * number)) for number in range(4)]
    assert insert(moto_lake, warehouse, *objects) == [LoadStatus.DONE] * 4
    assert bronze(warehouse) == {"1": 4, "2": 8, "3": 12}
    rows = warehouse.query("select object_key, groupArray(toHour(open_time)) from (select * from bronze_klines order by all) "
                           "group by object_key order by object_key")  # fmt: skip
    assert [sorted(hours) for _, hours in rows] == [list(range(number, 5 * number)) for number in (1, 2, 3)]
    assert [row[2] for row in sorted(ledger(warehouse), key=str)] == [0, 4, 8, 12]


@pytest.fixture(params=["bronze_klines", "silver_klines"])
def picky_table(request: pytest.FixtureRequest, warehouse: Warehouse) -> Iterator[None]:
    """A table that refuses one value, itself or where its rows go on to."""
    warehouse.command(f"alter table {request.param} add constraint picky check close != 666")
    yield
    warehouse.command(f"alter table {request.param} drop constraint picky")


@pytest.mark.usefixtures("picky_table")
@pytest.mark.parametrize("insert_rows", [100, 3], ids=["one slice", "slices"])
def test_what_the_engine_refuses_is_stuck_and_its_neighbours_are_loaded_once(
    insert_rows: int, moto_lake: Lake, warehouse: Warehouse
) -> None:
    sound = [landed(moto_lake, str(number), number, number + 1) for number in range(4)]
    bad = landed(moto_lake, "bad", 8, 9, close="666")
    objects = [*sound[:3], bad, sound[3]]
    statuses = inserter(moto_lake, warehouse, LoadLimits(insert_rows=insert_rows)).insert(objects)
    assert statuses == {item.version: LoadStatus.REFUSED if item is bad else LoadStatus.DONE for item in objects}
    found = bronze(warehouse)
    found.pop("bad", None)  # what the engine had before it refused the rest is not promised
    assert found == {str(number): 2 for number in range(4)}
    assert warehouse.query("select count() from silver_klines final") == [(5,)]
    assert errors(warehouse) == [("warehouse_refused", "retried", 1)]
    assert len(ledger(warehouse)) == 4


@pytest.mark.parametrize("table", ["bronze_klines", "silver_klines"])
def test_what_the_engine_refused_is_loaded_once_when_it_takes_it(table: str, moto_lake: Lake, warehouse: Warehouse) -> None:
    """Also where it had taken the first slice, and whoever comes with it the next time."""
    bad, sound = landed(moto_lake, "bad", *range(4, 10)), landed(moto_lake, "sound", 20)
    warehouse.command(f"alter table {table} add constraint picky check toHour(open_time) != 9")
    try:
        for _ in range(2):
            assert insert(moto_lake, warehouse, bad) == [LoadStatus.REFUSED]
    finally:
        warehouse.command(f"alter table {table} drop constraint picky")
    assert insert(moto_lake, warehouse, sound, bad) == [LoadStatus.DONE] * 2
    assert (bronze(warehouse), silver_count(warehouse)) == ({"bad": 6, "sound": 1}, 7)


def test_what_is_inserted_again_takes_the_place_of_what_bronze_had(moto_lake: Lake, warehouse: Warehouse) -> None:
    objects = [landed(moto_lake, str(number), number, number + 1) for number in range(2)]
    insert(moto_lake, warehouse, *objects)
    warehouse.command("delete from bronze_klines where toHour(open_time) = 1")
    for _ in range(3):  # an operator may ask twice, and a loader whose answer was lost
        assert inserter(moto_lake, warehouse).insert_again(objects[:1]) == {objects[0].version: LoadStatus.DONE}
        assert bronze(warehouse) == {"0": 2, "1": 1}
    assert counts(warehouse)[2] == 3
    assert len(ledger(warehouse)) == 2


def test_many_that_are_inserted_again_cost_one_deletion(moto_lake: Lake, warehouse: Warehouse) -> None:
    """A deletion rewrites parts and takes the longer the more there are: one an object was minutes for some hundred."""
    objects = [landed(moto_lake, str(number), number, number + 1, number + 2) for number in range(8)]
    insert(moto_lake, warehouse, *objects)
    warehouse.command("delete from bronze_klines where toHour(open_time) = 1")
    warehouse.command("alter table bronze_klines add constraint picky check toHour(open_time) != 9")
    mutations = "select count() from system.mutations where database = currentDatabase() and table = 'bronze_klines'"
    ((before,),) = warehouse.query(mutations)
    try:
        statuses = inserter(moto_lake, warehouse).insert_again(objects)
    finally:
        warehouse.command("alter table bronze_klines drop constraint picky")
    assert statuses == {item.version: LoadStatus.REFUSED if item is objects[7] else LoadStatus.DONE for item in objects}
    ((after,),) = warehouse.query(mutations)
    assert after - before == 1
    assert bronze(warehouse) == {str(number): 3 for number in range(8)}


def test_of_two_versions_of_a_key_that_are_inserted_again_the_second_stays(moto_lake: Lake, warehouse: Warehouse) -> None:
    first, second = landed(moto_lake, "0", 1, 2), landed(moto_lake, "0", 2, 3, 4)
    other = landed(moto_lake, "1", 7)
    insert(moto_lake, warehouse, first)
    statuses = inserter(moto_lake, warehouse).insert_again([first, second, other])
    assert set(statuses.values()) == {LoadStatus.DONE}
    assert bronze(warehouse) == {"0": 3, "1": 1}
    assert silver_count(warehouse) == 4


def test_what_is_to_be_inserted_again_and_is_refused_is_not_lost(moto_lake: Lake, warehouse: Warehouse) -> None:
    item = landed(moto_lake, "0", *range(4))
    insert(moto_lake, warehouse, item)
    warehouse.command("alter table bronze_klines add constraint picky check toHour(open_time) != 3")
    try:
        assert inserter(moto_lake, warehouse).insert_again([item]) == {item.version: LoadStatus.REFUSED}
    finally:
        warehouse.command("alter table bronze_klines drop constraint picky")
    assert warehouse.query("select uniqExact(open_time) from bronze_klines") == [(4,)]
    assert inserter(moto_lake, warehouse).insert_again([item]) == {item.version: LoadStatus.DONE}
    assert (bronze(warehouse), silver_count(warehouse)) == ({"0": 4}, 4)

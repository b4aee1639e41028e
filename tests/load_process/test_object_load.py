from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.load_process.conftest import klines, parquet

from load_process.notifications import ObjectCreated
from load_process.object_load import ObjectLoader
from pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


KEY = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1h/2024-01.parquet"


@pytest.fixture
def loader(moto_lake: Lake, warehouse: Warehouse) -> ObjectLoader:
    return ObjectLoader(moto_lake.store, warehouse)


def land(lake: Lake, body: bytes, key: str = KEY) -> ObjectCreated:
    return ObjectCreated(lake.store.bucket, key, lake.store.write(key, body))


def counts(warehouse: Warehouse) -> tuple[int, int, int]:
    """Rows in bronze, in silver as stored, and as people see them."""
    (row,) = warehouse.query(
        "select (select count() from bronze_klines), (select count() from silver_klines), (select count() from klines)"
    )
    return row[0], row[1], row[2]


def ledger(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in warehouse.query("select key, etag, rows, status, attempts from ops_loaded_objects final order by load_time")
    ]


def errors(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return [tuple(row) for row in warehouse.query("select reason, fate, attempts from ops_load_errors order by time")]


def test_an_object_is_loaded_and_written_into_the_ledger(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    body = parquet(klines(0, 1, 2))
    created = land(moto_lake, body)
    loader.load(created, 1)
    assert counts(warehouse) == (3, 3, 3)
    assert ledger(warehouse) == [(KEY, created.etag, 3, "loaded", 1)]
    checksum = int(hashlib.sha256(body).hexdigest()[:16], 16)
    assert warehouse.query("select bucket, dataset, checksum from ops_loaded_objects") == [
        (moto_lake.store.bucket, "klines", checksum)
    ]
    assert warehouse.query("select distinct object_key from bronze_klines") == [(KEY,)]


def test_the_same_version_delivered_again_is_loaded_once(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0, 1)))
    for attempt in (1, 2, 3):
        loader.load(created, attempt)
    assert counts(warehouse) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, created.etag, 2, "loaded", 1)]


def test_a_load_that_died_before_the_ledger_doubles_nothing(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0, 1)))
    loader.load(created, 1)
    warehouse.command("truncate table ops_loaded_objects")
    loader.load(created, 2)
    assert counts(warehouse) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, created.etag, 2, "loaded", 2)]


def test_a_notification_without_an_etag_is_loaded_once_too(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0)))
    for _ in range(2):
        loader.load(ObjectCreated(created.bucket, created.key, ""), 1)
    assert counts(warehouse) == (1, 1, 1)


def test_another_version_is_loaded_too_and_the_later_kline_wins(
    loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse
) -> None:
    loader.load(land(moto_lake, parquet(klines(0, 1, close="1.5", receipt_time=1_704_200_000_000_000))), 1)
    loader.load(land(moto_lake, parquet(klines(1, 2, close="2.5", receipt_time=1_704_200_000_000_001))), 1)
    assert counts(warehouse) == (4, 4, 3)
    rows = warehouse.query("select toHour(open_time), toString(close) from klines order by open_time")
    assert [tuple(row) for row in rows] == [(0, "1.5"), (1, "2.5"), (2, "2.5")]


def test_a_late_notification_of_an_old_version_loads_what_the_key_holds_now(
    loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse
) -> None:
    old = land(moto_lake, parquet(klines(0)))
    new = land(moto_lake, parquet(klines(0, 1)))
    loader.load(old, 1)
    loader.load(new, 1)
    loader.load(old, 2)
    assert counts(warehouse) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, new.etag, 2, "loaded", 1)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"hello, I am a text file", "not_parquet"),
        (parquet(klines(0).drop_columns(["close"])), "missing_column"),
        (parquet(klines(0).set_column(5, "open", klines(0)["open"].cast("string"))), "wrong_type"),
    ],
    ids=["text", "missing", "wrong"],
)
def test_an_object_that_can_never_be_loaded_is_quarantined_once(
    body: bytes, reason: str, loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse
) -> None:
    created = land(moto_lake, body)
    loader.load(created, 1)
    loader.load(created, 2)
    assert counts(warehouse) == (0, 0, 0)
    assert ledger(warehouse) == [(KEY, created.etag, 0, "quarantined", 1)]
    assert errors(warehouse) == [(reason, "quarantined", 1)]
    assert moto_lake.store.read(f"quarantine/{KEY}").body == body
    assert json.loads(moto_lake.store.read(f"quarantine/{KEY}.reason.json").body)["reason"] == reason


def test_a_repaired_object_under_the_same_key_is_loaded(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    loader.load(land(moto_lake, b"broken"), 1)
    loader.load(land(moto_lake, parquet(klines(0, 1))), 1)
    assert counts(warehouse) == (2, 2, 2)
    assert [row[3] for row in ledger(warehouse)] == ["quarantined", "loaded"]


def test_a_null_that_the_engine_refuses_puts_the_object_into_quarantine(
    loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse
) -> None:
    table = klines(0, 1)
    nulls = pa.array([3, None], pa.int64())
    created = land(moto_lake, parquet(table.set_column(table.schema.names.index("trade_count"), "trade_count", nulls)))
    loader.load(created, 1)
    assert counts(warehouse) == (0, 0, 0)
    assert errors(warehouse) == [("null_value", "quarantined", 1)]


def test_an_object_that_is_gone_is_dropped_and_noted(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    loader.load(ObjectCreated(moto_lake.store.bucket, KEY, "abc"), 4)
    assert errors(warehouse) == [("object_missing", "dropped", 4)]
    assert ledger(warehouse) == []


@pytest.mark.parametrize(
    "key", ["elsewhere/x.parquet", "data_sources/unknown/x.parquet", "quarantine/data_sources/klines_pricing/x"]
)
def test_a_key_of_no_dataset_is_dropped_and_noted(key: str, loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    loader.load(land(moto_lake, parquet(klines(0)), key), 1)
    assert (errors(warehouse), counts(warehouse)) == ([("unknown_prefix", "dropped", 1)], (0, 0, 0))


def test_an_object_of_another_bucket_is_dropped_and_noted(loader: ObjectLoader, warehouse: Warehouse) -> None:
    loader.load(ObjectCreated("somebody-elses", KEY, "abc"), 1)
    assert errors(warehouse) == [("unknown_prefix", "dropped", 1)]


def test_a_file_without_rows_is_done_with_no_row(loader: ObjectLoader, moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines()))
    loader.load(created, 1)
    assert (counts(warehouse), ledger(warehouse)) == ((0, 0, 0), [(KEY, created.etag, 0, "loaded", 1)])

"""Every dataset of the catalogue goes through the one loader: values arrive as landed, once, whoever recorded them how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.load_process.conftest import load_objects, parquet

from load_process.objects import LoadRequest, LoadStatus
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

Row = dict[str, Any]

LARGE, SMALL = Decimal("99999999999999999999.123456789012345678"), Decimal("0.000000000000000001")
AT = datetime(2026, 11, 21, 7, 8, 9, 123456, tzinfo=UTC)
EVERY = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)

TYPES_IN_CLICKHOUSE = {
    "string": ("LowCardinality(String)", "String"),
    "decimal128(38, 18)": ("Decimal(38, 18)",),
    "timestamp[us, tz=UTC]": ("DateTime64(6, 'UTC')",),
    "uint64": ("UInt64",),
    "uint32": ("UInt32",),
    "int64": ("Int64", "UInt64", "UInt32"),
    "bool": ("Bool",),
}


def rows_of(dataset: Dataset, *numbers: int) -> list[Row]:
    """Rows of different keys, with values at the limits and, where they may be, nulls."""
    return [{field.name: _value(field, number) for field in dataset.schema} for number in numbers]


def _value(field: pa.Field, number: int) -> Any:
    type_ = field.type
    if field.nullable and number % 2:
        return None
    if pa.types.is_dictionary(type_) or pa.types.is_string(type_):
        return "币安人生USDT" if field.name == "symbol" else "it's\t" + field.name
    if pa.types.is_timestamp(type_):
        return AT + timedelta(minutes=number)
    if pa.types.is_decimal(type_):
        return SMALL if number % 2 else LARGE
    if pa.types.is_boolean(type_):
        return number % 2 == 0
    if pa.types.is_list(type_):
        return [{"price": LARGE, "quantity": SMALL}, {"price": SMALL, "quantity": Decimal(0)}][number % 3 :]
    return 2**31 + number


def body_of(rows: list[Row], dataset: Dataset) -> bytes:
    return parquet(pa.Table.from_pylist(rows, schema=dataset.schema))


def load(lake: Lake, warehouse: Warehouse, dataset: Dataset, rows: list[Row], name: str = "one") -> LoadRequest:
    key = f"{dataset.prefix}venue=binance/{name}.parquet"
    created = LoadRequest(lake.store.bucket, key, lake.store.write(key, body_of(rows, dataset)))
    assert load_objects(lake, warehouse, created) == [LoadStatus.DONE]
    return created


def seen(warehouse: Warehouse, dataset: Dataset) -> list[Row]:
    """What people see in the view, in the shape in which it was landed, by key."""
    names, rows = warehouse.query_table(f"select {', '.join(dataset.schema.names)} from {dataset.name}")
    found = [dict(zip(names, map(_landed, row), strict=True)) for row in rows]
    return sorted(found, key=repr)


def _landed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [dict(zip(("price", "quantity"), level, strict=True)) if isinstance(level, tuple) else level for level in value]
    return value


def bronze_count(warehouse: Warehouse, dataset: Dataset) -> int:
    return int(warehouse.query(f"select count() from {dataset.bronze_table}")[0][0])


@EVERY
def test_bronze_has_the_columns_of_the_catalogue_and_of_its_types(dataset: Dataset, warehouse: Warehouse) -> None:
    described = {row[0]: row[1] for row in warehouse.query(f"describe table {dataset.bronze_table}")}
    assert [name for name in described if name not in ("object_key", "object_etag", "load_time")] == dataset.schema.names
    for field in dataset.schema:
        type_ = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_list(type_):
            assert described[field.name].replace(" ", "").startswith("Array(Tuple("), field.name
            continue
        wanted = TYPES_IN_CLICKHOUSE[str(type_)]
        found = described[field.name]
        is_nullable = "Nullable(" in found
        assert is_nullable is field.nullable, field.name
        assert found in {*wanted, *(f"Nullable({name})" for name in wanted), "LowCardinality(Nullable(String))"}, field.name


@EVERY
def test_every_value_arrives_as_it_was_landed(dataset: Dataset, moto_lake: Lake, warehouse: Warehouse) -> None:
    rows = rows_of(dataset, 0, 1, 2, 3)
    load(moto_lake, warehouse, dataset, rows)
    assert seen(warehouse, dataset) == sorted(rows, key=repr)


@EVERY
def test_delivered_again_it_is_there_once(dataset: Dataset, moto_lake: Lake, warehouse: Warehouse) -> None:
    rows = rows_of(dataset, 0, 1, 2)
    created = load(moto_lake, warehouse, dataset, rows)
    warehouse.command("truncate table ops_loaded_objects")  # as if the loader had died before it wrote that down
    assert load_objects(moto_lake, warehouse, created) == [LoadStatus.DONE]
    assert bronze_count(warehouse, dataset) == 3
    assert seen(warehouse, dataset) == sorted(rows, key=repr)


@EVERY
def test_rows_that_two_objects_hold_are_one_row_each_to_people(dataset: Dataset, moto_lake: Lake, warehouse: Warehouse) -> None:
    """Two instances recorded the same: bronze keeps what both landed, the first receipt is what silver tells."""
    rows = rows_of(dataset, 0, 1, 2)
    later = [row | {"receipt_time": row["receipt_time"] + timedelta(seconds=1)} if "receipt_time" in row else row for row in rows]
    first, second = (rows, later) if dataset.name != "klines" else (later, rows)
    load(moto_lake, warehouse, dataset, second, "instance-b")
    load(moto_lake, warehouse, dataset, first, "instance-a")
    assert bronze_count(warehouse, dataset) == 6
    assert seen(warehouse, dataset) == sorted(rows if dataset.name != "klines" else later, key=repr)


@pytest.mark.parametrize("place", ["price", "quantity"])
def test_a_null_deep_inside_a_level_is_found(place: str) -> None:
    level = pa.struct([pa.field("price", pa.decimal128(38, 18)), pa.field("quantity", pa.decimal128(38, 18))])
    loose = pa.schema(
        [pa.field(field.name, pa.list_(level) if pa.types.is_list(field.type) else field.type) for field in DEPTH_DIFFS.schema]
    )
    (row,) = rows_of(DEPTH_DIFFS, 0)
    row["asks"] = [*row["asks"], {"price": LARGE, "quantity": SMALL} | {place: None}]
    body = parquet(pa.Table.from_pylist([row], schema=loose))
    with pytest.raises(ObjectRefused, match=rf"column asks\.element\.{place} has nulls"):
        read_checked(body, DEPTH_DIFFS)


def test_levels_of_another_shape_are_refused() -> None:
    wrong = pa.list_(pa.struct([pa.field("price", pa.float64()), pa.field("quantity", pa.float64())]))
    schema = pa.schema([field.with_type(wrong) if field.name == "bids" else field for field in DEPTH_DIFFS.schema])
    (row,) = rows_of(DEPTH_DIFFS, 0)
    row["bids"] = [{"price": 1.5, "quantity": 2.5}]
    with pytest.raises(ObjectRefused, match="column bids is list") as caught:
        read_checked(parquet(pa.Table.from_pylist([row], schema=schema)), DEPTH_DIFFS)
    assert caught.value.reason == "wrong_type"

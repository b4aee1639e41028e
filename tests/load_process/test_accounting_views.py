"""The views ops_accounting*: the number of value_checksum computed by the engine, and a verdict on every object."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from tests.load_process.test_every_dataset import EVERY, Row, rows_of

from load_process.ledger import LOADED, QUARANTINED, Ledger, LedgerEntry
from load_process.value_checksum import constant_of, row_without_values, value_checksum
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, KLINES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.warehouse import Warehouse
from transform_process.migrate import statement_that_creates

BUCKET = "crypto"
WIDEST = Decimal("99999999999999999999.999999999999999999")
EXTREMES: dict[str, list[Any]] = {
    "decimal": [WIDEST.copy_negate(), Decimal(0), WIDEST],
    "timestamp": [
        datetime(1999, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 7, 20, 1, 2, 3, 4, UTC),
    ],
    "int64": [-(2**63), -1, 2**63 - 1],
    "uint64": [0, 2**63, 2**64 - 1],
    "uint32": [0, 2**31, 2**32 - 1],
    "bool": [True, False, True],
    "string": ["", "a" * 100, "\x00币\n"],
}


def key_of(dataset: Dataset, name: str = "one") -> str:
    return f"{dataset.prefix}venue=binance/symbol=币安 %20+/{name}.parquet"


def checksum_of(dataset: Dataset, rows: list[Row]) -> int:
    return value_checksum(pa.Table.from_pylist(rows, schema=dataset.schema))


def insert(warehouse: Warehouse, dataset: Dataset, rows: list[Row], *, name: str = "one", token: str = "first") -> None:
    table = pa.Table.from_pylist(rows, schema=dataset.schema)
    landed = table.append_column("object_key", pa.array([key_of(dataset, name)] * len(rows), pa.string()))
    warehouse.insert_arrow(dataset.bronze_table, landed, token=f"{name}+{token}")


def record(
    warehouse: Warehouse,
    dataset: Dataset,
    rows: list[Row],
    *,
    name: str = "one",
    etag: str = "first",
    status: str = LOADED,
    bucket: str = BUCKET,
) -> None:
    """What the loader writes into its ledger when the object holds `rows`."""
    entry = LedgerEntry(bucket, key_of(dataset, name), etag, dataset.name, len(rows), checksum_of(dataset, rows), status, 1)
    Ledger(warehouse).record([entry])


def accounts(warehouse: Warehouse, dataset: Dataset) -> list[Row]:
    names, rows = warehouse.query_table(f"select * from ops_accounting_{dataset.name} order by key")
    return [dict(zip(names, row, strict=True)) for row in rows]


def verdicts(warehouse: Warehouse, dataset: Dataset = TRADES) -> list[str]:
    return [account["verdict"] for account in accounts(warehouse, dataset)]


def extreme_rows(dataset: Dataset) -> list[Row]:
    return [{field.name: _extreme(field.type, number) for field in dataset.schema} for number in range(3)]


def _extreme(type_: pa.DataType, number: int) -> Any:
    if pa.types.is_list(type_):
        prices = EXTREMES["decimal"]
        return [{"price": prices[at], "quantity": prices[-at]} for at in range(number)]
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    return EXTREMES[re.split(r"128|\[", str(plain))[0]][number]


@EVERY
def test_the_engine_computes_the_number_that_python_computes(dataset: Dataset, warehouse: Warehouse) -> None:
    objects = {"extreme": extreme_rows(dataset), "usual": rows_of(dataset, *range(8))}
    for name, rows in objects.items():
        insert(warehouse, dataset, rows, name=name)
        record(warehouse, dataset, rows, name=name)
    found = [(a["key"], a["bronze_rows"], a["distinct_keys"], a["bronze_checksum"]) for a in accounts(warehouse, dataset)]
    assert found == [(key_of(dataset, name), len(r), len(r), checksum_of(dataset, r)) for name, r in objects.items()]
    assert verdicts(warehouse, dataset) == ["ok", "ok"]


@EVERY
def test_one_changed_value_is_found_though_counts_match(dataset: Dataset, warehouse: Warehouse) -> None:
    """In each column in turn: the lake holds one thing, bronze has another."""
    rows, others = rows_of(dataset, 0, 2, 4), rows_of(dataset, 6)
    changed = [name for name in dataset.schema.names if others[0][name] != rows[0][name]]
    assert len(changed) >= 2
    for name in changed:
        insert(warehouse, dataset, [rows[0] | {name: others[0][name]}, *rows[1:]], name=name)
        record(warehouse, dataset, rows, name=name)
    assert verdicts(warehouse, dataset) == ["changed values"] * len(changed)


def test_the_last_digit_of_one_level_is_a_changed_value(warehouse: Warehouse) -> None:
    rows = rows_of(DEPTH_DIFFS, 0, 1, 2)
    level = rows[1]["asks"][0]
    changed = rows[1] | {"asks": [level | {"quantity": level["quantity"] + Decimal("1e-18")}, *rows[1]["asks"][1:]]}
    insert(warehouse, DEPTH_DIFFS, [rows[0], changed, rows[2]])
    record(warehouse, DEPTH_DIFFS, rows)
    assert verdicts(warehouse, DEPTH_DIFFS) == ["changed values"]


def test_an_account_says_all_there_is_to_say(warehouse: Warehouse) -> None:
    rows = rows_of(TRADES, 0, 1, 2)
    insert(warehouse, TRADES, rows)
    record(warehouse, TRADES, rows)
    ((loaded,),) = warehouse.query("select load_time from ops_loaded_objects")
    assert accounts(warehouse, TRADES) == [
        {
            "bucket": BUCKET,
            "key": key_of(TRADES),
            "versions": 1,
            "footer_rows": 3,
            "bronze_rows": 3,
            "distinct_keys": 3,
            "ledger_checksum": checksum_of(TRADES, rows),
            "bronze_checksum": checksum_of(TRADES, rows),
            "load_time": loaded,
            "verdict": "ok",
        }
    ]


def test_a_lost_row_is_missing(warehouse: Warehouse) -> None:
    insert(warehouse, TRADES, rows_of(TRADES, 0, 2))
    record(warehouse, TRADES, rows_of(TRADES, 0, 1, 2))
    assert verdicts(warehouse) == ["missing rows"]


def test_an_object_inserted_twice_is_doubled(warehouse: Warehouse) -> None:
    rows = rows_of(TRADES, 0, 1, 2)
    for token in ("first", "forgotten"):
        insert(warehouse, TRADES, rows, token=token)
    record(warehouse, TRADES, rows)
    assert verdicts(warehouse) == ["doubled rows"]


def test_a_lost_row_made_up_for_by_a_doubled_one_is_found(warehouse: Warehouse) -> None:
    insert(warehouse, TRADES, rows_of(TRADES, 0, 1, 1))
    record(warehouse, TRADES, rows_of(TRADES, 0, 1, 2))
    assert verdicts(warehouse) == ["changed values"]


def test_an_object_that_has_a_key_twice_itself_is_told(warehouse: Warehouse) -> None:
    (row,) = rows_of(TRADES, 0)
    rows = [row, row | {"receipt_time": row["receipt_time"] + timedelta(seconds=1)}]
    insert(warehouse, TRADES, rows)
    record(warehouse, TRADES, rows)
    assert verdicts(warehouse) == ["doubled keys"]


def test_nulls_in_a_key_tell_events_apart_like_values(warehouse: Warehouse) -> None:
    """uniqExact of columns would skip a row with a null; of a tuple it counts it."""
    (row,) = rows_of(STREAM_EVENTS, 1)
    rows = [row, row | {"from_update_id": 0}, row | {"from_update_id": 0, "to_update_id": 0}]
    insert(warehouse, STREAM_EVENTS, rows)
    record(warehouse, STREAM_EVENTS, rows)
    insert(warehouse, STREAM_EVENTS, [row, row | {"cause": "no part of the key"}], name="two")
    record(warehouse, STREAM_EVENTS, [row, row | {"cause": "no part of the key"}], name="two")
    found = [(account["distinct_keys"], account["verdict"]) for account in accounts(warehouse, STREAM_EVENTS)]
    assert found == [(3, "ok"), (1, "doubled keys")]


def test_an_object_whose_rows_were_dropped_is_gone(warehouse: Warehouse) -> None:
    rows = rows_of(TRADES, 0, 1)
    insert(warehouse, TRADES, rows)
    record(warehouse, TRADES, rows)
    warehouse.command("truncate table bronze_trades")
    assert verdicts(warehouse) == ["gone from bronze"]


@pytest.mark.parametrize("status", [None, QUARANTINED])
def test_rows_of_an_object_that_was_not_loaded_are_not_in_the_ledger(status: str | None, warehouse: Warehouse) -> None:
    rows = rows_of(TRADES, 0, 1)
    insert(warehouse, TRADES, rows)
    if status:
        record(warehouse, TRADES, rows, status=status)
    (account,) = accounts(warehouse, TRADES)
    ((inserted,),) = warehouse.query("select max(load_time) from bronze_trades")
    assert [account[name] for name in ("bucket", "versions", "bronze_rows", "load_time")] == ["", 0, 2, inserted]
    assert account["verdict"] == "not in ledger"


def test_a_quarantined_object_is_no_account(warehouse: Warehouse) -> None:
    record(warehouse, TRADES, [], status=QUARANTINED)
    assert accounts(warehouse, TRADES) == []


def test_an_object_without_rows_is_in_order(warehouse: Warehouse) -> None:
    record(warehouse, TRADES, [])
    assert verdicts(warehouse) == ["ok"]


def test_versions_of_an_object_add_up(warehouse: Warehouse) -> None:
    """Repaired under its key: bronze keeps the rows of both etags, and the same keys twice are no fault."""
    versions = {"first": rows_of(KLINES, 0, 1, 2), "second": rows_of(KLINES, 0, 1, 2, 3)}
    for etag, rows in versions.items():
        insert(warehouse, KLINES, rows, token=etag)
        record(warehouse, KLINES, rows, etag=etag)
    (account,) = accounts(warehouse, KLINES)
    found = [account[name] for name in ("versions", "footer_rows", "bronze_rows", "distinct_keys", "verdict")]
    assert found == [2, 7, 7, 4, "ok"]


def test_a_ledger_row_written_twice_is_one_version(warehouse: Warehouse) -> None:
    rows = rows_of(TRADES, 0, 1)
    insert(warehouse, TRADES, rows)
    for _ in range(2):
        record(warehouse, TRADES, rows)
    assert [account["versions"] for account in accounts(warehouse, TRADES)] == [1]
    assert verdicts(warehouse) == ["ok"]


def test_a_key_loaded_from_two_buckets_is_one_account(warehouse: Warehouse) -> None:
    """Bronze keeps the key alone: apart, either bucket would look doubled."""
    for bucket, numbers in (("old", [0, 1]), ("new", [2])):
        insert(warehouse, TRADES, rows_of(TRADES, *numbers), token=bucket)
        record(warehouse, TRADES, rows_of(TRADES, *numbers), bucket=bucket)
    assert [(account["bucket"], account["verdict"]) for account in accounts(warehouse, TRADES)] == [("new, old", "ok")]


def test_a_finding_does_not_touch_its_neighbours(warehouse: Warehouse) -> None:
    for name in ("a", "b", "c"):
        insert(warehouse, TRADES, rows_of(TRADES, 0, 1) if name == "b" else rows_of(TRADES, 0, 1, 2), name=name)
        record(warehouse, TRADES, rows_of(TRADES, 0, 1, 2), name=name)
    assert verdicts(warehouse) == ["ok", "missing rows", "ok"]


def test_one_view_shows_every_dataset(warehouse: Warehouse) -> None:
    for dataset in DATASETS:
        insert(warehouse, dataset, rows_of(dataset, 0, 1))
        record(warehouse, dataset, rows_of(dataset, 0, 1))
    record(warehouse, TRADES, rows_of(TRADES, 0), name="two")
    found = warehouse.query("select dataset, key, footer_rows, verdict from ops_accounting")
    expected = [(dataset.name, key_of(dataset), 2, "ok") for dataset in DATASETS]
    assert sorted(map(tuple, found)) == sorted([*expected, ("trades", key_of(TRADES, "two"), 1, "gone from bronze")])


@EVERY
def test_a_view_hashes_every_column_with_the_constant_of_its_name(dataset: Dataset) -> None:
    terms = re.findall(r"^ {12,}(?:\+ )?(\d+) \* \w+\((\w+)\)$", _view_of(dataset), re.MULTILINE)
    (without_values,) = re.findall(r"^ +finalise\(\n +(\d+)$", _view_of(dataset), re.MULTILINE)
    assert int(without_values) == row_without_values(dataset.schema.names)
    assert [(int(factor), name) for factor, name in terms] == [(int(constant_of(name)), name) for name in dataset.schema.names]


def _view_of(dataset: Dataset) -> str:
    return statement_that_creates(f"ops_accounting_{dataset.name}")

"""What is promised of the loader as a whole: exact whatever is delivered how often to how many, and poison harms nobody."""

import io
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from integration_tests.src.load_process.conftest import (
    ClickHouseServer,
    LoaderProcess,
    Row,
    assert_queues_are_empty,
    body_of,
    bronze_counts,
    copies_of_messages,
    klines,
    ledger,
    load_errors,
    month_key,
    send,
    sorted_rows,
    table_rows,
    view_rows,
    with_column,
)

from extract_process.parquet import parquet_bytes
from load_process.__main__ import run_loader
from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions
from load_process.value_checksum import value_checksum
from tickhouse_core.aws import s3_client
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TRADES, Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

AT = datetime(2026, 11, 21, 7, 8, 9, 123456, tzinfo=UTC)
OBJECTS, ROWS = 12, 20
RECORDED = (TRADES, DEPTH_DIFFS, DEPTH_SNAPSHOTS)


def recorded(dataset: Dataset, first: int) -> pa.Table:
    """Rows of a live dataset; every number is a key of its own and in every value."""
    rows = [{field.name: _value(field, first + number) for field in dataset.schema} for number in range(ROWS)]
    return pa.Table.from_pylist(rows, schema=dataset.schema)


def _value(field: pa.Field, number: int) -> Any:
    type_ = field.type
    if pa.types.is_dictionary(type_):
        return {"venue": "binance", "symbol": "币安人生USDT"}.get(field.name, "resync")
    if pa.types.is_timestamp(type_):
        return AT + timedelta(days=7 * (number // ROWS), seconds=number)  # objects of several months
    if pa.types.is_decimal(type_):
        return Decimal(number) + Decimal("0.000000000000000001")
    if pa.types.is_list(type_):
        return [{"price": Decimal(number * 10 + level), "quantity": Decimal(level)} for level in range(number % 4)]
    return number % 2 == 0 if pa.types.is_boolean(type_) else 2**40 + number


def landed(lake: "Lake") -> dict[Dataset, dict[str, pa.Table]]:
    """What each dataset has in the lake, by key."""
    tables: dict[Dataset, dict[str, pa.Table]] = {
        KLINES: {month_key(f"S{number}USDT"): klines(ROWS, symbol=f"S{number}USDT") for number in range(OBJECTS)}
    }
    for dataset in RECORDED:
        keys = [f"{dataset.prefix}venue=binance/date=2026-11-21/hour=07/{number}-a-1.parquet" for number in range(OBJECTS)]
        tables[dataset] = {key: recorded(dataset, number * ROWS) for number, key in enumerate(keys)}
    for dataset, by_key in tables.items():
        for key, table in by_key.items():
            lake.store.write(key, parquet_bytes(table, dataset))
    return tables


def seen(warehouse: Warehouse, dataset: Dataset) -> list[Row]:
    return sorted_rows([{name: _levels(value) for name, value in row.items()} for row in view_rows(warehouse, dataset.name)])


def _levels(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [dict(zip(("price", "quantity"), level, strict=True)) if isinstance(level, tuple) else level for level in value]


def test_everything_three_times_in_any_order_to_two_loaders_at_once_is_exact(
    localstack_lake: "Lake", clickhouse_server: ClickHouseServer, start_loader: Callable[..., LoaderProcess]
) -> None:
    tables = landed(localstack_lake)
    queues = {KLINES.queue: OBJECTS, TRADES.queue: OBJECTS, DEPTH_DIFFS.queue: 2 * OBJECTS}
    for seed, (queue, count) in enumerate(queues.items()):
        bodies = copies_of_messages(SqsQueue(queue), count) * 3
        random.Random(seed).shuffle(bodies)
        send(queue, *bodies)
    datasets = [f"--dataset={dataset.name}" for dataset in tables]

    loaders = [start_loader("--drain", *datasets, f"--batch-rows={rows}") for rows in (30, 90)]

    assert [loader.finish(120) for loader in loaders] == [0, 0], [loader.lines for loader in loaders]
    warehouse = connect(clickhouse_server.settings)
    expected = {key: (table.num_rows, value_checksum(table)) for by_key in tables.values() for key, table in by_key.items()}
    entries = ledger(warehouse)
    assert {entry["key"]: (entry["rows"], entry["checksum"]) for entry in entries} == expected
    assert [entry["status"] for entry in entries] == ["loaded"] * len(expected)
    for dataset, by_key in tables.items():
        assert bronze_counts(warehouse, dataset.bronze_table) == dict.fromkeys(sorted(by_key), ROWS)
        assert warehouse.query(f"select count() from silver_{dataset.name} final") == [(OBJECTS * ROWS,)]
        assert seen(warehouse, dataset) == sorted_rows([row for table in by_key.values() for row in table_rows(table)])
    assert load_errors(warehouse) == []
    warehouse.close()
    assert_queues_are_empty([*queues])


def test_a_window_of_a_thousand_objects_with_long_names_is_one_batch(
    localstack_lake: "Lake", clickhouse_server: ClickHouseServer
) -> None:
    """More than fits into a URL and into a form's field."""
    symbol, body = "币安人生USDT" * 8, body_of(klines(1))
    keys = [month_key(f"{symbol}{number}") for number in range(1_000)]
    bucket = localstack_lake.store.bucket
    with ThreadPoolExecutor(8) as threads:
        etags = list(threads.map(lambda key: localstack_lake.store.write(key, body), keys))
    copies_of_messages(SqsQueue(KLINES.queue), 1_000)
    for start in range(0, 1_000, 50):
        records = [json.loads(notification(bucket, key, etag, 1))["Records"][0] for key, etag in zip(keys, etags, strict=True)]
        send(KLINES.queue, json.dumps({"Records": records[start : start + 50]}))

    limits = LoadLimits(seconds=10, window_messages=1_000, idle_messages=1_000)
    run_loader([KLINES.queue], StopRequest(), LoaderOptions(drain=True, wait_seconds=0, limits=limits))

    warehouse = connect(clickhouse_server.settings)
    assert bronze_counts(warehouse) == dict.fromkeys(sorted(keys), 1)
    assert len(ledger(warehouse)) == 1_000
    ((batches,),) = warehouse.query("select uniqExact(batch) from ops_load_claims")
    assert batches <= 3
    warehouse.close()
    assert_queues_are_empty([KLINES.queue])


def beyond_precision() -> bytes:
    """Decimals that their 16 bytes hold and their 38 digits do not."""
    too_many = (10**38).to_bytes(16, "little", signed=True) * 3
    overflow = pa.Array.from_buffers(pa.decimal128(38, 18), 3, [None, pa.py_buffer(too_many)])
    return _written(with_column(klines(), "close", overflow))


def _written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def corrupt() -> bytes:
    """Sound at both ends."""
    body = bytearray(body_of(klines(500)))
    footer_length = int.from_bytes(body[-8:-4], "little")
    body[4 : len(body) - 8 - footer_length] = bytes(len(body) - 12 - footer_length)
    return bytes(body)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "CORRUPT": (corrupt, "broken_pages"),
    "TRUNCATED": (lambda: body_of(klines(500))[:-1_000], "not_parquet"),
    "EMPTY": (lambda: b"", "not_parquet"),
    "SCHEMA": (lambda: _written(klines().drop_columns(["close"])), "missing_column"),
    "NAN": (lambda: _written(with_column(klines(), "close", pa.array([float("nan")] * 3))), "wrong_type"),
    "OVERFLOW": (beyond_precision, "wrong_value"),
    "HUGE": (lambda: bytes(1_000_001), "too_large"),
}
STRANGE_KEY = month_key("A").replace("symbol=A", "symbol=币安 人生+%3D&é USDT")


def notification(bucket: str, key: str, etag: str, size: int) -> str:
    record = {"bucket": {"name": bucket}, "object": {"key": key, "eTag": etag, "size": size}}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": record}]})


def test_each_bad_object_meets_its_fate_and_its_neighbours_are_loaded_in_the_same_window(
    localstack_lake: "Lake", warehouse: Warehouse
) -> None:
    store, gone, boasting = localstack_lake.store, month_key("GONE"), month_key("BOASTING")
    sound = {month_key(f"S{number}USDT"): klines(symbol=f"S{number}USDT") for number in range(5)}
    sound |= {STRANGE_KEY: klines(symbol="币安 人生+%3D&é USDT"), boasting: klines(symbol="BOASTING")}
    bodies = {month_key(name): make() for name, (make, _) in BAD.items()}
    etags = {key: store.write(key, body) for key, body in sorted({key: body_of(sound[key]) for key in sound}.items())}
    etags |= {key: store.write(key, body) for key, body in bodies.items()}
    store.write(gone, body_of(klines()))
    s3_client().delete_object(Bucket=store.bucket, Key=gone)
    queue = SqsQueue(KLINES.queue)
    messages = copies_of_messages(queue, len(etags) + 1)
    others = [body for body in messages if "BOASTING" not in body]
    assert len(others) == len(messages) - 1
    send(KLINES.queue, *others, notification(store.bucket, boasting, etags[boasting], 2 * 1024**3))

    limits = LoadLimits(object_bytes=1_000_000)
    run_loader([KLINES.queue], StopRequest(), LoaderOptions(drain=True, wait_seconds=0, limits=limits))

    assert bronze_counts(warehouse) == dict.fromkeys(sorted(sound), 3)
    assert view_rows(warehouse) == sorted_rows([row for table in sound.values() for row in table_rows(table)])
    entries = {entry["key"]: (entry["status"], entry["etag"], entry["attempts"]) for entry in ledger(warehouse)}
    assert entries == {key: ("loaded" if key in sound else "quarantined", etags[key], 1) for key in etags}
    reasons = {month_key(name): (reason, "quarantined") for name, (_, reason) in BAD.items()}
    errors = load_errors(warehouse)
    assert len(errors) == len(BAD) + 1
    assert {error["key"]: (error["reason"], error["fate"]) for error in errors} == reasons | {gone: ("object_missing", "dropped")}
    for key, body in bodies.items():
        explained = json.loads(store.read(f"quarantine/{key}.reason.json").body)
        assert (explained["reason"], explained["etag"]) == (reasons[key][0], etags[key])
        if key != month_key("HUGE"):
            assert store.read(f"quarantine/{key}").body == body
    copies = [summary.key for summary in store.list_keys("quarantine/") if not summary.key.endswith(".reason.json")]
    assert copies == sorted(f"quarantine/{key}" for key in bodies if key != month_key("HUGE"))
    ((batches,),) = warehouse.query("select uniqExact(batch) from ops_load_claims")
    assert batches <= 2  # a claim of 2 GB may fill a window, and does no more
    assert_queues_are_empty([KLINES.queue])

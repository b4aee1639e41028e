"""Parquet objects of the dataset klines, and what a loader says about them."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from load_process.batch_insert import BatchInsert, load_window
from load_process.ledger import Ledger
from load_process.limits import LoadLimits
from load_process.object_reader import ObjectReader, Reading
from load_process.objects import LoadRequest, LoadStatus, ObjectVersion
from tickhouse_core.columns import DECIMAL
from tickhouse_core.datasets import KLINES
from tickhouse_core.timestamps import parse_instant
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

START = parse_instant("2024-01-01")
FOLDER = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1h"
KEY = f"{FOLDER}/2024-01.parquet"


def klines(*hours: int, close: str = "1.5", receipt_time: int = 1_704_200_000_000_000) -> pa.Table:
    """Hourly klines of 2024-01-01 in the schema of the dataset."""
    count = len(hours)
    names = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1h", "source": "rest"}
    columns: dict[str, list[object]] = {name: [value] * count for name, value in names.items()}
    columns["open_time"] = [START + hour * 3_600_000_000 for hour in hours]
    columns["close_time"] = [START + (hour + 1) * 3_600_000_000 - 1_000 for hour in hours]
    columns |= {"trade_count": [3] * count, "is_closed": [True] * count, "receipt_time": [receipt_time] * count}
    arrays = []
    for field in KLINES.schema:
        values = columns.get(field.name)
        if values is None:
            values = [close if field.name == "close" else "1.5"] * count
            arrays.append(pa.array(values, pa.string()).cast(field.type))
        else:
            arrays.append(pa.array(values).cast(field.type) if count else pa.array([], field.type))
    return pa.table(arrays, schema=KLINES.schema)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def beyond_precision(count: int) -> pa.Array:
    """Decimals that their 16 bytes hold and their 38 digits do not."""
    numbers = b"".join((10**38 + number).to_bytes(16, "little", signed=True) for number in range(count))
    return pa.Array.from_buffers(DECIMAL, count, [None, pa.py_buffer(numbers)])


def land(lake: Lake, body: bytes, key: str = KEY) -> LoadRequest:
    return LoadRequest(lake.store.bucket, key, lake.store.write(key, body))


def load_objects(lake: Lake, warehouse: Warehouse, *objects: LoadRequest, attempts: int = 1) -> list[LoadStatus]:
    """Reads and inserts as a loader does, without a queue; the status of each."""
    requests = [replace(created, attempts=attempts) for created in objects]
    with ThreadPoolExecutor(2) as threads:
        reader = ObjectReader(lake.store, Ledger(warehouse), LoadLimits(), threads)
        results = load_window(requests, reader, BatchInsert([warehouse], reader, LoadLimits(), 0))
    statuses = {result.request.version: result.status for result in results}
    return [statuses[request.version] for request in requests]


def statuses(reading: Reading) -> dict[ObjectVersion, LoadStatus]:
    """Of the requests that led to no rows, by the version that was requested."""
    return {result.request.version: result.status for result in reading.results}


def requested(reading: Reading) -> dict[ObjectVersion, list[ObjectVersion]]:
    """By the version that was read: the versions that were requested."""
    return {version: [request.version for request in requests] for version, requests in reading.requests.items()}


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


def notification(bucket: str, key: str, etag: str) -> str:
    stored = {"key": key, "eTag": etag}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": stored}}]})

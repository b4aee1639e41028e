"""Parquet objects of the dataset klines, and what a loader says about them."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets import KLINES
from pipeline.timestamps import parse_instant

START = parse_instant("2024-01-01")


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


def notification(bucket: str, key: str, etag: str) -> str:
    stored = {"key": key, "eTag": etag}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": stored}}]})

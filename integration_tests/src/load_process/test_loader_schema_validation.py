"""What may not enter a table is set aside with a reason a person can act on; what only looks different is loaded."""

import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from integration_tests.src.load_process.conftest import (
    assert_queues_are_empty,
    body_of,
    bronze_counts,
    drain,
    klines,
    ledger,
    load_errors,
    month_key,
    table_rows,
    view_rows,
    with_column,
)

from tickhouse_core.datasets import KLINES
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


def written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def cast(name: str, type_: pa.DataType) -> bytes:
    table = klines()
    return written(with_column(table, name, table.column(name).cast(type_, safe=False)))


def finer(name: str) -> bytes:
    """One digit more than the warehouse keeps."""
    digits = pa.array([Decimal("0.0000000000000000001")] * klines().num_rows, pa.decimal128(38, 19))
    return written(with_column(klines(), name, digits))


def shifted(name: str, by_us: int) -> bytes:
    table = klines()
    instants = pc.add(table.column(name).cast(pa.int64()), by_us).cast(table.schema.field(name).type)
    return written(with_column(table, name, instants))


def with_null(name: str) -> bytes:
    table = klines()
    return written(with_column(table, name, pa.array([None, *table.column(name).to_pylist()[1:]], table.schema.field(name).type)))


REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "TEXT": (lambda: b"time,open,close\n1,2,3\n", "not_parquet", "not a Parquet file of 22 bytes"),
    "MISSING": (lambda: written(klines().drop_columns(["close", "volume"])), "missing_column", "close, volume"),
    "UNKNOWN": (lambda: written(klines().append_column("vwap", pa.array([1, 2, 3]))), "unknown_column", "vwap"),
    "TWICE": (lambda: written(klines().append_column("open", klines().column("open"))), "duplicate_column", "open"),
    "FLOAT": (lambda: cast("close", pa.float64()), "wrong_type", "close is double"),
    "FINER": (lambda: finer("low"), "wrong_value", "low is decimal128(38, 19)"),
    "NUMBER": (lambda: cast("open_time", pa.int64()), "wrong_type", "open_time is int64"),
    "NAIVE": (lambda: cast("close_time", pa.timestamp("us")), "wrong_type", "close_time is timestamp[us]"),
    "COUNT": (lambda: cast("trade_count", pa.float64()), "wrong_type", "trade_count is double"),
    "LONGAGO": (lambda: shifted("close_time", -(10**15)), "wrong_value", "close_time has an instant of 7"),
    "NULLPRICE": (lambda: with_null("close"), "null_value", "close"),
    "NULLSYMBOL": (lambda: with_null("symbol"), "null_value", "symbol"),
    "NULLTIME": (lambda: with_null("receipt_time"), "null_value", "receipt_time"),
}


def test_every_kind_of_unfit_object_is_set_aside_and_a_repaired_one_is_loaded(
    localstack_lake: "Lake", warehouse: Warehouse
) -> None:
    store = localstack_lake.store
    neighbours = [f"{name}2" for name in REFUSED]
    bodies = {name: make() for name, (make, _, _) in REFUSED.items()}
    etags = {}
    for name, body in bodies.items():
        etags[name] = store.write(month_key(name), body)
        store.write(month_key(f"{name}2"), body_of(klines(symbol=f"{name}2")))

    drain()

    assert bronze_counts(warehouse) == {month_key(name): 3 for name in sorted(neighbours)}
    errors = {error["key"]: error for error in load_errors(warehouse)}
    entries = {entry["key"]: entry for entry in ledger(warehouse)}
    assert len(load_errors(warehouse)) == len(errors) == len(REFUSED)
    assert len(entries) == len(REFUSED) * 2
    for name, (_, reason, says) in REFUSED.items():
        key = month_key(name)
        error, entry = errors[key], entries[key]
        assert (error["reason"], error["fate"], error["etag"], error["dataset"]) == (reason, "quarantined", etags[name], "klines")
        assert says in error["detail"]
        assert (entry["status"], entry["rows"], entry["attempts"], entry["etag"]) == ("quarantined", 0, 1, etags[name])
        assert store.read(f"quarantine/{key}").body == bodies[name]
        explained = json.loads(store.read(f"quarantine/{key}.reason.json").body)
        assert (explained["reason"], explained["bucket"], explained["key"]) == (reason, store.bucket, key)
        assert (explained["etag"], explained["detail"]) == (etags[name], error["detail"])
        assert "repaired object under the same key" in explained["what_to_do"]
        assert store.read(key).body == bodies[name]  # the original stays
    assert_queues_are_empty()

    for name in REFUSED:
        store.write(month_key(name), body_of(klines(symbol=name)))
    drain()

    assert bronze_counts(warehouse) == {month_key(name): 3 for name in sorted([*REFUSED, *neighbours])}
    assert len(load_errors(warehouse)) == len(REFUSED)
    assert_queues_are_empty()


def test_other_encodings_of_the_same_values_are_accepted(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    def strings(table: pa.Table, type_: pa.DataType) -> pa.Table:
        for name in ("venue", "symbol", "interval", "source"):
            table = with_column(table, name, table.column(name).cast(pa.string()).cast(type_))
        return table

    def other(table: pa.Table, name: str, type_: pa.DataType) -> pa.Table:
        return with_column(table, name, table.column(name).cast(type_))

    tables = {
        "LARGE": strings(klines(symbol="LARGE"), pa.large_string()),
        "PLAIN": strings(klines(symbol="PLAIN"), pa.string()),
        "REVERSED": klines(symbol="REVERSED").select(KLINES.schema.names[::-1]),
        "SMALLKEYS": strings(klines(symbol="SMALLKEYS"), pa.dictionary(pa.int8(), pa.string())),
        "MILLIS": other(klines(symbol="MILLIS"), "open_time", pa.timestamp("ms", "Europe/Berlin")),
        "NANOS": other(klines(symbol="NANOS"), "receipt_time", pa.timestamp("ns", "UTC")),
        "NARROW": other(klines(symbol="NARROW"), "quote_volume", pa.decimal128(24, 18)),
        "SMALL": other(klines(symbol="SMALL"), "trade_count", pa.int16()),
    }
    for symbol, table in tables.items():
        localstack_lake.store.write(month_key(symbol), written(table))
    localstack_lake.store.write(month_key("UNCOMPRESSED"), uncompressed(klines(symbol="UNCOMPRESSED")))

    drain()

    assert load_errors(warehouse) == []
    assert view_rows(warehouse) == [
        row for symbol in sorted([*tables, "UNCOMPRESSED"]) for row in table_rows(klines(symbol=symbol))
    ]
    assert_queues_are_empty()


def uncompressed(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="none", row_group_size=1, data_page_version="2.0")
    return sink.getvalue()

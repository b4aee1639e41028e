"""Files of other tools and broken ones, through reader, engine and ledger: loaded to the last digit, or refused whole."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.load_process.conftest import FOLDER, KEY, START, counts, errors, klines, land, ledger, load_objects, parquet

from load_process.objects import LoadStatus
from tickhouse_core.datasets import KLINES
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "objects"
DIGITS = "63215.123456789012345678"


def by_pandas() -> bytes:
    frame = klines(0, 1, close=DIGITS).to_pandas()
    frame.index = [5, 6]
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


def by_duckdb(folder: Path) -> bytes:
    """Decimals of 18 digits, and no venue, symbol or interval: they are in the key."""
    rows = klines(0, 1, close="63215.12345678")
    source = folder / "rows.parquet"
    pq.write_table(rows, source)
    decimals = [field.name for field in rows.schema if pa.types.is_decimal(field.type)]
    smaller = ", ".join(f"{name}::decimal(18, 8) as {name}" for name in decimals)
    target = folder / "by_duckdb.parquet"
    duckdb.sql(
        f"copy (select * exclude (venue, symbol, interval) replace ({smaller}) from '{source}') to '{target}' (format parquet)"
    )
    return target.read_bytes()


@pytest.mark.parametrize(("tool", "close"), [("pandas", DIGITS), ("duckdb", "63215.12345678")])
def test_a_file_of_another_tool_is_loaded_and_accounted_for_value_by_value(
    tool: str, close: str, moto_lake: Lake, warehouse: Warehouse, tmp_path: Path
) -> None:
    body = by_pandas() if tool == "pandas" else by_duckdb(tmp_path)
    assert load_objects(moto_lake, warehouse, land(moto_lake, body)) == [LoadStatus.DONE]
    assert (
        warehouse.query("select venue, symbol, interval, close from klines order by open_time")
        == [("binance", "BTCUSDT", "1h", Decimal(close))] * 2
    )
    assert warehouse.query("select key, verdict from ops_accounting_klines") == [(KEY, "ok")]


def test_what_is_refused_leaves_nothing_in_bronze_and_its_neighbour_loads(moto_lake: Lake, warehouse: Warehouse) -> None:
    table = klines(0, 1)
    times = pa.array([START * 1_000, START * 1_000], table.schema.field("open_time").type)
    bodies = {
        "nanoseconds": table.set_column(table.schema.names.index("open_time"), "open_time", times),
        "extra": table.append_column("mood", pa.array(["good", "bad"])),
        "long": table.set_column(table.schema.names.index("symbol"), "symbol", pa.array(["A" * 1_000_000] * 2)),
    }
    created = [land(moto_lake, parquet(rows), f"{FOLDER}/{name}.parquet") for name, rows in bodies.items()]
    sound = land(moto_lake, parquet(table))
    assert load_objects(moto_lake, warehouse, *created, sound) == [LoadStatus.DONE] * 4
    assert [row[0] for row in errors(warehouse)] == ["wrong_value", "unknown_column", "wrong_value"]
    assert counts(warehouse) == (2, 2, 2)


COLLECTED = {
    "01_nanoseconds_labelled_microseconds": "wrong_value",
    "02a_open_time_1960": "wrong_value",
    "03a_pandas_decimal21_18": 24,
    "03c_duckdb_decimal18_8": 24,
    "03e_timestamp_ns_utc": 24,
    "04_extra_column": "unknown_column",
    "05_partition_columns_only_in_key": 24,
    "06_pyarrow_slice_keeps_row_count": 4,
    "good_trades": 3,
    "ts_max": "wrong_value",
    "ts_y9999": "wrong_value",
    "rle_1e9": "missing_column",
}


def test_the_files_that_were_collected_have_their_right_results(moto_lake: Lake, warehouse: Warehouse) -> None:
    if not CASES.exists():
        pytest.skip(f"no collected cases: {CASES} is not there")
    for name, right in COLLECTED.items():
        is_klines = name[0].isdecimal()
        folder = f"{KLINES.prefix}venue=binance/symbol={name}/interval=1h" if is_klines else "data_sources/trades/venue=binance"
        created = land(moto_lake, (CASES / f"{name}.parquet").read_bytes(), f"{folder}/2022-02.parquet")
        assert load_objects(moto_lake, warehouse, created) == [LoadStatus.DONE]
        if isinstance(right, int):
            assert ledger(warehouse)[-1][:4] == (created.key, created.etag, right, "loaded"), name
        else:
            assert ledger(warehouse)[-1][2:4] == (0, "quarantined"), name
            assert errors(warehouse)[-1][:2] == (right, "quarantined"), name
    table = "select verdict, count() from ops_accounting_klines group by verdict"
    assert warehouse.query(table) == [("ok", 5)]

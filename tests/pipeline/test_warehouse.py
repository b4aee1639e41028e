import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets import KLINES
from pipeline.errors import WarehouseRefused, WarehouseUnavailable
from pipeline.settings import WarehouseSettings
from pipeline.timestamps import parse_instant
from pipeline.warehouse import SQL_ROOT, Warehouse, connect

SOURCE = Path(__file__).resolve().parents[2] / "src"
OPEN = parse_instant("2024-01-01")


def kline(close: str, *, is_closed: bool = True, receipt_time: int = OPEN + 1, open_time: int = OPEN) -> bytes:
    """A Parquet file with one kline."""
    values: dict[str, object] = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m", "source": "rest"}
    values |= {"open_time": open_time, "close_time": open_time + 59_999_000, "receipt_time": receipt_time}
    values |= {"trade_count": 3, "is_closed": is_closed}
    arrays = [
        pa.array([values[field.name]]).cast(field.type) if field.name in values else pa.array([Decimal(close)]).cast(field.type)
        for field in KLINES.schema
    ]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=KLINES.schema), sink)
    return sink.getvalue()


def insert(warehouse: Warehouse, body: bytes, token: str, key: str = "k") -> None:
    warehouse.insert_parquet("bronze_klines", body, object_key=key, token=token)


def count(warehouse: Warehouse, table: str) -> int:
    return int(warehouse.query(f"select count() from {table}")[0][0])


def test_a_parquet_file_is_in_bronze_and_silver_with_its_key(warehouse: Warehouse) -> None:
    insert(warehouse, kline("12345678901.123456789012345678"), "t", key="a/币.parquet")
    assert warehouse.query("select object_key, close, toUnixTimestamp64Micro(open_time) from bronze_klines") == [
        ("a/币.parquet", Decimal("12345678901.123456789012345678"), OPEN)
    ]
    assert warehouse.query("select object_key, close from silver_klines") == [
        ("a/币.parquet", Decimal("12345678901.123456789012345678"))
    ]


def test_one_token_inserts_once_in_bronze_and_silver(warehouse: Warehouse) -> None:
    for _ in range(3):
        insert(warehouse, kline("1.5"), "key+etag")
    assert (count(warehouse, "bronze_klines"), count(warehouse, "silver_klines")) == (1, 1)


def test_another_token_inserts_again_and_the_view_still_shows_one_row(warehouse: Warehouse) -> None:
    for token in ("one", "two"):
        insert(warehouse, kline("1.5"), token)
    assert (count(warehouse, "bronze_klines"), count(warehouse, "klines")) == (2, 1)


VERSIONS = {
    "open, early": ("1.5", False, OPEN + 1),
    "open, late": ("2.5", False, OPEN + 9),
    "closed, early": ("3.5", True, OPEN + 2),
    "closed, late": ("4.5", True, OPEN + 3),
}


@pytest.mark.parametrize(
    ("landed", "winner"),
    [
        (["open, early", "open, late"], "2.5"),
        (["open, late", "open, early"], "2.5"),
        (["closed, early", "open, late"], "3.5"),
        (["open, late", "closed, early"], "3.5"),
        (["closed, early", "closed, late"], "4.5"),
        (["closed, late", "closed, early"], "4.5"),
        (["open, early", "closed, late", "open, late", "closed, early"], "4.5"),
    ],
)
def test_closed_beats_open_and_among_equals_the_later_receipt_wins(landed: list[str], winner: str, warehouse: Warehouse) -> None:
    for name in landed:
        close, is_closed, receipt_time = VERSIONS[name]
        insert(warehouse, kline(close, is_closed=is_closed, receipt_time=receipt_time), name)
    assert warehouse.query("select toString(close) from klines") == [(winner,)]
    warehouse.command("optimize table silver_klines final")
    assert warehouse.query("select toString(close) from silver_klines") == [(winner,)]


def test_a_file_with_a_column_missing_is_refused_and_nothing_is_inserted(warehouse: Warehouse) -> None:
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(kline("1.5"))).drop_columns(["close"]), sink)
    with pytest.raises(WarehouseRefused):
        insert(warehouse, sink.getvalue(), "t")
    assert count(warehouse, "bronze_klines") == 0


def test_a_table_that_is_not_there_yet_is_passing_trouble_that_says_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseUnavailable, match=r"^table bronze_nothing does not exist yet: run `tickhouse provision"):
        warehouse.insert_parquet("bronze_nothing", kline("1.5"), object_key="k", token="t")


def test_parameters_are_bound_by_the_server(warehouse: Warehouse) -> None:
    hostile = "'; drop table klines -- 币\\"
    assert warehouse.query("select {text:String}", {"text": hostile}) == [(hostile,)]


def test_a_query_can_tell_its_columns(warehouse: Warehouse) -> None:
    assert warehouse.query_table("select 1 as a, 'x' as b") == (("a", "b"), [(1, "x")])


def test_a_wrong_statement_is_refused_in_one_line(warehouse: Warehouse) -> None:
    for wrong in ("select no_such_column from klines", "selct 1", "select * from no_such_table"):
        with pytest.raises(WarehouseRefused, match=r"^ClickHouse: ") as caught:
            warehouse.query(wrong)
        assert "\n" not in str(caught.value)


def test_an_engine_that_answers_is_alive(warehouse: Warehouse) -> None:
    assert warehouse.is_alive()


def test_a_server_that_is_not_there_is_passing_trouble() -> None:
    nobody = WarehouseSettings.model_validate({"host": "127.0.0.1", "port": 9})
    with pytest.raises(WarehouseUnavailable, match=r"^ClickHouse: ") as caught:
        connect(nobody)
    assert "\n" not in str(caught.value)


def test_a_second_process_that_opens_the_folder_gets_one_clear_line(warehouse_settings: WarehouseSettings) -> None:
    program = (
        "from pipeline.lifecycle import run_command\nfrom pipeline.settings import *\nfrom pipeline.warehouse import connect\n"
        "run_command(lambda: connect(read(WarehouseSettings)))"
    )
    holder = connect(warehouse_settings)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=False,
        timeout=60,
    )
    assert holder.is_alive()
    holder.close()
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]  # the engine itself may have written a line of its own before
    assert said.startswith(f"error: CLICKHOUSE_PATH={warehouse_settings.path} cannot be opened: is another process using it?")
    assert "Traceback" not in done.stderr


def test_the_sql_files_are_where_the_processes_look() -> None:
    assert SQL_ROOT.parts[-2:] == ("sql", "clickhouse")
    assert (SQL_ROOT / "schema" / "0001_create_ops_schema_migrations.sql").is_file()

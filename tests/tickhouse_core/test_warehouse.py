import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from tests.waiting import patience

from tickhouse_core.clickhouse_driver import first_line
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import WarehouseRefused, WarehouseUnavailable
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.timestamps import DAY_US, parse_instant
from tickhouse_core.warehouse import Warehouse, connect

SOURCE = Path(__file__).resolve().parents[2] / "src"
OPEN = parse_instant("2024-01-01")
NOBODY = 65_534


def kline(close: str, *, is_closed: bool = True, receipt_time: int = OPEN + 1, open_time: int = OPEN) -> pa.Table:
    """One kline."""
    values: dict[str, object] = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m", "source": "rest"}
    values |= {"open_time": open_time, "close_time": open_time + 59_999_000, "receipt_time": receipt_time}
    values |= {"trade_count": 3, "is_closed": is_closed}
    arrays = [
        pa.array([values[field.name]]).cast(field.type) if field.name in values else pa.array([Decimal(close)]).cast(field.type)
        for field in KLINES.schema
    ]
    return pa.table(arrays, schema=KLINES.schema)


def insert(warehouse: Warehouse, rows: pa.Table, token: str, key: str = "k") -> None:
    keys = pa.array([key] * rows.num_rows).dictionary_encode()
    warehouse.insert_arrow("bronze_klines", rows.append_column("object_key", keys), token=token)


def count(warehouse: Warehouse, table: str) -> int:
    return int(warehouse.query(f"select count() from {table}")[0][0])


def test_rows_are_in_bronze_and_silver_with_their_key(warehouse: Warehouse) -> None:
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


def test_columns_find_their_place_by_name(warehouse: Warehouse) -> None:
    rows = kline("2.5")
    insert(warehouse, rows.select(rows.schema.names[::-1]), "t")
    assert warehouse.query("select venue, toString(close), is_closed from bronze_klines") == [("binance", "2.5", True)]


def test_several_months_are_one_insert(warehouse: Warehouse) -> None:
    """A table has a partition per month; the engine's own limit is a hundred of them in an insert."""
    months = [kline("1.5", open_time=OPEN + number * 31 * DAY_US) for number in range(120)]
    for _ in range(2):
        insert(warehouse, pa.concat_tables(months).unify_dictionaries(), "t")
    assert (count(warehouse, "bronze_klines"), count(warehouse, "silver_klines")) == (120, 120)


def test_a_table_with_a_column_that_bronze_does_not_know_is_refused_and_nothing_is_inserted(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseRefused, match="mood"):
        insert(warehouse, kline("1.5").append_column("mood", pa.array(["good"])), "t")
    assert count(warehouse, "bronze_klines") == 0


def test_a_null_is_refused_and_never_a_default(warehouse: Warehouse) -> None:
    rows = kline("1.5")
    place = rows.schema.names.index("close")
    with pytest.raises(WarehouseRefused):
        insert(warehouse, rows.set_column(place, "close", pa.array([None], KLINES.schema.field("close").type)), "t")
    assert count(warehouse, "bronze_klines") == 0


def test_the_rows_of_one_object_are_taken_out_and_no_others(warehouse: Warehouse) -> None:
    for key in ("a/币's.parquet", "a/币's.parquet2"):
        insert(warehouse, kline("1.5"), key, key=key)
    warehouse.delete_object("bronze_klines", "a/币's.parquet")
    assert warehouse.query("select object_key from bronze_klines") == [("a/币's.parquet2",)]
    assert count(warehouse, "silver_klines") == 2


def test_a_table_that_is_not_there_yet_is_passing_trouble_that_says_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseUnavailable, match=r"^ClickHouse: .*bronze_nothing.* run `tickhouse provision --warehouse`$"):
        warehouse.insert_arrow("bronze_nothing", kline("1.5"), token="t")


def test_parameters_are_bound_by_the_server(warehouse: Warehouse) -> None:
    hostile = "'; drop table klines -- 币\\"
    assert warehouse.query("select {text:String}", {"text": hostile}) == [(hostile,)]


def test_any_number_of_any_keys_can_be_asked_for(warehouse: Warehouse) -> None:
    """Ten times what a server takes in one parameter."""
    hostile = ["'; drop table klines --", "币\\'安 %s %(keys)s {x:String}", "\t\n", ""]
    keys = [f"{'data_sources/klines_pricing/symbol=币安人生USDT/' * 3}{number}" for number in range(10_000)] + hostile
    sql = "select k from (select arrayJoin(%(keys)s) as k) where k in %(keys)s and k != %(other)s"
    found = warehouse.query_by_keys(sql, [*keys, *keys], {"other": keys[0]})
    assert sorted(key for (key,) in found) == sorted(keys[1:])
    assert warehouse.query_by_keys(sql, [], {"other": ""}) == []


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
        "from tickhouse_core.lifecycle import run_command\n"
        "from tickhouse_core.settings import *\n"
        "from tickhouse_core.warehouse import connect\n"
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
    assert done.stderr.startswith(f"error: {warehouse_settings.path} is held by `")
    assert done.stderr.endswith(
        f"` (process {os.getpid()}): end it first, or use a ClickHouse server; reading goes on meanwhile\n"
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["", "store", "store/abc/table", "store/abc/table/part", "status"])
def test_an_engine_s_folder_that_cannot_be_written_is_one_line_that_says_what_to_do(wrong: str) -> None:
    """The engine itself speaks of a lock, or of files that it names by numbers. Nobody is refused as root: it becomes another."""
    is_root = os.geteuid() == 0
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from tickhouse_core.embedded_engine import open_engine\n"
        "from tickhouse_core.lifecycle import run_command\n"
        f"os.setuid({NOBODY if is_root else os.getuid()})\n"
        "run_command(lambda: open_engine(Path(os.environ['FOLDER']), 'default', None))"
    )
    with TemporaryDirectory() as outer:  # pytest's own is shut to others
        Path(outer).chmod(0o755)
        folder, entry = Path(outer, "warehouse"), Path(outer, "warehouse", wrong)
        (folder / "store" / "abc" / "table" / "part").mkdir(parents=True)
        (folder / "status").touch()
        for place in [folder, *folder.rglob("*")]:
            place.chmod(0o777)
        entry.chmod(0o555)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "FOLDER": str(folder)}
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=patience(60)
        )
        entry.chmod(0o755)
    assert ended.returncode == 2, ended.stderr
    if is_root:
        says = (
            f"{entry} belongs to user 0, this process runs as user {NOBODY} and cannot write there: chown -R {NOBODY} {folder}, "
        )
    else:
        says = f"{entry} cannot be written: check its rights and how its disk is mounted"
    assert ended.stderr.startswith(f"error: {says}")
    assert len(ended.stderr.splitlines()) == 1


def test_the_process_that_has_the_engine_s_folder_open_may_open_it_again(warehouse_settings: WarehouseSettings) -> None:
    with closing(connect(warehouse_settings)) as first, closing(connect(warehouse_settings)) as second:
        assert first.is_alive()
        assert second.is_alive()


@pytest.mark.parametrize("code", [74, 75, 76, 243, 573])
def test_a_machine_without_room_or_open_files_is_trouble_that_passes(warehouse: Warehouse, code: int) -> None:
    """Refused for good, it would spend the deliveries of every object that is loaded meanwhile."""
    with pytest.raises(WarehouseUnavailable):
        warehouse.query(f"select throwIf(1, 'no', toInt16({code})) settings allow_custom_error_code_in_throwif = 1")


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = WarehouseSettings(host="127.0.0.1", port=silent.getsockname()[1], path=None)
        began = time.monotonic()
        with pytest.raises(WarehouseUnavailable, match=r"^ClickHouse: .*[Tt]imed? ?out"):
            connect(settings, first_answer_seconds=1)
    assert time.monotonic() - began < patience(10)


@pytest.mark.slow
@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_whose_answer_drips_is_away(begins: bytes) -> None:
    """A byte every 0.2 s, in the header or in the body: no single wait is long."""
    ended = threading.Event()
    latest = time.monotonic() + patience(30)

    def drip(server: socket.socket) -> None:
        with suppress(OSError), server.accept()[0] as link:
            link.sendall(begins)
            while time.monotonic() < latest and not ended.wait(0.2):
                link.sendall(b"1")

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        for _ in range(4):
            threads.submit(drip, server)
        began = time.monotonic()
        try:
            with pytest.raises(WarehouseUnavailable, match=r"^ClickHouse: .*([Tt]imed? ?out|not end in time)"):
                connect(WarehouseSettings(host="127.0.0.1", port=server.getsockname()[1], path=None), first_answer_seconds=1)
            assert time.monotonic() - began < patience(10)
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)


LINES = {
    "a soft limit, which is ours to raise": ("ulimit -Sn 64", 0, "2"),
    "a hard limit": ("ulimit -n 64", 2, "error: this process may open 64 files, "),
    "no temporary files": ("export TMPDIR=/proc", 2, "error: the embedded engine does not start: can it write to TMPDIR? "),
}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "code", "says"), LINES.values(), ids=LINES)
def test_a_machine_on_which_the_engine_cannot_work_is_one_line(tmp_path: Path, first: str, code: int, says: str) -> None:
    """Else it fails while it starts, or in the middle of something, in its own many words."""
    command = f'{first}; exec "$0" -m tickhouse query --write "select 1 + 1"'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "CLICKHOUSE_PATH": str(tmp_path)}
    environment["CLICKHOUSE_DATABASE"] = "default"  # it is there from the start
    (tmp_path / "metadata").mkdir()  # a command that reads opens only what was an engine's folder before
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable], env=environment, capture_output=True, text=True, timeout=patience(60)
    )
    assert ended.returncode == code, ended.stderr
    assert (ended.stderr if code else ended.stdout.splitlines()[-1]).startswith(says)
    assert len(ended.stderr.splitlines()) == (1 if code else 0)


@pytest.mark.parametrize(
    ("said", "once"),
    [
        (
            "Received ClickHouse exception, code: 62, server response: Code: 62. DB::Exception: Syntax error: failed (selct): "
            "selct 1. (SYNTAX_ERROR) (version 26.9.2.1) (for url http://127.0.0.1:8123)\nmore",
            "Code: 62. DB::Exception: Syntax error: failed (selct): selct 1. (SYNTAX_ERROR)",
        ),
        (
            "Code: 164. DB::Exception: Code: 164. DB::Exception: Cannot modify 'a'. (READONLY) (version 26.9.2.1). (READONLY)",
            "Code: 164. DB::Exception: Cannot modify 'a'. (READONLY)",
        ),
        ("Code: 164. DB::Exception: default: Cannot execute. (READONLY)", "Code: 164. DB::Exception: Cannot execute. (READONLY)"),
        ("Code: 1. DB::Exception: a: Code: 2. DB::Exception: b", "Code: 1. DB::Exception: a: Code: 2. DB::Exception: b"),
        ("no such host", "no such host"),
    ],
)
def test_an_error_of_the_engine_is_said_once_and_in_one_line(said: str, once: str) -> None:
    assert first_line(Exception(said)) == once


def test_a_row_that_comes_again_is_not_left_out_where_a_table_compares_rows(warehouse: Warehouse) -> None:
    """As all tables do that replicate (ClickHouse: replicated_deduplication_window)."""
    compares = "settings non_replicated_deduplication_window = 100"
    warehouse.command(f"create table said (word String) engine = MergeTree order by () {compares}")
    for word in ("yes", "no", "yes"):
        warehouse.insert_rows("said", [{"word": word}])
    assert warehouse.query("select word, count() from said group by word order by word") == [("no", 1), ("yes", 2)]

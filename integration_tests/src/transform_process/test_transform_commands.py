"""The transformer and the checks as processes: on the embedded engine and over HTTP, stopped, killed, and asked wrongly."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.commands import ChildProcess, run_here
from tests.waiting import patience, wait_until

from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import KLINES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import VIEWS, migrate
from transform_process.transformer import Transformer, TransformOptions

from ..load_process.conftest import ROOT, clickhouse_server, klines

if TYPE_CHECKING:
    from ..load_process.conftest import ClickHouseServer

__all__ = ["clickhouse_server"]

GOLD = (
    "select * from gold_ohlcv_1m order by open_time",
    "select * from gold_ohlcv_1d order by open_time",
    "select * from gold_indicators_1m order by open_time",
)


def command(*arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    program = [sys.executable, "-m", *arguments]
    return ChildProcess(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", seconds: float = 120) -> tuple[int, str, str]:
    with process:
        output, errors = process.communicate(timeout=patience(seconds))
    return process.returncode, output, errors


def run(*arguments: str) -> tuple[int, str, str]:
    return finish(command(*arguments))


def up_to_line(stream: "IO[str]", text: str) -> str:
    """What is said up to the first line with `text`."""
    said = ""
    for line in stream:
        said += line
        if text in line:
            return said
    raise AssertionError(f"ended without saying {text!r}:\n{said}")


def kill_after_a_window(seconds: float) -> int:
    """Begins a rebuild and kills it so long after its first window was done, in the middle of the next; the exit code."""
    process = command("transform_process", "--once", "--lag-seconds", "0", "--rebuild")
    assert process.stderr is not None
    up_to_line(process.stderr, "window done")
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    return finish(process)[0]


def land(warehouse: Warehouse, count: int, first_minute: int = 0) -> None:
    table = klines(count, first_minute=first_minute)
    rows = table.append_column("object_key", pa.array(["k"] * count, pa.string()))
    warehouse.insert_arrow("bronze_klines", rows, token=f"{first_minute}+{count}")


def has_minutes(warehouse: Warehouse, count: int) -> bool:
    return bool(warehouse.query("select count() from gold_ohlcv_1m") == [(count,)])


def one_pass(warehouse: Warehouse) -> None:
    Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0)).run_pass()


def gold(warehouse: Warehouse) -> list[list[Any]]:
    return [list(warehouse.query(sql)) for sql in GOLD]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Warehouse]:
    """An embedded warehouse that processes open one after the other."""
    monkeypatch.setenv("CLICKHOUSE_PATH", str(tmp_path / "warehouse"))
    return lambda: connect(read(WarehouseSettings))


def ask(sql: str) -> str:
    code, output, errors = run("tickhouse.cli", "query", sql)
    assert code == 0, errors
    return output.partition("\n")[2].strip()


def test_one_pass_and_checks_on_a_server(clickhouse_server: "ClickHouseServer") -> None:
    warehouse = connect(clickhouse_server.settings)
    land(warehouse, 300)
    code, _, errors = run("transform_process", "--once", "--lag-seconds", "0")
    assert code == 0, errors
    assert warehouse.query("select count(), min(is_complete) from gold_ohlcv_1m") == [(300, True)]
    assert warehouse.query("select count() from gold_indicators_1m where sma_200 is not null") == [(101,)]
    assert "built=0" in run("transform_process", "--once", "--lag-seconds", "0")[2]
    period = ("--since", "2024-01-01", "--until", "2024-01-02")
    code, output, errors = run("transform_process.checks", *period, "--check", "kline_gaps", "--check", "duplicates")
    assert code == 0, errors
    assert output.count("passed") == 2
    land(warehouse, 1, first_minute=310)
    code, output, errors = run("tickhouse.cli", "checks", *period)
    assert code == 1
    assert re.search(r"kline_gaps +│ error +│ failed +│ 1 .* open times 2024-01-01 05:00:00", output)
    assert errors.strip().splitlines()[-1].startswith("error: data quality: kline_gaps")
    assert warehouse.query("select uniqExact(run_time) from ops_check_results") == [(2,)]
    warehouse.close()


def test_the_loop_keeps_gold_fresh_and_ends_on_sigterm(clickhouse_server: "ClickHouseServer") -> None:
    warehouse = connect(clickhouse_server.settings)
    process = command("transform_process", "--every-seconds", "0.2", "--lag-seconds", "0")
    try:
        for count in (10, 20):
            land(warehouse, count)
            wait_until(partial(has_minutes, warehouse, count), f"{count} minutes", 60)
        process.send_signal(signal.SIGTERM)
        assert finish(process, 30)[0] == 0
    finally:
        process.kill()
    warehouse.close()


def test_the_loop_waits_for_a_server_that_is_away(clickhouse_server: "ClickHouseServer") -> None:
    process = command("tickhouse.cli", "transform", "--every-seconds", "0.2", "--lag-seconds", "0")
    try:
        warehouse = connect(clickhouse_server.settings)
        land(warehouse, 10)
        wait_until(partial(has_minutes, warehouse, 10), "10 minutes", 60)
        warehouse.close()
        clickhouse_server.kill()
        assert process.stderr is not None
        errors = up_to_line(process.stderr, "the warehouse is unavailable")
        clickhouse_server.start()
        warehouse = connect(clickhouse_server.settings)
        land(warehouse, 20)
        wait_until(partial(has_minutes, warehouse, 20), "20 minutes", 60)
        warehouse.close()
        process.send_signal(signal.SIGTERM)
        code, _, rest = finish(process, 30)
        errors += rest
        assert code == 0, errors
        assert errors.count("the warehouse is unavailable") == errors.count("the warehouse is available again") == 1
    finally:
        process.kill()


@pytest.mark.heart
@pytest.mark.parametrize(
    ("days", "pauses"), [(5, (0.0, 0.3)), pytest.param(28, (0.0, 0.3, 0.7), id="full size", marks=pytest.mark.long)]
)
def test_a_killed_pass_is_done_again_and_gold_is_what_a_rebuild_makes(
    own_folder: Callable[[], Warehouse], days: int, pauses: tuple[float, ...]
) -> None:
    minutes = days * 1_440
    migrate(read(WarehouseSettings))
    warehouse = own_folder()
    land(warehouse, minutes)
    warehouse.close()
    killed = [kill_after_a_window(pause) for pause in pauses]
    assert -signal.SIGKILL in killed, killed
    assert run("transform_process", "--once", "--lag-seconds", "0")[0] == 0
    warehouse = own_folder()
    after_kills = gold(warehouse)
    assert [len(found) for found in after_kills] == [minutes, days, minutes]
    warehouse.close()
    assert run("transform_process", "--once", "--lag-seconds", "0", "--rebuild")[0] == 0
    warehouse = own_folder()
    assert gold(warehouse) == after_kills
    warehouse.close()


def test_one_pass_takes_what_was_loaded_a_moment_ago(own_folder: Callable[[], Warehouse]) -> None:
    """Nobody else writes into an embedded warehouse, so nothing has to wait for the lag."""
    assert run("transform_process.migrate")[0] == 0
    warehouse = own_folder()
    land(warehouse, 10)
    warehouse.close()
    code, _, errors = run("transform_process", "--once")
    assert code == 0, errors
    warehouse = own_folder()
    assert has_minutes(warehouse, 10)
    warehouse.close()


def test_an_insert_under_way_holds_the_watermark(clickhouse_server: "ClickHouseServer") -> None:
    """A slow insert has its load_time from its beginning: a pass beside it must not go past it."""
    warehouse = connect(clickhouse_server.settings)
    land(warehouse, 5, first_minute=100)
    warehouse.command("create table sleeps (slept UInt8) engine = Null")
    for number in range(3):
        view = f"create materialized view sleeps_{number} to sleeps as select sleepEachRow(0.2) as slept from bronze_klines"
        warehouse.command(view)
    program = (
        "from tickhouse_core.settings import *; from tickhouse_core.warehouse import connect; import sys; import pyarrow as pa; "
        "import pyarrow.parquet as pq\n"
        "rows = pq.read_table(pa.BufferReader(sys.stdin.buffer.read()))\n"
        "rows = rows.append_column('object_key', pa.array(['k'] * len(rows)))\n"
        "connect(read(WarehouseSettings)).insert_arrow('bronze_klines', rows, token='slow')"
    )
    body = parquet_bytes(klines(14), KLINES)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with ChildProcess[bytes]([sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE) as inserting:
        assert inserting.stdin is not None
        inserting.stdin.write(body)
        inserting.stdin.close()
        running = "select count() from system.processes where query_kind = 'Insert'"
        wait_until(lambda: warehouse.query(running) == [(1,)], "the running transform")
        one_pass(warehouse)
        assert warehouse.query(running) == [(1,)], "the pass was to run beside the insert"
        assert inserting.wait(30) == 0
    one_pass(warehouse)
    assert warehouse.query("select count() from gold_ohlcv_1m") == [(19,)]
    warehouse.close()


@pytest.mark.heart
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("transform_process.checks", "--check", "nothing"), "unknown check 'nothing': choose from latency, "),
        (("transform_process.checks", "--since", "yesterday"), "--since 'yesterday' is no instant"),
        (("transform_process.checks", "--since", "2024-01-02", "--until", "2024-01-01"), "--since is not before --until"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: tuple[str, ...], line: str, own_folder: Callable[[], Warehouse]) -> None:
    ended = run_here(*arguments)
    errors = ended.stderr
    assert ended.returncode == 2
    assert [text for text in errors.splitlines() if text.startswith("error: ")] == [errors.strip().splitlines()[-1]]
    assert line in errors


@pytest.mark.heart
def test_a_warehouse_without_a_schema_is_one_clear_line(own_folder: Callable[[], Warehouse]) -> None:
    code, _, errors = run("transform_process", "--once")
    assert code == 2
    assert "there is no warehouse in this folder: `tickhouse migrate` makes one" in errors
    assert "Traceback" not in errors


def test_the_schema_can_be_applied_to_a_server_twice_and_by_several_processes(clickhouse_server: "ClickHouseServer") -> None:
    """As if the views had changed: each replaces them all."""
    assert migrate(clickhouse_server.settings) == 0
    with closing(connect(clickhouse_server.settings)) as warehouse:
        made = "select name, create_table_query from system.tables where database = currentDatabase() order by name"
        before = warehouse.query(made)
        warehouse.command("create or replace view gold_ohlcv_1m as select 1 as of_before")
        warehouse.insert_rows("ops_schema_migrations", [{"version": 0, "name": VIEWS, "checksum": "of before"}])
        with ThreadPoolExecutor(4) as pool:
            assert 1 in pool.map(lambda _: migrate(clickhouse_server.settings), range(4))
        assert warehouse.query(made) == before
    assert migrate(clickhouse_server.settings) == 0

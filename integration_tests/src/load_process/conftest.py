"""What the loader's tests share: objects to land, the real loader to run over them, and the warehouse's side of the story."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.commands import run_python
from tests.waiting import patience, wait_until

from extract_process.parquet import parquet_bytes
from extract_process.venues.binance.klines import klines_table
from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import KLINES, QUEUES
from tickhouse_core.lake_keys import klines_month_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import MessageQueue, SqsQueue
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.timestamps import MINUTE_US
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = ROOT.parent / "shared" / "offline" / "images" / "clickhouse" / "chdb_http.py"
"""ClickHouse's HTTP interface over the embedded engine: beside the checkout where it is present."""

FIRST_US = 1_704_067_200_000_000  # 2024-01-01
RECEIVED_US = 1_767_225_600_123_456  # 2026-01-01T00:00:00.123456
LARGEST = "100000000000.000000000000000001"  # 1e11, as real quantities are, and all 18 decimals
SMALLEST = "0.000000000000000001"


def klines(
    count: int = 3,
    *,
    symbol: str = "BTCUSDT",
    first_minute: int = 0,
    close: str = "42000.5",
    closed: bool = True,
    receipt_time: int = RECEIVED_US,
) -> pa.Table:
    """One-minute klines as the backfiller makes them, at the limits of what decimals hold."""
    opened = [FIRST_US + (first_minute + number) * MINUTE_US for number in range(count)]
    columns: dict[str, Any] = {
        "open_time": opened,
        "close_time": [time_us + MINUTE_US - 1_000 for time_us in opened],
        "open": ["42000"] * count,
        "high": [LARGEST] * count,
        "low": [SMALLEST] * count,
        "close": [close] * count,
        "volume": [LARGEST] * count,
        "quote_volume": ["12345.678901234567890123"] * count,
        "trade_count": list(range(count)),
        "taker_buy_volume": ["0"] * count,
        "taker_buy_quote_volume": ["0.1"] * count,
    }
    table = klines_table(columns, symbol=symbol, interval="1m", source="rest", receipt_time=receipt_time)
    return table if closed else with_column(table, "is_closed", pa.repeat(pa.scalar(False), count))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The table with one column exchanged; its type may be another one."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, pa.field(name, values.type, nullable=values.null_count > 0), values)


MANY_WINDOWS = ("--window-mb", "1")
LARGE_ENOUGH = 3_000
"""Rows of an object, with which a hundred objects are several windows of that size."""


def month_key(symbol: str = "BTCUSDT", month: str = "2024-01") -> str:
    return klines_month_key("binance", symbol, "1m", month)


def body_of(table: pa.Table) -> bytes:
    """The object the lake writer makes of klines."""
    return parquet_bytes(table, KLINES)


def drain(visibility_seconds: int = 30, queues: Sequence[str] = QUEUES, stop: StopRequest | None = None) -> None:
    """What `python -m load_process --drain` does, in this process: only one process may hold the embedded engine's folder."""
    options = LoaderOptions(
        drain=True, wait_seconds=0, visibility_seconds=visibility_seconds, patience_seconds=visibility_seconds
    )
    run_loader(queues, stop or StopRequest(), options)


@contextlib.contextmanager
def in_background(work: Callable[[], None]) -> Iterator["Future[None]"]:
    """Runs `work` beside the test, and raises here what it raised."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(work)
        yield future
    future.result()


def table_rows(table: pa.Table) -> list[Row]:
    return sorted_rows(table.to_pylist())


def select(warehouse: Warehouse, sql: str) -> list[Row]:
    """Rows by column name; instants are UTC, as ClickHouse says them without a zone."""
    names, rows = warehouse.query_table(sql)
    return [dict(zip(names, map(_aware, row), strict=True)) for row in rows]


def view_rows(warehouse: Warehouse, view: str = "klines") -> list[Row]:
    return sorted_rows(select(warehouse, f"select * from {view}"))


def sorted_rows(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def ledger(warehouse: Warehouse) -> list[Row]:
    return select(warehouse, "select * except load_time from ops_loaded_objects final order by key, etag")


def load_errors(warehouse: Warehouse) -> list[Row]:
    return select(warehouse, "select * except time from ops_load_errors order by key, reason, detail")


def bronze_counts(warehouse: Warehouse, table: str = "bronze_klines") -> dict[str, int]:
    """Rows by object key, every version of the object counted."""
    counts = warehouse.query(f"select object_key, count() from {table} group by object_key order by object_key")
    return {str(key): int(count) for key, count in counts}


def copies_of_messages(queue: MessageQueue, count: int) -> list[str]:
    """The bodies of the first `count` notifications, which are taken off the queue."""
    bodies: list[str] = []

    def has_all() -> bool:
        for message in queue.receive(most=10, wait_seconds=1, visibility_seconds=30):
            queue.delete([message])
            if "Records" in message.body:
                bodies.append(message.body)
        return len(bodies) >= count

    wait_until(has_all)
    assert len(bodies) == count
    return bodies


def send(queue_name: str, *bodies: str) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=queue_name)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)


def assert_queues_are_empty(queues: Sequence[str] = QUEUES) -> None:
    """Nothing waits, nothing is in flight, nothing was given up."""
    depths = {name: SqsQueue(name).depth() for queue in queues for name in (queue, f"{queue}-dlq")}
    assert all(depth.is_empty for depth in depths.values()), depths


def slow_down(warehouse: Warehouse, seconds_a_row: float) -> None:
    """Makes every insert of klines take its time, as a busy server would: a view that sleeps."""
    for statement in slowing_statements(seconds_a_row):
        warehouse.command(statement)


def slowing_statements(seconds_a_row: float) -> tuple[str, str]:
    return (
        "create table sleeps (slept UInt8) engine = Null",
        f"create materialized view sleeps_mv to sleeps as select sleepEachRow({seconds_a_row}) as slept from bronze_klines",
    )


@dataclass
class LoaderProcess:
    """`python -m load_process` as a process of its own, with its log line by line."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def wait_for_line(self, text: str) -> None:
        """Reads the log up to the first line with `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"ended without saying {text!r}:\n{''.join(self.lines)}")

    def finish(self, seconds: float = 60) -> int:
        """The exit code; the rest of the log is in `lines`."""
        with self.process:
            output, errors = self.process.communicate(timeout=patience(seconds))
        assert output == ""
        self.lines += errors.splitlines(keepends=True)
        return self.process.returncode

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def objects_loaded(self) -> int:
        """What its log says it loaded, batch by batch."""
        return sum(int(found[1]) for line in self.lines if (found := re.search(r" loaded .*\bobjects=(\d+)", line)))


@pytest.fixture
def start_loader() -> Iterator[Callable[..., LoaderProcess]]:
    """Starts the command with the test's environment; what still runs at the end is killed."""
    with contextlib.ExitStack() as started:

        def start(*arguments: str, **environment: str) -> LoaderProcess:
            process = subprocess.Popen(
                [sys.executable, "-m", "load_process", *arguments],
                env=_process_environment() | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.callback(_end, process)
            return LoaderProcess(process)

        yield start


class OwnWarehouse:
    """The embedded warehouse the environment points at, in a folder that processes open one after the other."""

    def run(self, *statements: str) -> list[list[list[Any]]]:
        """Runs statements in a process that ends; the rows of each, Decimals and instants as text."""
        program = (
            "import json, sys; from tickhouse_core.settings import *; from tickhouse_core.warehouse import connect\n"
            "from transform_process.migrate import migrate\n"
            "migrate(read(WarehouseSettings)); warehouse = connect(read(WarehouseSettings))\n"
            "print(json.dumps([[list(row) for row in warehouse.query(sql)] for sql in sys.argv[1:]], default=str))"
        )
        answer: list[list[list[Any]]] = json.loads(run_python("-c", program, *statements).stdout)
        return answer


@pytest.fixture(scope="session")
def _migrated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse's folder with the schema that no process has open."""
    folder = tmp_path_factory.mktemp("migrated") / "warehouse"
    run_python("-m", "transform_process.migrate", environment={"CLICKHOUSE_PATH": str(folder)})
    return folder


@pytest.fixture
def own_warehouse(_migrated_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnWarehouse:
    """A folder with the schema; the environment points at it."""
    shutil.copytree(_migrated_folder, tmp_path / "warehouse", symlinks=True)
    monkeypatch.setenv("CLICKHOUSE_PATH", str(tmp_path / "warehouse"))
    return OwnWarehouse()


@dataclass
class ClickHouseServer:
    """A server process on loopback that can go away and come back with its data."""

    settings: WarehouseSettings
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                STAND_IN,
                "--host=127.0.0.1",
                f"--port={self.settings.port}",
                f"--data={self.folder}",
                "--init=none",
            ],
            env=os.environ | {"CLICKHOUSE_PASSWORD": self.settings.password},
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._is_alive)

    def stop(self) -> None:
        """As Docker does: asked, and killed where it goes on serving the connections it has."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
            self.kill()

    def kill(self) -> None:
        """It serves nobody any longer, on whichever connection."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _is_alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), contextlib.closing(_dial(self.settings.port)):
            return True
        return False


@pytest.fixture
def clickhouse_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouseServer]:
    """ClickHouse behind HTTP with the schema and a password; the environment points at it."""
    if not STAND_IN.exists():
        pytest.skip(f"no ClickHouse server: {STAND_IN} is not there")
    monkeypatch.setenv("CLICKHOUSE_HOST", "127.0.0.1")
    monkeypatch.setenv("CLICKHOUSE_PORT", str(_free_port()))
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
    settings = read(WarehouseSettings)
    folder = tmp_path / "server"
    folder.mkdir()
    server = ClickHouseServer(settings, folder)
    server.start()
    try:
        migrate(settings)
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["embedded", "server"])
def any_warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """The embedded engine, then a server over HTTP: one code path."""
    if request.param == "embedded":
        yield request.getfixturevalue("warehouse")
        return
    server: ClickHouseServer = request.getfixturevalue("clickhouse_server")
    connection = connect(server.settings)
    yield connection
    connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=1)


def _process_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")}


def _end(process: "subprocess.Popen[str]") -> None:
    with process:
        if process.poll() is None:
            process.kill()


def _aware(value: object) -> object:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value

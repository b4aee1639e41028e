"""Acceptance a: whatever kills the loader wherever, the next one leaves every row exactly once, and says so."""

import multiprocessing
import os
import random
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import patience

from load_process.value_checksum import value_checksum
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import KLINES
from tickhouse_core.message_queue import MessageQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_check import read_checked

from .conftest import body_of, copies_of_messages, klines, month_key, send
from .crashing_loader import OUTAGES, POINTS, in_process, make_warehouse, run_to_the_end, run_until_death

if TYPE_CHECKING:
    from conftest import Lake

SEEDS = len(POINTS) * len(OUTAGES)
"""By default: a kill at every point, with every outage after it."""

LONG_SEEDS = int(os.environ.get("CRASH_SEEDS", "200"))
"""With `-m long`."""

PRELOADED = ["integration_tests.src.load_process.crashing_loader", "pandas"]
"""Not chdb: it starts threads. pandas is a second of the processor's time, and clickhouse_connect imports it to insert rows."""

LONGEST_SECONDS = 30
"""A process that takes longer on an idle machine hangs; one takes about a second."""

QUERIES = (
    "select object_key, count(), uniqExact(open_time) from bronze_klines group by object_key order by object_key",
    "select symbol, toUnixTimestamp64Micro(open_time), toString(close) from klines order by symbol, open_time",
    "select symbol, count(), sum(close) from silver_klines final group by symbol order by symbol",
    "select key, rows, checksum, status from ops_loaded_objects final order by key",
    "select key, verdict from ops_accounting_klines order by key",
)


class Children:
    """Starts processes in no time, since everything is imported once; what one says is shown if it fails.

    multiprocessing is not for several threads: each start also collects the exit codes of the others' processes, and of two
    threads that read the same code the second gets 255. Hence the lock, and waiting outside of it.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._lock = threading.Lock()

    def pipe(self) -> tuple[Connection, Connection]:
        return self._context.Pipe(duplex=False)

    def run(self, log: Path, target: Callable[..., None], *arguments: Any) -> int:
        """The exit code, which is 0 or that of a kill: anything else fails with all that the process said."""
        with self._lock:
            process = self._context.Process(target=in_process, args=(log, target, *arguments))
            process.start()
        is_over = bool(wait([process.sentinel], patience(LONGEST_SECONDS)))
        with self._lock:
            if not is_over:
                process.kill()
            process.join()
            code = process.exitcode
        said = log.read_text(errors="replace") if log.exists() else ""
        assert is_over, f"{target.__name__} hangs; it said:\n{said}"
        assert code in (0, -signal.SIGKILL), f"{target.__name__} ended with {code}; it said:\n{said}"
        return code


@pytest.fixture(scope="session")
def children() -> Children:
    return Children()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, children: Children) -> Path:
    """A warehouse with its tables that nobody has open."""
    folder = tmp_path_factory.mktemp("template")
    assert children.run(folder / "log", make_warehouse, folder / "warehouse") == 0
    return folder / "warehouse"


@pytest.fixture
def notifications(moto_lake: "Lake") -> list[str]:
    """Twelve objects land; what S3 said about them is taken off the queue, to be delivered again and again."""
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT", "币安人生USDT", "SOLUSDT")):
        for month, count in (("2024-01", 5), ("2024-02", 17), ("2024-03", 33)):
            table = klines(count, symbol=symbol, first_minute=int(month[-1]) * 44_640, close=f"{number}.{count}")
            moto_lake.store.write(month_key(symbol, month), body_of(table))
    return copies_of_messages(MessageQueue(KLINES.queue), 12)


def test_killed_anywhere_every_row_is_there_once(
    notifications: list[str], moto_lake: "Lake", template: Path, tmp_path: Path, children: Children
) -> None:
    _check(range(SEEDS), notifications, moto_lake, template, tmp_path, children)


@pytest.mark.long
@pytest.mark.parametrize("start", range(1_000, 1_000 + LONG_SEEDS, 100))
def test_killed_anywhere_hundreds_of_times(
    start: int, notifications: list[str], moto_lake: "Lake", template: Path, tmp_path: Path, children: Children
) -> None:
    batch = range(start, min(start + 100, 1_000 + LONG_SEEDS))
    _check(batch, notifications, moto_lake, template, tmp_path, children)


def _check(batch: range, notifications: list[str], lake: "Lake", template: Path, tmp_path: Path, children: Children) -> None:
    expected = _expected(lake.store)

    def check(seed: int) -> bool:
        folder = tmp_path / f"{seed}"
        shutil.copytree(template, folder / "warehouse", symlinks=True)
        environment = {**os.environ, "CLICKHOUSE_PATH": str(folder / "warehouse")}
        outage, point = divmod(seed % SEEDS, len(POINTS))
        chance, is_killed = random.Random(seed), False
        for attempt in range(chance.choice([1, 1, 2])):
            arguments = (
                lake.store.bucket,
                _deliver(notifications, chance),
                environment,
                chance.choice(POINTS) if attempt else POINTS[point],
                seed * 10 + attempt,
            )
            is_killed |= children.run(folder / "log", run_until_death, *arguments) == -signal.SIGKILL
        theirs, ours = children.pipe()
        last = (lake.store.bucket, _deliver(notifications, chance), environment, OUTAGES[outage], QUERIES, ours)
        assert children.run(folder / "log", run_to_the_end, *last) == 0
        found = theirs.recv() if theirs.poll() else None
        said = (folder / "log").read_text(errors="replace")
        assert found == expected, f"seed {seed}: {POINTS[point]}, then {OUTAGES[outage]}; the last loader said:\n{said}"
        shutil.rmtree(folder)
        return is_killed

    with ThreadPoolExecutor(2) as threads:
        killed = sum(threads.map(check, batch))
    assert killed > len(batch) * 0.5, "most of them were really killed"


def _deliver(notifications: list[str], chance: random.Random) -> str:
    """Every message again, some twice, in any order, as a queue may; in a queue of its own, where nothing is hidden."""
    name = f"klines-{uuid.uuid4().hex}"
    sqs_client().create_queue(QueueName=name)
    bodies = notifications + chance.sample(notifications, 3)
    chance.shuffle(bodies)
    send(name, *bodies)
    return name


def _expected(store: ObjectStore) -> list[list[tuple[Any, ...]]]:
    """What the lake holds, in the words of the queries."""
    tables = {item.key: read_checked(store.read(item.key).body, KLINES) for item in store.list_keys(KLINES.prefix)}
    rows = [
        (row["symbol"], int(row["open_time"].timestamp()) * 1_000_000, f"{row['close'].normalize():f}")
        for table in tables.values()
        for row in table.to_pylist()
    ]
    sums: dict[str, list[Any]] = {}
    for table in tables.values():
        for row in table.to_pylist():
            known = sums.setdefault(row["symbol"], [0, 0])
            known[0] += 1
            known[1] += row["close"]
    keys = sorted(tables)
    return [
        [(key, tables[key].num_rows, tables[key].num_rows) for key in keys],
        sorted(rows),
        [(symbol, *sums[symbol]) for symbol in sorted(sums)],
        [(key, tables[key].num_rows, value_checksum(tables[key]), "loaded") for key in keys],
        [(key, "ok") for key in keys],
    ]


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    for process in multiprocessing.active_children():
        process.kill()

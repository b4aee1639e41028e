"""Acceptance a: whatever kills the loader wherever, the next one leaves every row exactly once, and says so."""

import multiprocessing
import os
import random
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import patience

from load_process.value_checksum import value_checksum
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import KLINES
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_check import read_checked

from .conftest import RECEIVED_US, body_of, copies_of_messages, klines, month_key, send
from .crashing_loader import CASES, MOST_CALLS, POINTS, in_process, make_warehouse, run_to_the_end, run_until_death

if TYPE_CHECKING:
    from conftest import Lake

SEEDS = len(CASES)
"""By default: every case once."""

LONG_SEEDS = int(os.environ.get("CRASH_SEEDS", "200"))
"""With `-m long`."""

PRELOADED = ["integration_tests.src.load_process.crashing_loader", "pandas"]
"""Not chdb: it starts threads. pandas is a second of the processor's time, and clickhouse_connect imports it to insert rows."""

LONGEST_SECONDS = 30
"""A process that takes longer on an idle machine hangs; one takes about a second."""

QUERIES = (
    "select object_key, count(), uniqExact(open_time) from bronze_klines where (object_key, object_etag) in "
    "(select key, etag from ops_loaded_objects final where status = 'loaded') group by object_key order by object_key",
    "select symbol, toUnixTimestamp64Micro(open_time), toString(close) from klines order by symbol, open_time",
    "select symbol, count(), sum(close) from silver_klines final group by symbol order by symbol",
    "select key, rows, checksum, status from ops_loaded_objects final where status != 'superseded' order by key",
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


@dataclass(frozen=True)
class Scene:
    """What S3 said about twelve objects, to be delivered again and again, and a warehouse that has older versions of four."""

    notifications: list[str]
    warehouse: Path


@pytest.fixture
def scene(moto_lake: "Lake", template: Path, tmp_path: Path, children: Children) -> Scene:
    """The older versions have more rows, and values that would win by their receipt_time."""
    queue, warehouse = SqsQueue(KLINES.queue), tmp_path / "scene"
    _write(moto_lake.store, ("BTCUSDT", "币安人生USDT"), {"2024-01": 7, "2024-02": 18}, receipt_time=RECEIVED_US + 1)
    older = copies_of_messages(queue, 4)
    shutil.copytree(template, warehouse, symlinks=True)
    theirs, ours = children.pipe()
    environment = {**os.environ, "CLICKHOUSE_PATH": str(warehouse)}
    arguments = (moto_lake.store.bucket, _queue_of(older), environment, 0, QUERIES[1:2], ours)
    assert children.run(tmp_path / "log", run_to_the_end, *arguments) == 0
    assert len(theirs.recv()[0]) == 2 * (7 + 18)
    months = {"2024-01": 5, "2024-02": 17, "2024-03": 33}
    _write(moto_lake.store, ("BTCUSDT", "ETHUSDT", "币安人生USDT", "SOLUSDT"), months, receipt_time=RECEIVED_US)
    return Scene(older + copies_of_messages(queue, 12), warehouse)


def _write(store: ObjectStore, symbols: Sequence[str], counts: Mapping[str, int], receipt_time: int) -> None:
    for number, symbol in enumerate(symbols):
        for month, count in counts.items():
            first, close = int(month[-1]) * 44_640, f"{number}.{count}"
            table = klines(count, symbol=symbol, first_minute=first, close=close, receipt_time=receipt_time)
            store.write(month_key(symbol, month), body_of(table))


def test_killed_anywhere_every_row_is_there_once(scene: Scene, moto_lake: "Lake", tmp_path: Path, children: Children) -> None:
    _check(range(SEEDS), scene, moto_lake, tmp_path, children)


@pytest.mark.long
@pytest.mark.parametrize("start", range(1_000, 1_000 + LONG_SEEDS, 100))
def test_killed_anywhere_hundreds_of_times(
    start: int, scene: Scene, moto_lake: "Lake", tmp_path: Path, children: Children
) -> None:
    batch = range(start, min(start + 100, 1_000 + LONG_SEEDS))
    _check(batch, scene, moto_lake, tmp_path, children)


def _check(batch: range, scene: Scene, lake: "Lake", tmp_path: Path, children: Children) -> None:
    expected = _expected(lake.store)

    def check(seed: int) -> bool:
        folder = tmp_path / f"{seed}"
        shutil.copytree(scene.warehouse, folder / "warehouse", symlinks=True)
        environment = {**os.environ, "CLICKHOUSE_PATH": str(folder / "warehouse")}
        chance, is_killed = random.Random(seed), False
        point, outage = CASES[seed] if seed < SEEDS else (chance.choice(POINTS), chance.randint(0, MOST_CALLS))
        for attempt in range(chance.choice([1, 1, 2])):
            arguments = (
                lake.store.bucket,
                _deliver(scene.notifications, chance),
                environment,
                chance.choice(POINTS) if attempt else point,
                seed * 10 + attempt,
            )
            is_killed |= children.run(folder / "log", run_until_death, *arguments) == -signal.SIGKILL
        theirs, ours = children.pipe()
        last = (lake.store.bucket, _deliver(scene.notifications, chance), environment, outage, QUERIES, ours)
        assert children.run(folder / "log", run_to_the_end, *last) == 0
        found = theirs.recv() if theirs.poll() else None
        said = (folder / "log").read_text(errors="replace")
        assert found == expected, f"seed {seed}: {point}, then outage {outage}; the last loader said:\n{said}"
        shutil.rmtree(folder)
        return is_killed

    with ThreadPoolExecutor(2) as threads:
        killed = sum(threads.map(check, batch))
    assert killed > len(batch) * 0.5, "most of them were really killed"


def _deliver(notifications: list[str], chance: random.Random) -> str:
    """Every message again, some twice, in any order, as a queue may."""
    bodies = notifications + chance.sample(notifications, 3)
    chance.shuffle(bodies)
    return _queue_of(bodies)


def _queue_of(bodies: Sequence[str]) -> str:
    """A queue of their own, where nothing is hidden."""
    name = f"klines-{uuid.uuid4().hex}"
    sqs_client().create_queue(QueueName=name)
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

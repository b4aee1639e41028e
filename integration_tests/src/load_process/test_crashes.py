"""Acceptance a: whatever kills the loader wherever, the next one leaves every row exactly once, and says so."""

import multiprocessing
import os
import random
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from load_process.value_checksum import value_checksum
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import KLINES
from tickhouse_core.message_queue import MessageQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.settings import WarehouseSettings
from transform_process.migrate import migrate

from .conftest import body_of, copies_of_messages, klines, month_key, send
from .crashing_loader import POINTS, run_to_the_end, run_until_death

if TYPE_CHECKING:
    from conftest import Lake

IN_ALL = 200
AT_ONCE = 25
"""Seeds in one test: the objects in the lake are made once for all of them."""

QUERIES = (
    "select object_key, count(), uniqExact(open_time) from bronze_klines group by object_key order by object_key",
    "select symbol, toUnixTimestamp64Micro(open_time), toString(close) from klines order by symbol, open_time",
    "select symbol, count(), sum(close) from silver_klines final group by symbol order by symbol",
    "select key, rows, checksum, status from ops_loaded_objects final order by key",
    "select key, verdict from ops_accounting_klines order by key",
)


def seeds(count: int) -> list[range]:
    return [range(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE)]


@pytest.fixture(scope="session")
def fork_server() -> ForkServerContext:
    """Starts processes in no time: everything is imported once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["integration_tests.src.load_process.crashing_loader"])  # not chdb: it starts threads
    return context


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServerContext) -> Path:
    """A migrated warehouse that nobody has open."""
    folder = tmp_path_factory.mktemp("template") / "warehouse"
    process = fork_server.Process(target=migrate, args=(WarehouseSettings(path=folder),))
    process.start()
    process.join()
    assert process.exitcode == 0
    return folder


@pytest.fixture
def notifications(moto_lake: "Lake") -> list[str]:
    """Twelve objects land; what S3 said about them is taken off the queue, to be delivered again and again."""
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT", "币安人生USDT", "SOLUSDT")):
        for month, count in (("2024-01", 5), ("2024-02", 17), ("2024-03", 33)):
            table = klines(count, symbol=symbol, first_minute=int(month[-1]) * 44_640, close=f"{number}.{count}")
            moto_lake.store.write(month_key(symbol, month), body_of(table))
    return copies_of_messages(MessageQueue(KLINES.queue), 12)


@pytest.mark.parametrize("batch", seeds(IN_ALL), ids=lambda batch: f"seeds {batch.start} to {batch.stop - 1}")
def test_killed_anywhere_every_row_is_there_once(
    batch: range,
    notifications: list[str],
    moto_lake: "Lake",
    template: Path,
    tmp_path: Path,
    fork_server: ForkServerContext,
) -> None:
    _check(batch, notifications, moto_lake, template, tmp_path, fork_server)


@pytest.mark.long
def test_killed_anywhere_a_thousand_times(
    notifications: list[str], moto_lake: "Lake", template: Path, tmp_path: Path, fork_server: ForkServerContext
) -> None:
    _check(range(1_000, 2_000), notifications, moto_lake, template, tmp_path, fork_server)


def _check(
    batch: range, notifications: list[str], lake: "Lake", template: Path, tmp_path: Path, fork_server: ForkServerContext
) -> None:
    expected = _expected(lake.store)

    def check(seed: int) -> int:
        folder = tmp_path / f"{seed}"
        shutil.copytree(template, folder, symlinks=True)
        environment = {**os.environ, "CLICKHOUSE_PATH": str(folder)}
        chance, killed = random.Random(seed), 0
        for attempt in range(chance.choice([1, 1, 2])):
            arguments = (
                lake.store.bucket,
                _deliver(notifications, chance),
                environment,
                chance.choice(POINTS),
                seed * 10 + attempt,
            )
            killed += _run(fork_server, run_until_death, *arguments) == -signal.SIGKILL
        theirs, ours = fork_server.Pipe(duplex=False)
        last = (lake.store.bucket, _deliver(notifications, chance), environment, QUERIES, ours)
        assert _run(fork_server, run_to_the_end, *last) == 0
        assert theirs.recv() == expected, f"seed {seed}"
        shutil.rmtree(folder)
        return killed > 0

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


def _run(fork_server: ForkServerContext, target: Callable[..., None], *arguments: Any) -> int | None:
    process = fork_server.Process(target=target, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the loader hangs"
    return process.exitcode


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

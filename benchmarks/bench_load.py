"""The loader against the engine's own speed: the same Parquet files into the same tables with the same views, in one run.

    .venv/bin/python benchmarks/bench_load.py [--full] [--rounds 3] [--part klines|depth|small]

- engine: `insert into bronze_… select … from file('*.parquet')` of all files at once, with the engine's own defaults;
- loader: notifications waiting in SQS, objects in S3, from the first receive until the last ledger entry: GET, every value
  decoded and checked, checksum, manifest, insert, ledger. S3 and SQS are what AWS_ENDPOINT_URL names, else moto in a
  process of its own (which hands out 50 messages a second: for `small` take LocalStack).

klines: 10 objects and one object with the same rows; depth: 10 objects of 40 levels a message; small: many objects of 2,000
rows against one object with the same rows. A fifth of the full size unless --full: 1,000,000 klines, 5 million levels, 1,000
small objects. Each measurement has a process and a database of its own; they take turns, the ratios are medians.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from extract_process.parquet import parquet_bytes
from load_process.__main__ import INSERTERS
from load_process.loader import LoaderOptions, QueueLoader
from tickhouse.provision import provision_aws
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import DECIMAL, DEPTH_DIFFS, KLINES, LEVELS, Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.timestamps import MINUTE_US
from tickhouse_core.warehouse import connect
from transform_process.migrate import migrate

START_US = 1_704_067_200_000_000
PARTS = {"klines": (KLINES, ["ten", "one"]), "depth": (DEPTH_DIFFS, ["ten"]), "small": (KLINES, ["many", "one"])}
FULL = {"klines": 1_000_000, "depth": 125_000, "small": 2_000_000}
"""Rows at full size."""

SMALL_ROWS = 2_000
LEVELS_A_MESSAGE = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="five times the rows: some ten minutes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        contestant, dataset, folder, warehouse = arguments.measure
        _measure(contestant, PARTS[dataset][0], Path(folder), Path(warehouse))
        return
    with tempfile.TemporaryDirectory() as folder:
        _run("migrate", "klines", Path(folder), Path(folder) / "migrated")
        for part in arguments.part or PARTS:
            rows = FULL[part] if arguments.full else FULL[part] // 5
            _compare(part, rows, Path(folder), arguments.rounds)


def _compare(part: str, rows: int, folder: Path, rounds: int) -> None:
    dataset, shapes = PARTS[part]
    files = {shape: _write_objects(part, shape, rows, folder / f"{part}-{shape}") for shape in shapes}
    results: dict[tuple[str, str], list[float]] = {}
    memory: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for shape, objects in files.items():
            for contestant in ("engine", "loader"):
                shutil.rmtree(folder / "warehouse", ignore_errors=True)
                shutil.copytree(folder / "migrated", folder / "warehouse", symlinks=True)
                told = _run(contestant, part, objects, folder / "warehouse")
                results.setdefault((contestant, shape), []).append(told["seconds"])
                memory[contestant, shape] = told["peak_mb"]
    levels = f" with {rows * LEVELS_A_MESSAGE:,} levels" if dataset is DEPTH_DIFFS else ""
    objects_of = ", ".join(f"{shape}: {len(list(objects.iterdir())):,} objects" for shape, objects in files.items())
    print(f"\n{part}: {rows:,} rows of {dataset.name}{levels}; {objects_of}; {rounds} rounds")
    for (contestant, shape), seconds in results.items():
        print(f"{contestant:>10} {shape:>9}  {statistics.median(seconds):6.2f} s  peak {memory[contestant, shape]:,.0f} MB")
    for shape in shapes:
        pairs = zip(results["engine", shape], results["loader", shape], strict=True)
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        print(f"loader / engine, {shape}: {ratio:.2f} of the engine's own speed")
    if part == "small":
        pairs = zip(results["loader", "many"], results["loader", "one"], strict=True)
        print(f"many small objects: {statistics.median(small / one for small, one in pairs):.2f} times as long as one large")


def _run(contestant: str, part: str, objects: Path, warehouse: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", contestant, part, str(objects), str(warehouse)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _measure(contestant: str, dataset: Dataset, folder: Path, warehouse: Path) -> None:
    os.environ["CLICKHOUSE_PATH"] = str(warehouse)
    settings = read(WarehouseSettings)
    if contestant == "migrate":
        migrate(settings)
        print(json.dumps({}))
        return
    seconds = _engine(dataset, folder, settings) if contestant == "engine" else _loader(dataset, folder, settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def _engine(dataset: Dataset, folder: Path, settings: WarehouseSettings) -> float:
    warehouse = connect(settings)
    columns = ", ".join(dataset.schema.names)
    began = time.perf_counter()
    warehouse.command(
        f"insert into {dataset.bronze_table} ({columns}, object_key) "
        f"select {columns}, _file from file('{folder}/*.parquet', 'Parquet')"
    )
    seconds = time.perf_counter() - began
    warehouse.close()
    return seconds


def _loader(dataset: Dataset, folder: Path, settings: WarehouseSettings) -> float:
    with _lake() as store:
        provision_aws(store.bucket)
        files = sorted(folder.iterdir())
        for file in files:
            store.write(f"{dataset.prefix}venue=binance/{file.name}", file.read_bytes())
        _wait_for_notifications(dataset, len(files))
        connections = [connect(settings) for _ in range(INSERTERS + 1)]
        options = LoaderOptions(drain=True, wait_seconds=0)
        loop = QueueLoader(SqsQueue(dataset.queue), store, connections[0], connections[1:], StopRequest(), options)
        began = time.time()
        loop.run()
    warehouse = connections[0]
    ((objects, ended),) = warehouse.query(
        "select count(), toFloat64(max(load_time)) from ops_loaded_objects where status = 'loaded'"
    )
    for connection in connections:
        connection.close()
    assert objects == len(files)
    return float(ended) - began


@contextmanager
def _lake() -> Iterator[ObjectStore]:
    """S3 and SQS in a process of their own, so that they take no turns with the loader."""
    account = f"{uuid.uuid4().int % 10**12:012d}"  # queues of its own, as LocalStack reads a key of 12 digits
    os.environ |= {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    if "AWS_ENDPOINT_URL" in os.environ:
        yield S3Store(f"bench-{uuid.uuid4().hex}")
        return
    program = (
        "import logging, sys; logging.getLogger('werkzeug').setLevel('ERROR')\n"
        "from moto.server import ThreadedMotoServer as S; s = S(ip_address='127.0.0.1', port=0, verbose=False)\n"
    )
    program += "s.start(); print(s.get_host_and_port()[1], flush=True); sys.stdin.read(); s.stop()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{int(process.stdout.readline())}"
    try:
        yield S3Store(f"bench-{uuid.uuid4().hex}")
    finally:
        process.communicate()


def _wait_for_notifications(dataset: Dataset, count: int) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=dataset.queue)["QueueUrl"]
    while True:
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        if int(answer["Attributes"]["ApproximateNumberOfMessages"]) >= count:
            return
        time.sleep(0.1)


def _write_objects(part: str, shape: str, rows: int, folder: Path) -> Path:
    folder.mkdir()
    objects = {"ten": 10, "one": 1, "many": rows // SMALL_ROWS}[shape]
    for number in range(objects):
        if part == "depth":
            body = parquet_bytes(_depth(rows // objects, LEVELS_A_MESSAGE, number), DEPTH_DIFFS)
        else:
            body = parquet_bytes(_klines(rows // objects, number), KLINES)
        (folder / f"{number:04}.parquet").write_bytes(body)
    return folder


def _klines(count: int, number: int) -> pa.Table:
    chance = np.random.default_rng(number)
    opened = START_US + MINUTE_US * np.arange(count, dtype=np.int64)
    price = 4_200_000 + np.cumsum(chance.integers(-500, 500, count))
    quantity = chance.integers(1, 10**9, count)
    decimals = {
        **{name: _decimal(price + offset, 16) for name, offset in (("open", 0), ("high", 9), ("low", -9), ("close", 3))},
        **{name: _decimal(quantity + offset, 13) for name, offset in (("volume", 9), ("taker_buy_volume", 0))},
        **{name: _decimal(quantity * 42, 11) for name in ("quote_volume", "taker_buy_quote_volume")},
    }
    columns = decimals | {
        "venue": ["binance"] * count,
        "symbol": [f"SYM{number}USDT"] * count,
        "interval": ["1m"] * count,
        "source": ["rest"] * count,
        "open_time": opened,
        "close_time": opened + MINUTE_US - 1_000,
        "trade_count": chance.integers(0, 10_000, count),
        "is_closed": [True] * count,
        "receipt_time": np.full(count, START_US + number),
    }
    return _table(columns, KLINES)


def _depth(messages: int, levels: int, number: int) -> pa.Table:
    chance = np.random.default_rng(number)
    last = (np.arange(1, messages + 1) + number * messages) * 50
    columns = {
        "venue": ["binance"] * messages,
        "symbol": ["BTCUSDT"] * messages,
        "first_update_id": (last - 49).astype(np.uint64),
        "last_update_id": last.astype(np.uint64),
        "bids": _levels(chance, messages, levels // 2),
        "asks": _levels(chance, messages, levels // 2),
        "event_time": START_US + last * 2_000,
        "receipt_time": START_US + last * 2_000 + 5_000,
    }
    return _table(columns, DEPTH_DIFFS)


def _levels(chance: np.random.Generator, messages: int, levels: int) -> pa.Array:
    count = messages * levels
    price, quantity = _decimal(chance.integers(4_100_000, 4_300_000, count), 16), _decimal(chance.integers(0, 10**7, count), 13)
    offsets = pa.array(np.arange(0, count + 1, levels, dtype=np.int32))
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays([price, quantity], fields=list(LEVELS.value_type)), type=LEVELS
    )


def _decimal(numbers: np.ndarray, zeros: int) -> pa.Array:
    """Whole numbers with the last `18 - zeros` digits behind the point."""
    whole = pa.array(numbers.astype(np.int64)).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(pa.decimal128(19, 18 - zeros), len(whole), whole.buffers()).cast(DECIMAL)


def _table(columns: dict, dataset: Dataset) -> pa.Table:  # type: ignore[type-arg]
    arrays = [
        column if isinstance(column := columns[field.name], pa.Array) else pa.array(column).cast(field.type)
        for field in dataset.schema
    ]
    return pa.table(arrays, schema=dataset.schema)


if __name__ == "__main__":
    main()

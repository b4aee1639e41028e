"""The loader against the engine's own speed: the same Parquet files into the same tables with the same views, in one run.

    .venv/bin/python benchmarks/bench_load.py [--full] [--rounds 2] [--part klines|depth|small] [--lake-process PID]

- engine: `insert into bronze_… select … from file('*.parquet')` of all files at once, with the engine's own defaults;
- loader: notifications waiting in the queue, objects in the lake, from the first receive until the last ledger entry: GET,
  every value decoded and checked, checksum, manifest, insert, ledger.

S3 and SQS are what AWS_ENDPOINT_URL names; without it moto in a process of its own, and for `small` a data folder, because
moto hands out 50 messages a second. `--lake-process` names the process of S3 and SQS whose CPU time is told apart.

klines: 10 objects and one object with the same rows; depth: 10 objects of 40 levels a message, a fifth of a million klines and
of 5 million levels unless --full; small: 1,000 objects of 2,000 rows against one object with the same rows. Each measurement
has a process and a database of its own; they take turns, the ratios are medians.
"""

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
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from extract_process.parquet import parquet_bytes
from load_process.limits import INSERTERS
from load_process.loader import LoaderOptions, QueueLoader
from processes import cpu_seconds, moto_server
from report import Report, options
from tickhouse.provision import provision_aws
from tickhouse_core.columns import DECIMAL, LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, Dataset
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.timestamps import MINUTE_US
from tickhouse_core.warehouse import connect
from transform_process.migrate import migrate

START_US = 1_704_067_200_000_000
PARTS = {"klines": (KLINES, ["ten", "one"]), "depth": (DEPTH_DIFFS, ["ten"]), "small": (KLINES, ["many", "one"])}
COLUMNS = ("", "objects", "seconds", "CPU s", "lake's CPU s", "peak MB")
FULL = {"klines": 1_000_000, "depth": 125_000, "small": 2_000_000}
"""Rows at full size."""

SMALL_ROWS = 2_000
LEVELS_A_MESSAGE = 40

OF_ENGINE = """Time of the loader over that of the engine's own reader, which checks no value and keeps no ledger."""
OF_SMALL = """Time of many objects of 2,000 rows over that of one object with the same rows, of each side. S3 and SQS share the
cores with the loader unless they are elsewhere; the CPU ratio is of the loader's process alone."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--full", action="store_true", help="five times the rows: some ten minutes")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--lake-process", type=int, metavar="PID", help="of the S3 and SQS that AWS_ENDPOINT_URL names")
    if sys.argv[1:2] == ["--measure"]:
        contestant, part, lake_process, objects, data = sys.argv[2:]
        _measure(contestant, part, int(lake_process), Path(objects), Path(data))
        return
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory() as folder:
        _run("migrate", "klines", 0, Path(folder), Path(folder) / "migrated")
        for part in arguments.part or PARTS:
            rows = FULL[part] if arguments.full or part == "small" else FULL[part] // 5
            _compare(report, part, rows, Path(folder), arguments)
    report.finish()


def _compare(report: Report, part: str, rows: int, folder: Path, arguments: Namespace) -> None:
    dataset, shapes = PARTS[part]
    files = {shape: _write_objects(part, shape, rows, folder / f"{part}-{shape}") for shape in shapes}
    results: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(arguments.rounds):
        for shape, objects in files.items():
            for contestant in ("engine", "loader"):
                shutil.rmtree(folder / "data", ignore_errors=True)
                shutil.copytree(folder / "migrated", folder / "data", symlinks=True)
                figures = _run(contestant, part, arguments.lake_process or 0, objects, folder / "data")
                results.setdefault((contestant, shape), []).append(figures)
    levels = f", {rows * LEVELS_A_MESSAGE:,} levels" if dataset is DEPTH_DIFFS else ""
    base = "one object" if part == "small" else "engine"
    table = []
    for (contestant, shape), told in results.items():
        others = results[(contestant, "one") if part == "small" else ("engine", shape)]
        middle = {name: statistics.median(one[name] for one in told) for name in told[0]}
        ratios = [
            statistics.median(one[name] / other[name] for one, other in zip(told, others, strict=True))
            for name in ("seconds", "cpu_seconds")
        ]
        of_lake = middle["lake_cpu_seconds"] or None
        costs = (middle["seconds"], middle["cpu_seconds"], of_lake, round(middle["peak_mb"]))
        goal = "<= 1.3" if (part, contestant, shape) == ("small", "loader", "many") else ""
        table.append((contestant, len(list(files[shape].iterdir())), *costs, *ratios, goal))
    report.table(
        f"{part}: load of {rows:,} rows of {dataset.name}{levels}",
        (*COLUMNS, f"wall / {base}", f"CPU / {base}", "goal"),
        table,
        OF_SMALL if part == "small" else OF_ENGINE,
    )


def _run(contestant: str, part: str, lake_process: int, objects: Path, data: Path) -> dict[str, float]:
    """In a process of its own. `data` has the warehouse, and the lake where it is a folder."""
    command = [sys.executable, __file__, "--measure", contestant, part, str(lake_process), str(objects), str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _measure(contestant: str, part: str, lake_process: int, objects: Path, data: Path) -> None:
    dataset = PARTS[part][0]
    os.environ["CLICKHOUSE_PATH"] = str(data / "warehouse")
    if contestant == "migrate":
        migrate(read(WarehouseSettings))
        print(json.dumps({}))
        return
    if contestant == "engine":
        seconds, spent, of_lake = _engine(dataset, objects)
    else:
        with _lake(data, part) as started:
            seconds, spent, of_lake = _loader(dataset, objects, lake_process or started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": spent, "lake_cpu_seconds": of_lake, "peak_mb": peak}))


def _engine(dataset: Dataset, folder: Path) -> tuple[float, float, float]:
    warehouse = connect(read(WarehouseSettings))
    columns = ", ".join(dataset.schema.names)
    began, spent = time.perf_counter(), time.process_time()
    warehouse.command(
        f"insert into {dataset.bronze_table} ({columns}, object_key) "
        f"select {columns}, _file from file('{folder}/*.parquet', 'Parquet')"
    )
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    warehouse.close()
    return seconds, spent, 0.0


def _loader(dataset: Dataset, folder: Path, lake_process: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds of this process, and those of S3 and SQS (0 where they are not a process that is known)."""
    store, settings = open_lake(), read(WarehouseSettings)
    files = sorted(folder.iterdir())
    for file in files:
        store.write(f"{dataset.prefix}venue=binance/{file.name}", file.read_bytes())
    queue = open_queue(dataset.queue)
    while queue.depth().visible < len(files):
        time.sleep(0.1)
    connections = [connect(settings) for _ in range(INSERTERS + 1)]
    options = LoaderOptions(drain=True, wait_seconds=0)
    loop = QueueLoader(queue, store, connections[0], connections[1:], StopRequest(), options)
    lake_before = cpu_seconds(lake_process) if lake_process else 0.0
    began, spent = time.time(), time.process_time()
    loop.run()
    spent = time.process_time() - spent
    of_lake = cpu_seconds(lake_process) - lake_before if lake_process else 0.0
    ((objects, ended),) = connections[0].query(
        "select count(), toFloat64(max(load_time)) from ops_loaded_objects where status = 'loaded'"
    )
    for connection in connections:
        connection.close()
    assert objects == len(files)
    return float(ended) - began, spent, of_lake


@contextmanager
def _lake(data: Path, part: str) -> Iterator[int]:
    """Provisioned, and named by the environment. Yields the id of a process that it started, else 0."""
    if part == "small" and "AWS_ENDPOINT_URL" not in os.environ:
        os.environ["TICKHOUSE_DATA"] = str(data)
        yield 0
        return
    bucket = f"bench-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        process = stack.enter_context(moto_server()) if "AWS_ENDPOINT_URL" not in os.environ else 0
        account = f"{uuid.uuid4().int % 10**12:012d}"  # queues of its own, as LocalStack reads a key of 12 digits
        keys = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= keys | {"S3_BUCKET": bucket}
        provision_aws(bucket)
        yield process


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

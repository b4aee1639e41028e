"""A day of the lake before and after `tickhouse compact`: objects, bytes, the time of a compaction and of scans.

    .venv/bin/python benchmarks/bench_compact.py [--trades 100000] [--batch-seconds 60] [--diffs 12000] [--rows 1000000]

The day is that of bench_read_api: trades of two symbols, by two instances that overlap for a tenth of the day. Scans are in turns
on the same rows, medians: the ratio counts. The compaction's floor: polars reads the day's trades, keeps the first received of
each, sorts, and writes a file a symbol with the same level of zstd. Memory is that of the command, for days of `--rows` trades of
one symbol, and of four times as many. Everything is on a local disk.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import tickhouse as th
from bench_read_api import DAY, END, HOUR, START, SYMBOL, write_diffs, write_table, write_trades
from report import Report, options
from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.day import LEVEL, DayOptions
from tickhouse.compact.passes import Selection, compact
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import DEPTH_DIFFS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest

LONG_AFTER = DAY + 48 * HOUR
GLOB = "data_sources/trades/**/*.parquet"

SIZES = "Of the same rows, before over after: small objects are gone, and each row is there once."
TIMES = """Time over recorded objects divided by that over compacted ones, for equal answers; the last line is the time of the
compaction, with the checks of every value before and after, over that of polars for the same files without any."""

MEMORY = "A part of a symbol is in memory at once, whatever the day has."

OBJECT_ROWS = 100_000


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--batch-seconds", type=int, default=60)
    parser.add_argument("--diffs", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory() as folder:
        raw, compacted = Path(folder) / "raw" / "lake", Path(folder) / "compacted" / "lake"
        write_trades(raw.parent, arguments.trades, arguments.batch_seconds)
        write_diffs(raw.parent, arguments.diffs, 60)
        shutil.copytree(raw, compacted)
        mine = used(lambda: run(compacted, TRADES))
        floor = used(lambda: by_polars(raw, Path(folder)))
        for _ in range(2):
            run(compacted, TRADES, DEPTH_DIFFS)
        sizes = [(dataset.name, *size_of(raw, dataset), *size_of(compacted, dataset)) for dataset in (TRADES, DEPTH_DIFFS)]
        rows = [
            (name, before, after, before / after, size / 1e6, size_after / 1e6, size / size_after)
            for name, before, size, after, size_after in sizes
        ]
        columns = ("dataset", "objects", "after", "before / after", "MB", "MB after", "before / after")
        report.table("A day of two symbols", columns, rows, SIZES)
        report.table("Scans", ("what", "recorded s", "compacted s", "ratio"), scans(raw, compacted, arguments.rounds), TIMES)
        figures = [(name, mine[place], floor[place], mine[place] / floor[place]) for place, name in enumerate(("clock", "CPU"))]
        report.table("A compaction of the day's trades", ("seconds of", "ours", "polars", "ours / polars"), figures)
        memory = [(rows, *compacted_by_command(Path(folder) / str(rows), rows)) for rows in (arguments.rows, 4 * arguments.rows)]
        report.table("Memory of a compaction", ("trades of one symbol", "MB at most", "CPU s"), memory, MEMORY)
    report.finish()


def compacted_by_command(data: Path, rows: int) -> tuple[float, float]:
    """The most resident memory of the process, and its CPU time."""
    for start in range(0, rows, OBJECT_ROWS):
        write_table(data, TRADES, trades_of_one_symbol(start, min(start + OBJECT_ROWS, rows), rows), DAY + start, "a", start)
    process = subprocess.Popen(
        [sys.executable, "-m", "tickhouse", "compact", "--data", str(data), "--dataset", "trades"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"tickhouse compact ended with {process.returncode}"
    shutil.rmtree(data)
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def trades_of_one_symbol(first: int, end: int, of_day: int) -> pa.Table:
    ids = np.arange(first, end)
    times = pa.array(DAY + ids * (23 * HOUR // of_day))
    numbers = {"price": 60_000 + ids % 1_000, "quantity": 1 + ids % 97}
    found: dict[str, pa.Array] = {
        "venue": pa.array(["binance"] * len(ids)),
        "symbol": pa.array([SYMBOL] * len(ids)),
        "trade_id": pa.array(ids, pa.uint64()),
        "is_buyer_maker": pa.array(ids % 2 == 0),
        **{name: times.cast(INSTANT) for name in ("trade_time", "event_time", "receipt_time")},
        **{name: pa.array(values).cast(pa.decimal128(38, 0)) for name, values in numbers.items()},
    }
    return pa.table([found[field.name].cast(field.type) for field in TRADES.schema], schema=TRADES.schema)


def run(lake: Path, *datasets: Dataset) -> None:
    """Deletes what an earlier run compacted."""
    settings, done = DayOptions(LONG_AFTER, 0, clock=lambda: LONG_AFTER), list[VenueCounts]()
    compact(FolderStore(lake), Selection(datasets), settings, StopRequest(), done)


def by_polars(lake: Path, folder: Path) -> None:
    rows = pl.read_parquet(lake / GLOB, hive_partitioning=False)
    once = rows.sort("receipt_time").unique(["venue", "symbol", "trade_id"], keep="first", maintain_order=True).sort("trade_id")
    for (symbol,), table in once.partition_by("symbol", as_dict=True).items():
        table.write_parquet(folder / f"{symbol}.parquet", compression="zstd", compression_level=LEVEL)


def size_of(lake: Path, dataset: Dataset) -> tuple[int, int]:
    """Objects and bytes."""
    found = [path.stat().st_size for path in (lake / dataset.prefix).rglob("*.parquet")]
    return len(found), sum(found)


def scans(raw: Path, compacted: Path, rounds: int) -> list[tuple[Any, ...]]:
    ways: dict[str, Callable[[Path], Any]] = {
        "the read API, a symbol's day of trades": lambda lake: th.open(lake).trades(SYMBOL, START, END).arrow(),
        "the read API, ten minutes of it": lambda lake: th.open(lake).trades(SYMBOL, DAY + HOUR, DAY + HOUR + HOUR // 6).arrow(),
        "the read API, an hour of diffs": lambda lake: th.open(lake).depth_diffs(SYMBOL, DAY, DAY + HOUR).arrow(),
        "polars, the volume of all trades of a symbol": volume,
    }
    found = []
    for name, way in ways.items():
        times: dict[Path, list[float]] = {raw: [], compacted: []}
        for _ in range(rounds):
            answers = []
            for lake, seconds in times.items():
                begun = time.perf_counter()
                answers.append(way(lake))
                seconds.append(time.perf_counter() - begun)
            assert answers[0] == answers[1], f"{name}: the answers differ"
        before, after = (statistics.median(seconds) for seconds in times.values())
        found.append((name, before, after, before / after))
    return found


def volume(lake: Path) -> Any:
    rows = pl.scan_parquet(lake / GLOB, hive_partitioning=False).filter(pl.col("symbol") == SYMBOL)
    return rows.unique(["trade_id"]).select(pl.col("quantity").sum()).collect().item()


def used(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time."""
    begun, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - before


if __name__ == "__main__":
    main()

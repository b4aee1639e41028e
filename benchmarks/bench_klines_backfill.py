"""The klines backfill against its floor: the same requests to the same exchange, answers thrown away unread.

    .venv/bin/python benchmarks/bench_klines_backfill.py [--full] [--latency-ms 150] [--rounds 3]

Six months of one-minute klines of one symbol (262,080 rows), 17 months (744,480 rows) with --full, through the simulated exchange
with Binance's limit of 6,000 weight a minute and a fixed latency. Floor and backfill take turns; the ratio of each pair is what
counts, the machine's speed is not.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from extract_process.ranges import Range, grid_of
from extract_process.venues.binance.rest import PAGE_ROWS
from tickhouse.embedded import environment_variables
from tickhouse_core import logs
from tickhouse_core.settings import LogSettings
from tickhouse_core.timestamps import format_instant, parse_instant

START, END, FULL_END = "2024-01-01", "2024-07-01", "2025-06-01"
GRID = grid_of("1m")
CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of the floor, of the backfill (by its own summary) and of its whole process; weights; peak memory."""

    floor: float
    backfill: float
    process: float
    weight: int
    counted_weight: int
    peak_megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="17 months instead of six")
    parser.add_argument("--latency-ms", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logs.configure(LogSettings(level="WARNING"))
    pages = _pages(FULL_END if arguments.full else END)
    rows = sum(map(GRID.count, pages))
    print(f"{rows:,} klines in {len(pages):,} pages, {arguments.latency_ms} ms latency, {arguments.rounds} rounds", flush=True)
    rounds = [_one_round(pages, rows, arguments.latency_ms) for _ in range(arguments.rounds)]
    print(" floor s  backfill s  process s    weight   counted   peak MB")
    for one in rounds:
        print(
            f"{one.floor:8.2f}  {one.backfill:10.2f}  {one.process:9.2f}"
            f"  {one.weight:8,}  {one.counted_weight:8,}  {one.peak_megabytes:8.0f}"
        )
    print(f"median ratio to the floor: backfill {statistics.median(one.backfill / one.floor for one in rounds):.3f}", end=", ")
    print(f"process {statistics.median(one.process / one.floor for one in rounds):.3f}")
    print(f"rows a second {rows / statistics.median(one.backfill for one in rounds):,.0f}")


def _pages(end: str) -> list[Range]:
    return list(GRID.split(Range(parse_instant(START), GRID.before(parse_instant(end))), PAGE_ROWS))


def _one_round(pages: list[Range], rows: int, latency_ms: int) -> Round:
    with tempfile.TemporaryDirectory() as data, _exchange(latency_ms) as url:
        asyncio.run(_fetch_and_forget(url, pages))  # the exchange makes its market: not part of either's time
        httpx.post(f"{url}/simulator/reset").raise_for_status()
        floor = asyncio.run(_fetch_and_forget(url, pages))
        httpx.post(f"{url}/simulator/reset").raise_for_status()
        with environment_variables({"BINANCE_REST_URL": url, "TICKHOUSE_DATA": data}):
            process, figures, peak = _run_backfill(pages)
        tally = httpx.get(f"{url}/simulator/tally").json()
    assert tally["refused"]["429"]["limiter"] == 0, "the backfill broke the limit"
    assert figures["rows landed"] == rows, figures
    return Round(floor, figures["seconds"], process, int(figures["weight"]), tally["weight"]["total"], peak)


def _run_backfill(pages: list[Range]) -> tuple[float, dict[str, float], float]:
    """Wall seconds of the process, its summary, and its peak resident memory in MB."""
    began = time.perf_counter()
    end = format_instant(GRID.after(pages[-1].last))
    command = [sys.executable, "-c", _AND_ITS_PEAK, "--symbol", "BTCUSDT", "--start", START, "--end", end]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    seconds = time.perf_counter() - began
    *summary, peak = answer.stdout.splitlines()
    pairs = [line.strip().rsplit("  ", 1) for line in summary]
    return seconds, {name.strip(): float(value.replace(",", "")) for name, value in pairs}, int(peak.split()[1]) / 1024


_AND_ITS_PEAK = """
import runpy
try:
    runpy.run_module("extract_process.klines", run_name="__main__")
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), end="")
"""
"""The process says its own peak (Linux): getrusage would count this process's memory, which it was forked from."""


async def _fetch_and_forget(url: str, wanted: list[Range]) -> float:
    """All pages with the same client and concurrency."""
    pages = iter(wanted)
    async with httpx.AsyncClient(base_url=url) as client:

        async def work() -> None:
            for page in pages:
                times = {"startTime": page.first // 1_000, "endTime": page.last // 1_000, "limit": PAGE_ROWS}
                answer = await client.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m", **times})
                answer.raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return time.perf_counter() - began


@contextmanager
def _exchange(latency_ms: int) -> Iterator[str]:
    """The simulator in a process of its own, fresh limits each time."""
    command = [sys.executable, "-m", "simulated_exchange", "--port", "0", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


if __name__ == "__main__":
    main()

"""The klines backfill against its floor: the same requests to the same exchange, answers thrown away unread.

    .venv/bin/python benchmarks/bench_klines_backfill.py [--full] [--latency-ms 150] [--rounds 3]

Six months of one-minute klines of one symbol (262,080 rows), 17 months (744,480 rows) with --full, through the simulated exchange
with Binance's limit of 6,000 weight a minute and a fixed latency. Floor and backfill take turns; the ratio of each pair is what
counts, the machine's speed is not.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import httpx

from extract_process.ranges import Range, grid_of
from extract_process.venues.binance.rest import PAGE_ROWS
from processes import exchange
from report import Report, options
from tickhouse.embedded import environment_variables
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
    parser = options(__doc__)
    parser.add_argument("--full", action="store_true", help="17 months instead of six")
    parser.add_argument("--latency-ms", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    pages = _pages(FULL_END if arguments.full else END)
    rows = sum(map(GRID.count, pages))
    rounds = [_one_round(pages, rows, arguments.latency_ms) for _ in range(arguments.rounds)]
    floor = statistics.median(one.floor for one in rounds)
    table: list[tuple[object, ...]] = [("floor", floor, 1.0, rows / floor, rounds[0].counted_weight, None, "")]
    for name, goal in (("backfill", ""), ("process", "<= 1.05")):
        seconds = [getattr(one, name) for one in rounds]
        ratio = statistics.median(spent / one.floor for spent, one in zip(seconds, rounds, strict=True))
        middle, peak = statistics.median(seconds), max(one.peak_megabytes for one in rounds)
        table.append((name, middle, ratio, rows / middle, rounds[0].weight, round(peak), goal))
    report.table(
        f"Backfill of {rows:,} klines in {len(pages):,} pages, {arguments.latency_ms} ms latency",
        ("", "seconds", "of the floor", "rows/s", "weight", "peak MB", "goal"),
        table,
        """Wall time over that of the same requests whose answers are thrown away unread. `backfill` is without the start of its
        process, `process` with it: about the same seconds for any size. The floor is twice as fast as Binance allows after the
        first minute (6,000 of weight); a backfill of years waits for the limit, and parses meanwhile.""",
    )
    report.finish()


def _pages(end: str) -> list[Range]:
    return list(GRID.split(Range(parse_instant(START), GRID.before(parse_instant(end))), PAGE_ROWS))


def _one_round(pages: list[Range], rows: int, latency_ms: int) -> Round:
    with tempfile.TemporaryDirectory() as data, exchange("--latency-ms", str(latency_ms)) as url:
        asyncio.run(_fetch_and_forget(url, pages))  # the exchange makes its market: not part of either's time
        httpx.post(f"{url}/simulator/reset").raise_for_status()
        floor = asyncio.run(_fetch_and_forget(url, pages))
        httpx.post(f"{url}/simulator/reset").raise_for_status()
        with environment_variables({"TICKHOUSE_DATA": data}):
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


if __name__ == "__main__":
    main()

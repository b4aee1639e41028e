"""One folder on one machine: how long until history can be queried and a candle is on the page, and what recording costs.

    .venv/bin/python benchmarks/bench_one_folder.py [--months 3] [--live 30] [--only recording]

The simulated exchange is a process of its own, without internet in between; commands are started as a person starts them.
`limit` is how long the venue's request weight alone takes: 1,000 klines cost 2 of 5,700 a minute, the first minute is free.
Recording is measured on busy markets: 50 to 90 trades and 10 diffs of 30 levels a second and symbol; the recording of
2024-08-08, a busy hour, has 30 trades and 10 diffs of 46 levels. Latency is receipt_time - event_time of every row: one clock.
Needs Linux (/proc).
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pyarrow.dataset as ds

from processes import cpu_seconds, exchange, free_port, resident_mb, symbols_of
from report import Report, options

SYMBOLS = 5
BUSY_PACE = 50
TICKHOUSE = [sys.executable, "-m", "tickhouse"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--months", type=int, default=3)
    parser.add_argument("--live", type=float, default=30, help="seconds of recording")
    parser.add_argument("--only", choices=("history", "recording"), help="a part alone")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if arguments.only != "recording":
            with _exchange() as symbols:
                rows = [_history(symbols, arguments.months, source) for source in ("rest", "auto")]
                report.table(f"{arguments.months} months of 1m klines of {SYMBOLS} symbols into one folder", HISTORY, rows, MEANS)
                seconds = _first_candle(symbols)
                report.table("`tickhouse local` in an empty folder", ("", "seconds"), [("first candle on the page", seconds)])
        if arguments.only != "history":
            with _exchange("--pace", str(BUSY_PACE)) as symbols:
                title = f"`tickhouse local` records {SYMBOLS} busy symbols for {arguments.live:.0f} s"
                report.table(title, RECORDING, [_recording(symbols, arguments.live)], "Milliseconds from event to receipt.")
    report.finish()


HISTORY = ("source", "rows", "seconds", "limit s", "rows/s", "CPU s", "peak MB")
RECORDING = ("", "% of a core", "peak MB", "trades", "diffs", "p50 ms", "p99 ms", "p99.9 ms")
MEANS = "Until every row is queryable and in gold. The limit is what the venue's request weight alone takes."


def _history(symbols: list[str], months: int, source: str) -> tuple[object, ...]:
    end = f"{2024 + months // 12}-{1 + months % 12:02}-01"
    command = [*TICKHOUSE, "klines", "--data", source, *symbols, "--start", "2024-01-01", "--end", end, "--source", source]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert status == 0, f"{command} failed"
    rows = _query(source, "select count() as n from klines")["n"]
    limit = max(0.0, rows / 1_000 * 2 / 5_700 - 1) * 60 if source == "rest" else 0.0
    return source, rows, seconds, limit, rows / seconds, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def _first_candle(symbols: list[str]) -> float:
    """Seconds from the command in an empty folder to a candle of history on the page."""
    since = f"{time.strftime('%Y-%m-%d', time.gmtime(time.time() - 7 * 86_400))}"
    port = free_port()
    began = time.monotonic()
    with _local("candle", port, *symbols, "--since", since):
        page = f"http://127.0.0.1:{port}/api/klines"
        asked = {"venue": "binance", "symbol": symbols[1], "interval": "1m"}
        while True:
            try:
                answer = httpx.get(page, params=asked, timeout=10)
                if answer.is_success and answer.json():
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        return time.monotonic() - began


def _recording(symbols: list[str], seconds: float) -> tuple[object, ...]:
    with _local("live", 0, *symbols) as process:
        time.sleep(20)  # books are synced, the engine is warm: the steady state is what is measured
        before, began, peak = cpu_seconds(process.pid), time.monotonic(), 0
        while time.monotonic() - began < seconds:
            time.sleep(1)
            peak = max(peak, resident_mb(process.pid))
        share = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
    rows = _query("live", "select (select count() from trades) as trades, (select count() from depth_diffs) as diffs")
    return "recording", 100 * share, peak, rows["trades"], rows["diffs"], *_latency()


def _query(folder: str, sql: str) -> dict[str, int]:
    command = [*TICKHOUSE, "query", "--data", folder, "--json", sql]
    answer: dict[str, int] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def _latency() -> tuple[float, ...]:
    """Milliseconds of every trade from event to receipt."""
    lake = ds.dataset("live/lake/data_sources/trades", format="parquet")
    rows = lake.to_table(["event_time", "receipt_time"])
    event, receipt = (rows[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
    return tuple(float(np.percentile(receipt - event, mark)) / 1_000 for mark in (50, 99, 99.9))


@contextmanager
def _local(folder: str, port: int, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [*TICKHOUSE, "local", "--data", folder, "--port", str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watchdog = threading.Timer(600, process.kill)
    watchdog.start()
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        watchdog.cancel()
        process.kill()


@contextmanager
def _exchange(*words: str) -> Iterator[list[str]]:
    """Its symbols as options."""
    with exchange("--symbols", str(SYMBOLS), *words) as url:
        yield [word for symbol in symbols_of(url) for word in ("--symbol", symbol)]


if __name__ == "__main__":
    main()

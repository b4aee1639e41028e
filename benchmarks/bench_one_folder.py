"""One folder on one machine: how long until history can be queried and a candle is on the page, and what recording costs.

    .venv/bin/python benchmarks/bench_one_folder.py [--months 12] [--live 120] [--only recording]

The simulated exchange is a process of its own, without internet in between; commands are started as a person starts them.
`limit` is how long the venue's request weight alone takes: 1,000 klines cost 2 of 5,700 a minute, the first minute is free.
Recording is measured on busy markets: 50 to 90 trades and 10 diffs of 30 levels a second and symbol; the recording of
2024-08-08, a busy hour, has 30 trades and 10 diffs of 46 levels. Latency is receipt_time - event_time of every row: one clock.
Needs Linux (/proc).
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow.dataset as ds

SYMBOLS = 5
BUSY_PACE = 50
TICKHOUSE = [sys.executable, "-m", "tickhouse"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--live", type=float, default=120, help="seconds of recording")
    parser.add_argument("--only", choices=("history", "recording"), help="a part alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["LOG_LEVEL"] = "WARNING"
        if arguments.only != "recording":
            with _exchange() as symbols:
                _history(symbols, arguments.months)
                _first_candle(symbols)
        if arguments.only != "history":
            with _exchange("--pace", str(BUSY_PACE)) as symbols:
                _recording(symbols, arguments.live)


def _history(symbols: list[str], months: int) -> None:
    end = f"{2024 + months // 12}-{1 + months % 12:02}-01"
    for source in ("rest", "auto"):
        command = [*TICKHOUSE, "klines", "--data", source, *symbols, "--start", "2024-01-01", "--end", end, "--source", source]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        assert status == 0, f"{command} failed"
        asked = subprocess.run(
            [*TICKHOUSE, "query", "--data", source, "--json", "select count() as n from klines"],
            capture_output=True,
            text=True,
            check=True,
        )
        rows = json.loads(asked.stdout)["n"]
        limit = max(0.0, rows / 1_000 * 2 / 5_700 - 1) * 60 if source == "rest" else 0.0
        print(
            f"{months} months of 1m klines by {source}: {rows:,} rows queryable after {seconds:.1f} s (limit {limit:.0f} s), "
            f"{rows / seconds:,.0f} rows/s, {used.ru_utime + used.ru_stime:.1f} s of CPU, peak {used.ru_maxrss // 1024} MB",
            flush=True,
        )


def _first_candle(symbols: list[str]) -> None:
    """From the command in an empty folder to a candle of history on the page."""
    since = f"{time.strftime('%Y-%m-%d', time.gmtime(time.time() - 7 * 86_400))}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
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
        print(f"first candle on the page {time.monotonic() - began:.1f} s after `tickhouse local`", flush=True)


def _recording(symbols: list[str], seconds: float) -> None:
    with _local("live", 0, *symbols) as process:
        time.sleep(20)  # books are synced, the engine is warm: the steady state is what is measured
        before, began, peak = _cpu_seconds(process), time.monotonic(), 0
        while time.monotonic() - began < seconds:
            time.sleep(1)
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(status.partition("VmRSS:")[2].split()[0]) // 1024)
        share = (_cpu_seconds(process) - before) / (time.monotonic() - began)
    sql = "select (select count() from trades) as trades, (select count() from depth_diffs) as diffs"
    asked = subprocess.run([*TICKHOUSE, "query", "--data", "live", "--json", sql], capture_output=True, text=True, check=True)
    rows = json.loads(asked.stdout)
    print(
        f"recording {SYMBOLS} busy symbols: {share:.0%} of a core, at most {peak} MB; "
        f"{rows['trades']:,} trades and {rows['diffs']:,} diffs in {seconds + 20:.0f} s, {_latency()}",
        flush=True,
    )


def _latency() -> str:
    lake = ds.dataset("live/lake/data_sources/trades", format="parquet")
    rows = lake.to_table(["event_time", "receipt_time"])
    event, receipt = (rows[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
    marks = ", ".join(f"p{mark} {np.percentile(receipt - event, mark) / 1_000:.1f}" for mark in (50, 99, 99.9))
    return f"receipt after event in ms: {marks}"


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
def _exchange(*options: str) -> Iterator[list[str]]:
    """Its symbols as options; the environment names its address."""
    command = [sys.executable, "-m", "simulated_exchange", "--port", "0", "--symbols", str(SYMBOLS), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[0-9.:]+", process.stdout.readline())
            assert found is not None, "the exchange names its address"
            url, names = found[0], ("BINANCE_REST_URL", "BINANCE_ARCHIVE_URL")
            os.environ |= dict.fromkeys(names, url) | {"BINANCE_WS_URL": url.replace("http", "ws")}
            known = httpx.get(f"{url}/api/v3/exchangeInfo", timeout=60).json()["symbols"]
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {SYMBOLS} symbols", flush=True)
            yield [word for item in known for word in ("--symbol", item["symbol"])]
        finally:
            process.terminate()


def _cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

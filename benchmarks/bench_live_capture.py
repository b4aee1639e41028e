"""A live capture of many symbols over time: does it keep up, how late is it, how much memory and CPU does it take?

    .venv/bin/python benchmarks/bench_live_capture.py [--symbols 100] [--minutes 1.5] [--every 15]

500 symbols take 200 s alone until every book is synced, which the venue's weight limit sets: give them --minutes 5 or more.

The simulated exchange (diffs every 100 ms and trades of every symbol), S3 + SQS (moto) and the capture are processes of
their own; the capture has one core to itself. Latency is receipt_time - event_time of every row that landed: one clock,
the exchange stamps it when it makes the message. Needs Linux (/proc).
"""

import argparse
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq

from tickhouse.provision import provision_aws
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store

BUCKET = "crypto"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--every", type=float, default=15, help="seconds between two lines")
    arguments = parser.parse_args()
    print(f"{arguments.symbols} symbols for {arguments.minutes} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder, _lake(), _exchange(arguments.symbols) as url:
        os.environ |= {"SPOOL_DIR": folder, "BINANCE_REST_URL": url, "BINANCE_WS_URL": url.replace("http", "ws")}
        symbols = [item["symbol"] for item in httpx.get(f"{url}/api/v3/exchangeInfo", timeout=60).json()["symbols"]]
        words = [word for symbol in symbols for word in ("--symbol", symbol)]
        capture = subprocess.Popen([sys.executable, "-m", "extract_process.stream", *words])
        os.sched_setaffinity(capture.pid, {max(os.sched_getaffinity(0))})
        _watch(capture, arguments.minutes * 60, arguments.every)
        capture.send_signal(signal.SIGTERM)
        capture.wait()
        _tell()


def _watch(capture: "subprocess.Popen[bytes]", seconds: float, every: float) -> None:
    """One line each time: age, resident memory, CPU share since the last line."""
    began, last_cpu, last_at = time.monotonic(), 0.0, time.monotonic()
    while (age := time.monotonic() - began) < seconds and capture.poll() is None:
        time.sleep(min(every, seconds - age))
        status = Path(f"/proc/{capture.pid}/status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0]) // 1024
        fields = Path(f"/proc/{capture.pid}/stat").read_text().rpartition(")")[2].split()
        cpu, now = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), time.monotonic()
        share = (cpu - last_cpu) / (now - last_at)
        print(f"{now - began:6.0f} s  {resident:5} MB  {share:6.1%} of a core", flush=True)
        last_cpu, last_at = cpu, now


def _tell() -> None:
    """What landed, and how late it was received."""
    store = S3Store(BUCKET)
    for dataset in ("depth_diffs", "trades"):
        late = np.concatenate([_lateness(store, item.key) for item in store.list_keys(f"data_sources/{dataset}/")])
        marks = ", ".join(f"p{mark} {np.percentile(late, mark):.1f}" for mark in (50, 99, 99.9))
        print(f"{dataset}: {len(late):,} rows, receipt after event in ms: {marks}, max {late.max():.1f}")
    events = [
        row
        for item in store.list_keys("data_sources/stream_events/")
        for row in pq.read_table(_open(store, item.key)).to_pylist()
    ]
    print(dict(Counter(event["event"] for event in events)))
    synced = [event["started_at"] for event in events if event["event"] == "synced"]
    if synced:
        started = min(event["started_at"] for event in events)
        print(f"{len(synced)} books synced, the last after {(max(synced) - started).total_seconds():.1f} s")


def _lateness(store: ObjectStore, key: str) -> Any:
    table = pq.read_table(_open(store, key), columns=["event_time", "receipt_time"])
    event, receipt = (table[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
    return (receipt - event) / 1_000


def _open(store: ObjectStore, key: str) -> io.BytesIO:
    return io.BytesIO(store.read(key).body)


@contextmanager
def _lake() -> Iterator[None]:
    port = _free_port()
    program = (
        "import logging, sys; from moto.server import ThreadedMotoServer; logging.getLogger('werkzeug').setLevel('ERROR'); "
        f"s = ThreadedMotoServer(ip_address='127.0.0.1', port={port}, verbose=False); s.start(); "
        "print('ready', flush=True); sys.stdin.read(); s.stop()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        provision_aws(BUCKET)
        try:
            yield
        finally:
            process.communicate()


@contextmanager
def _exchange(symbols: int) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "simulated_exchange", "--port", str(port), "--symbols", str(symbols)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(f"{url}/api/v3/ping").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

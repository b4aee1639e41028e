"""A live capture of many symbols over time: does it keep up, how late is it, how much memory and CPU does it take?

    .venv/bin/python benchmarks/bench_live_capture.py [--symbols 100] [--minutes 1.5] [--every 15]

500 symbols take 200 s alone until every book is synced, which the venue's weight limit sets: give them --minutes 5 or more.

The simulated exchange (diffs every 100 ms and trades of every symbol), S3 + SQS (moto) and the capture are processes of
their own; the capture has one core to itself. Latency is receipt_time - event_time of every row that landed: one clock,
the exchange stamps it when it makes the message. Needs Linux (/proc).
"""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from processes import cpu_seconds, exchange, moto_server, resident_mb, symbols_of
from report import Report, options
from tickhouse.provision import provision_aws
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store

BUCKET = "crypto"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--every", type=float, default=15, help="seconds between two lines")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory() as folder, moto_server(), exchange("--symbols", str(arguments.symbols)) as url:
        provision_aws(BUCKET)
        os.environ["SPOOL_DIR"] = folder
        words = [word for symbol in symbols_of(url) for word in ("--symbol", symbol)]
        capture = subprocess.Popen([sys.executable, "-m", "extract_process.stream", *words], stdout=subprocess.DEVNULL)
        os.sched_setaffinity(capture.pid, {max(os.sched_getaffinity(0))})
        rows = _watch(capture, arguments.minutes * 60, arguments.every)
        report.table(f"Capture of {arguments.symbols} symbols", ("seconds", "MB", "% of a core"), rows)
        capture.send_signal(signal.SIGTERM)
        capture.wait()
        _tell(report)
    report.finish()


def _watch(capture: "subprocess.Popen[bytes]", seconds: float, every: float) -> list[tuple[object, ...]]:
    """A row each time: age, resident memory, CPU share since the last row."""
    rows: list[tuple[object, ...]] = []
    began, last_cpu, last_at = time.monotonic(), 0.0, time.monotonic()
    while (age := time.monotonic() - began) < seconds and capture.poll() is None:
        time.sleep(min(every, seconds - age))
        cpu, now = cpu_seconds(capture.pid), time.monotonic()
        rows.append((round(now - began), resident_mb(capture.pid), 100 * (cpu - last_cpu) / (now - last_at)))
        last_cpu, last_at = cpu, now
    return rows


def _tell(report: Report) -> None:
    """What landed, and how late it was received."""
    store, rows = S3Store(BUCKET), []
    for dataset in ("depth_diffs", "trades"):
        late = np.concatenate([_lateness(store, item.key) for item in store.list_keys(f"data_sources/{dataset}/")])
        rows.append((dataset, len(late), *(float(np.percentile(late, mark)) for mark in (50, 99, 99.9)), float(late.max())))
    report.table("Receipt after event, milliseconds", ("", "rows", "p50", "p99", "p99.9", "max"), rows)
    events = [
        row
        for item in store.list_keys("data_sources/stream_events/")
        for row in pq.read_table(_open(store, item.key)).to_pylist()
    ]
    report.table("Events", ("event", "times"), Counter(event["event"] for event in events).most_common())
    synced = [event["started_at"] for event in events if event["event"] == "synced"]
    if synced:
        started = min(event["started_at"] for event in events)
        row = (len(synced), (max(synced) - started).total_seconds())
        report.table("Books", ("synced", "seconds until the last was"), [row])


def _lateness(store: ObjectStore, key: str) -> Any:
    table = pq.read_table(_open(store, key), columns=["event_time", "receipt_time"])
    event, receipt = (table[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
    return (receipt - event) / 1_000


def _open(store: ObjectStore, key: str) -> io.BytesIO:
    return io.BytesIO(store.read(key).body)


if __name__ == "__main__":
    main()

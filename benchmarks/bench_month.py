"""A month of the lake of two venues, scaled: objects, requests of the compactor, and memory of the store.

    .venv/bin/python benchmarks/bench_month.py [--symbols 50] [--batch-seconds 600] [--days 7]
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 .venv/bin/python benchmarks/bench_month.py --days 3 --pid PID

Every hour of the month is recorded in objects of `--batch-seconds`, as captures write them: trades and diffs of all symbols of a
venue, under the keys of the lake, and heartbeats; with few rows, since requests count objects and not rows. Then comes the pass
of that hour, as `tickhouse compact --every 1h` makes it, with a clock that says that hour. Days follow in which nothing is
recorded, until the last sources are deleted. The store is in memory, and counts what S3 would be sent. With AWS_ENDPOINT_URL it
is that one, and its client counts; `--pid` is the process of LocalStack, whose memory is shown.
"""

import argparse
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from counted_stores import OPERATIONS, CountedMemory, CountedS3
from extract_process.parquet import parquet_bytes
from processes import resident_mb
from report import Report, options
from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.day import DayOptions
from tickhouse.compact.passes import Selection, compact
from tickhouse_core.aws import s3_client
from tickhouse_core.columns import INSTANT, LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, HEARTBEATS, TRADES, Dataset
from tickhouse_core.lake_keys import compacted_name, hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore

FIRST = 1_723_161_600_000_000
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
VENUES = ("binance", "kucoin")
RECORDED = (TRADES, DEPTH_DIFFS, HEARTBEATS)
BEAT_SECONDS = 120
DAYS_AFTER = 3
"""Until the last day is merged, its sources are deleted, and a pass has found nothing left to do."""

WRITERS = 4

COLUMNS = ("PUT", "GET", "HEAD", "DELETE", "LIST")

OBJECTS = "In the lake at the end of a day: recorded ones, those of a symbol and a day, and records of compactions."
REQUESTS = """Of the compactor, for all datasets and both venues, with a pass an hour. HEAD is part of a deletion. CPU is that of
the compactor with its store or the client of it."""
MEMORY = "LocalStack Community has all objects in memory; that it gives none back is the allocator's."


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--batch-seconds", type=int, default=600)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--pid", type=int, default=0)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    store: CountedS3 | CountedMemory = CountedMemory()
    if os.environ.get("AWS_ENDPOINT_URL"):
        store = CountedS3(f"bench-month-{os.getpid()}")
        s3_client().create_bucket(Bucket=store.bucket)
    show(report, arguments, store)
    report.finish()


def show(report: Report, arguments: argparse.Namespace, store: CountedS3 | CountedMemory) -> None:
    """Runs the month; three tables."""
    pid: int = arguments.pid
    month = Month(store, [f"S{number:03}USDT" for number in range(arguments.symbols)], arguments.batch_seconds * SECOND)
    objects, requests, seconds = [], Counter[str](), 0.0
    memory = [("empty", resident_mb(pid))] if pid else []
    for day in range(arguments.days + DAYS_AFTER):
        used, counted = time.process_time(), Counter[str]()
        for hour in range(24):
            if day < arguments.days:
                month.record(FIRST + day * DAY + hour * HOUR)
            store.requests.clear()
            used = time.process_time()
            month.compact(FIRST + day * DAY + (hour + 1) * HOUR)
            seconds += time.process_time() - used
            counted.update(store.requests)
        requests.update(counted)
        name = f"day {day + 1}" if day < arguments.days else f"day {day + 1}, nothing recorded"
        objects.append((name, *month.objects(), *(counted[operation] for operation in OPERATIONS)))
        if pid:
            memory.append((name, resident_mb(pid)))
        print(objects[-1], *memory[-1:], flush=True)
    title = f"{arguments.days} days of {arguments.symbols} symbols of two venues, in objects of {arguments.batch_seconds} s"
    report.table(title, ("at the end of", "recorded", "compacted", "records", *COLUMNS), objects, OBJECTS)
    total = [("all days", month.recorded, *(requests[operation] for operation in OPERATIONS), seconds)]
    report.table("Requests", ("of", "objects recorded", *COLUMNS, "CPU s"), total, REQUESTS)
    if pid:
        report.table("Memory of the store", ("at the end of", "MB"), memory, MEMORY)
    else:
        report.left_out("the memory of the store: name its process with --pid")


class Month:
    """Hours of a lake in turn with the passes over it. `recorded` counts objects."""

    def __init__(self, store: ObjectStore, symbols: list[str], batch_us: int) -> None:
        self._store = store
        self._symbols, self._batch_us = symbols, batch_us
        self.recorded = 0

    def record(self, hour_us: int) -> None:
        """What both venues' captures write in an hour."""
        waiting = [
            (dataset, venue, start)
            for dataset in RECORDED
            for start in range(hour_us, hour_us + HOUR, self._interval_us(dataset))
            for venue in VENUES
        ]
        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in threads.map(lambda one: self._write(*one), waiting):
                self.recorded += 1

    def compact(self, at_us: int) -> None:
        """The pass of a schedule: only days that are over."""
        done = list[VenueCounts]()
        closed_us = (at_us - 2 * HOUR) // DAY * DAY
        compact(self._store, Selection(), DayOptions(closed_us, DAY, clock=lambda: at_us), StopRequest(), done)
        assert not any(one.counts.refused for one in done), "a loader would take all of them"

    def objects(self) -> tuple[int, int, int]:
        """Recorded, compacted, and records of compactions."""
        keys = [one.key for dataset in RECORDED for one in self._store.list_keys(dataset.prefix)]
        compacted = sum(compacted_name(key) is not None for key in keys)
        return len(keys) - compacted, compacted, sum(1 for _ in self._store.list_keys("compactions/"))

    def _interval_us(self, dataset: Dataset) -> int:
        return max(BEAT_SECONDS * SECOND, self._batch_us) if dataset is HEARTBEATS else self._batch_us

    def _write(self, dataset: Dataset, venue: str, start: int) -> None:
        rows = heartbeat(venue, start) if dataset is HEARTBEATS else market_rows(dataset, venue, self._symbols, start)
        number = start // self._interval_us(dataset)
        self._store.write(hourly_key(dataset, venue, start + 1, "bench", number), parquet_bytes(rows, dataset))


def market_rows(dataset: Dataset, venue: str, symbols: list[str], start: int) -> pa.Table:
    """A row of each symbol; ids grow with time."""
    count = len(symbols)
    times = pa.array(np.full(count, start)).cast(INSTANT)
    ids = pa.array(np.full(count, start // SECOND), pa.uint64())
    level = pa.array([[{"price": 60_000, "quantity": 1}]] * count, LEVELS)
    decimals = pa.array(np.arange(1, count + 1)).cast(pa.decimal128(38, 0))
    columns: dict[str, Any] = {
        "venue": pa.array([venue] * count),
        "symbol": pa.array(symbols),
        **dict.fromkeys(("trade_id", "first_update_id", "last_update_id"), ids),
        **dict.fromkeys(("price", "quantity"), decimals),
        **dict.fromkeys(("bids", "asks"), level),
        "is_buyer_maker": pa.array([True] * count),
        **dict.fromkeys(("trade_time", "event_time", "receipt_time"), times),
    }
    return pa.table([columns[field.name].cast(field.type) for field in dataset.schema], schema=dataset.schema)


def heartbeat(venue: str, start: int) -> pa.Table:
    row = {"venue": venue, "process": "stream", "instance": "bench", "connections": 1, "frames": 1, "rows": 1, "spool_bytes": 0}
    return pa.Table.from_pylist([row | {"started_at": FIRST, "beat_time": start, "detail": ""}], schema=HEARTBEATS.schema)


if __name__ == "__main__":
    main()

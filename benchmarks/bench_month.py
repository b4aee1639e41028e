"""A month of the lake of two venues, scaled: objects, requests of the compactor, and memory of the store.

    .venv/bin/python benchmarks/bench_month.py [--symbols 50] [--batch-seconds 60] [--days 10]
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 .venv/bin/python benchmarks/bench_month.py --batch-seconds 10 --days 30 --pid PID

A day is recorded in objects of `--batch-seconds`, as captures write them: trades and diffs of all symbols of a venue, under the
keys of the lake, and heartbeats; with few rows, since requests count objects and not rows. It is compacted, and its sources are
deleted. Then days follow in objects of an hour, with a compactor whose clock is theirs: a pass that merges the day before and
one that finds no work, of 24 that there are. Requests are counted at the client of S3. `--pid`: the process of LocalStack.
Without AWS_ENDPOINT_URL the store is moto.
"""

import argparse
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from extract_process.parquet import parquet_bytes
from processes import moto_server, resident_mb
from report import Report, options
from tickhouse.compact.day import DayOptions
from tickhouse.compact.passes import Selection, VenueCounts, compact
from tickhouse_core.aws import s3_client
from tickhouse_core.datasets import DEPTH_DIFFS, HEARTBEATS, INSTANT, LEVELS, TRADES, Dataset
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import StoredObject
from tickhouse_core.s3_store import S3Store

FIRST = 1_723_161_600_000_000
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
VENUES = ("binance", "kucoin")
BEAT_SECONDS = 120


OBJECTS = "Before and after: recorded objects, and those of one symbol and day that they became."
REQUESTS = """Of the compactor, counted at the client, for all datasets and both venues. HEAD is part of a deletion. With a pass
an hour a month has 720, of which 30 merge a day."""
MEMORY = "LocalStack Community and moto have all objects in memory; that they give none back is the allocator's."

Cells = list[tuple[Any, ...]]


class CountedStore(S3Store):
    """Counts its requests by operation."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._client.meta.events.register("before-send.s3", self._count)

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        """Small objects do not come by boto3."""
        self._add("GetObject")
        return super().read(key, most_bytes=most_bytes)

    def _count(self, event_name: str, **_rest: Any) -> None:
        self._add(event_name.rpartition(".")[2])

    def _add(self, operation: str) -> None:
        with self._lock:
            self.requests[operation] += 1


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--batch-seconds", type=int, default=60)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--pid", type=int, default=0)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with store_process(arguments) as pid:
        Month(report, arguments, pid).run()
    report.finish()


@contextmanager
def store_process(arguments: argparse.Namespace) -> Iterator[int]:
    """Its id; 0 where only its address is known."""
    if os.environ.get("AWS_ENDPOINT_URL"):
        yield arguments.pid
        return
    with moto_server() as pid:
        yield pid


class Month:
    """What was counted, step by step."""

    def __init__(self, report: Report, arguments: argparse.Namespace, pid: int) -> None:
        bucket = f"bench-month-{os.getpid()}"
        s3_client().create_bucket(Bucket=bucket)
        self._store = CountedStore(bucket)
        self._report, self._pid = report, pid
        self._symbols = [f"S{number:03}USDT" for number in range(arguments.symbols)]
        self._batch_us, self._days = arguments.batch_seconds * SECOND, arguments.days
        self._requests: Cells = []
        self._memory: Cells = []

    def run(self) -> None:
        self._say_memory("empty")
        self._requests.append(("recording it", *self._counted(lambda: self._record(FIRST, self._batch_us))))
        self._say_memory("with a day as it was recorded")
        before = self._sizes()
        self._pass("the pass that merges it", FIRST + DAY + 3 * HOUR)
        self._say_memory("with both")
        self._pass("the pass that deletes its sources", FIRST + 2 * DAY + 4 * HOUR)
        after = self._sizes()
        self._pass("the pass that settles it", FIRST + 2 * DAY + 5 * HOUR)
        self._pass("a pass without work, after a day", FIRST + 2 * DAY + 6 * HOUR)
        self._say_memory("with the merged day")
        self._month()
        names = [dataset.name for dataset in (TRADES, DEPTH_DIFFS, HEARTBEATS)]
        rows = [(name, before[name][0], after[name][0], before[name][1] / 1e6, after[name][1] / 1e6) for name in names]
        title = f"A day of {len(self._symbols)} symbols of two venues, in objects of {self._batch_us // SECOND} s"
        self._report.table(title, ("dataset", "objects", "after", "MB", "MB after"), rows, OBJECTS)
        self._report.table("Requests", ("of", "PUT", "GET", "HEAD", "DELETE", "LIST"), self._requests, REQUESTS)
        if self._pid:
            self._report.table("Memory of the store", ("when", "MB"), self._memory, MEMORY)
        else:
            self._report.left_out("the memory of the store: name its process with --pid")

    def _month(self) -> None:
        """The first day is there already, and nothing is left to do about it."""
        if self._days < 2:
            return
        for number in range(1, self._days):
            day = FIRST + number * DAY
            self._record(day, HOUR)
            passed = self._counted(lambda: self._compact(day + DAY + 3 * HOUR))  # noqa: B023 - called here
        self._requests.append(
            (f"the pass that merges day {self._days}, of hours, and deletes the sources of the day before", *passed)
        )
        self._compact(FIRST + self._days * DAY + 28 * HOUR)
        self._compact(FIRST + self._days * DAY + 29 * HOUR)
        self._pass(f"a pass without work, after {self._days} days", FIRST + self._days * DAY + 30 * HOUR)
        self._say_memory(f"with {self._days} merged days")

    def _pass(self, name: str, at_us: int) -> None:
        self._requests.append((name, *self._counted(lambda: self._compact(at_us))))

    def _compact(self, at_us: int) -> None:
        done = list[VenueCounts]()
        compact(self._store, Selection(), DayOptions(at_us - 2 * HOUR, DAY, clock=lambda: at_us), StopRequest(), done)
        assert not any(one.counts.refused for one in done), "a loader would take all of them"

    def _counted(self, work: Any) -> tuple[int, ...]:
        self._store.requests.clear()
        work()
        found = self._store.requests
        return tuple(found[name] for name in ("PutObject", "GetObject", "HeadObject", "DeleteObject", "ListObjectsV2"))

    def _record(self, day: int, batch_us: int) -> None:
        for number, start in enumerate(range(day, day + DAY, batch_us)):
            for venue in VENUES:
                for dataset in (TRADES, DEPTH_DIFFS):
                    self._write(dataset, market_rows(dataset, venue, self._symbols, start), venue, start, number)
        for number, start in enumerate(range(day, day + DAY, max(BEAT_SECONDS * SECOND, batch_us))):
            for venue in VENUES:
                self._write(HEARTBEATS, heartbeat(venue, start), venue, start, number)

    def _write(self, dataset: Dataset, rows: pa.Table, venue: str, start: int, number: int) -> None:
        self._store.write(hourly_key(dataset, venue, start + 1, "bench", number), parquet_bytes(rows, dataset))

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes by dataset; once sources are gone only compacted ones."""
        found = {}
        for dataset in (TRADES, DEPTH_DIFFS, HEARTBEATS):
            sizes = [one.size for one in self._store.list_keys(dataset.prefix)]
            found[dataset.name] = (len(sizes), sum(sizes))
        return found

    def _say_memory(self, when: str) -> None:
        if self._pid:
            self._memory.append((when, resident_mb(self._pid)))


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

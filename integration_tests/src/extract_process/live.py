"""What tests of the live capture share: a capture in a thread, the lake's rows, and the exchange's account. Not a test."""

import io
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.commands import ChildProcess
from tests.waiting import patience
from tests.waiting import wait_until as wait_until

from extract_process.live.options import StreamOptions
from extract_process.live.session import CaptureReport, run_capture
from extract_process.spool.limits import BatchLimits
from simulated_exchange.app import RunningExchange
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore

SOURCES = Path(__file__).resolve().parents[3] / "src"
Ids = set[int]


class LiveRun:
    """A capture of this process; `report` is there once `stop` has returned."""

    def __init__(self, options: StreamOptions) -> None:
        self.report: CaptureReport | None = None
        self._request = StopRequest()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(options,), name="capture")
        self._thread.start()

    def stop(self) -> CaptureReport:
        self._request.set()
        self._thread.join(patience(60))
        if self._failure is not None:
            raise self._failure
        assert self.report is not None, "the capture did not end within a minute"
        return self.report

    def _run(self, options: StreamOptions) -> None:
        try:
            self.report = run_capture(options, self._request)
        except BaseException as failure:  # noqa: BLE001  # raised again by `stop`
            self._failure = failure


@contextmanager
def capturing(*symbols: str, channels: tuple[str, ...] = ("trades", "depth"), **options: Any) -> Iterator[LiveRun]:
    """Captures until the context ends."""
    options = {"limits": BatchLimits(age_seconds=1.0), "overlap_seconds": 0.5, **options}
    run = LiveRun(StreamOptions(wanted=dict.fromkeys(symbols, channels), **options))
    try:
        yield run
    finally:
        run.stop()


def start_command(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """`python -m extract_process.stream` as a user starts it."""
    variables = {**os.environ, "PYTHONPATH": str(SOURCES), **environment}
    command = [sys.executable, "-m", "extract_process.stream", *arguments]
    return ChildProcess(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_of(store: ObjectStore, dataset: str) -> list[dict[str, Any]]:
    """Every row of every object of a dataset in the order of keys; doubles stay visible."""
    return [row for table in tables_of(store, dataset) for row in table.to_pylist()]


def row_count(store: ObjectStore, dataset: str) -> int:
    return sum(table.num_rows for table in tables_of(store, dataset))


def tables_of(store: ObjectStore, dataset: str) -> list[pa.Table]:
    return [_table(store, item.key, item.etag) for item in store.list_keys(f"data_sources/{dataset}/")]


@lru_cache(maxsize=1_000)
def _table(store: ObjectStore, key: str, _etag: str) -> pa.Table:
    """Read once in each test: waiting for rows would otherwise fetch all objects many times a second."""
    return pq.read_table(io.BytesIO(store.read(key).body))


def events_of(store: ObjectStore, event: str, channel: str | None = None) -> list[dict[str, Any]]:
    rows = [row for row in rows_of(store, "stream_events") if row["event"] == event]
    return [row for row in rows if channel in (None, row["channel"])]


def ids_in_events(store: ObjectStore, event: str, channel: str, symbol: str) -> Ids:
    """All ids of these events; an id in two of them is one too many."""
    ids: Ids = set()
    for row in events_of(store, event, channel):
        if row["symbol"] == symbol:
            span = set(range(row["from_update_id"], row["to_update_id"] + 1))
            assert ids.isdisjoint(span), f"{event} of {symbol} says {sorted(ids & span)[:5]} twice"
            ids |= span
    return ids


def missing_of(exchange: RunningExchange, stream: str) -> Ids:
    """What the exchange never sent on a stream, between the first and the last id it sent."""
    told = exchange.tally()["sockets"]["streams"][stream]
    return {number for first, last in told["missing"] for number in range(first, last + 1)}


def happened(exchange: RunningExchange, plan: Sequence[SocketFault]) -> bool:
    """A message that is to be reordered while another of its stream is held back goes its way: a few do not happen."""
    kinds = Counter(fault["kind"] for fault in exchange.tally()["sockets"]["faults"])
    few = {SocketFaultKind.REORDER: 0.85}
    return all(kinds[str(fault.kind)] >= (fault.count or 0) * few.get(fault.kind, 1) for fault in plan)

"""Objects loaded on demand, without a queue: what reconcile and redrive name, loaded exactly as the queue loader does it."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum

from load_process.batch_insert import BatchInsert, load_window
from load_process.compacted import RetiredSources
from load_process.ledger import COVERED, LOADED, QUARANTINED, REPLACED, Ledger, LedgerStatus
from load_process.limits import LoadLimits, LoadMemory
from load_process.object_reader import READERS, ObjectReader
from load_process.objects import LoadRequest, LoadStatus, ObjectVersion
from tickhouse_core.backoff import Backoff
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.warehouse import Warehouse

PATIENCE_SECONDS = 30.0
"""With the claims of loaders, which may be alive."""

MOST_AT_ONCE = 500
"""Objects whose names go into one query of the ledger."""

_BETWEEN_TRIES = Backoff(0.5, 5.0)


class Outcome(Enum):
    """How the load of an object ended, as the summary prints it."""

    LOADED = "loaded"
    ALREADY = "already loaded, skipped"
    QUARANTINED = "quarantined"
    GONE = "nothing to load"
    RETRY = "not loaded: busy or away"
    REFUSED = "not loaded: refused"

    @property
    def is_done(self) -> bool:
        return self not in (Outcome.RETRY, Outcome.REFUSED)


class OnDemandLoad:
    """Errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat.

    Objects that another loader has claimed, or that the lake did not give, are requested again for `wait_seconds`.
    """

    def __init__(
        self,
        reader: ObjectReader,
        batches: BatchInsert,
        ledger: Ledger,
        limits: LoadLimits,
        stop: StopRequest,
        wait_seconds: float,
        retired: RetiredSources,
    ) -> None:
        self._retired = retired
        self._reader = reader
        self._batches = batches
        self._ledger = ledger
        self._limits = limits
        self._stop = stop
        self._wait_seconds = wait_seconds

    def load(self, requests: Sequence[LoadRequest], *, again: bool = False) -> dict[ObjectVersion, Outcome]:
        """One outcome for each. What was quarantined is tried again; what is loaded is skipped, or with `again` loaded
        in place of all that bronze has of its key. Compacted objects come last: with their sources loaded they are too."""
        began_us = self._ledger.now_us()
        outcomes: dict[ObjectVersion, Outcome] = {}
        compacted = [request for request in requests if compacted_name(request.key) is not None]
        others = [request for request in requests if compacted_name(request.key) is None]
        for some in (others, compacted):
            for start in range(0, len(some), MOST_AT_ONCE):
                outcomes |= self._load_some(some[start : start + MOST_AT_ONCE], again, began_us)
        return outcomes

    def take_out_undone(self, keys: Iterable[str]) -> set[str]:
        """See UndoneObjects."""
        return self._batches.undone.take_out(keys)

    def _load_some(self, requests: Sequence[LoadRequest], again: bool, began_us: int) -> dict[ObjectVersion, Outcome]:
        keys = {request.key for request in requests}
        known = self._ledger.of_keys(keys)
        prepared = [_prepared(request, known.get(request.key, {}), again) for request in requests]
        statuses = self._load_prepared([request for request in prepared if request is not None])
        entries = self._ledger.of_keys(keys)
        dropped = self._ledger.dropped(keys, began_us)
        outcomes = {}
        for request in requests:
            match statuses.get(request.version):
                case None:
                    outcomes[request.version] = Outcome.ALREADY
                case LoadStatus.DONE:
                    of_key = entries.get(request.key, {})
                    outcomes[request.version] = _outcome(request.version, of_key, dropped, began_us)
                case LoadStatus.RETRY:
                    outcomes[request.version] = Outcome.RETRY
                case LoadStatus.REFUSED:
                    outcomes[request.version] = Outcome.REFUSED
        replaced = {request.key for request in prepared if request is not None and request.again}
        loaded = {key for key in replaced if _is_loaded_since(entries.get(key, {}), began_us)}
        self._ledger.mark_replaced(loaded, began_us)
        self._retired.replace(loaded, began_us)
        return outcomes

    def _load_prepared(self, requests: list[LoadRequest]) -> dict[ObjectVersion, LoadStatus]:
        """A stop leaves the status of the rest at RETRY."""
        statuses = dict.fromkeys([request.version for request in requests], LoadStatus.RETRY)
        left, pause, until = requests, 0.0, time.monotonic() + self._wait_seconds
        tries = 0
        while left and not self._stop.wait(pause):
            for window in self._windows(left):
                results = load_window(window, self._reader, self._batches)
                statuses |= {result.request.version: result.status for result in results}
            left = [request for request in requests if statuses[request.version] is LoadStatus.RETRY]
            tries += 1
            pause = _BETWEEN_TRIES.pause(tries)
            if time.monotonic() + pause > until:
                break
        return statuses

    def _windows(self, requests: Iterable[LoadRequest]) -> Iterator[Sequence[LoadRequest]]:
        window: list[LoadRequest] = []
        size = 0
        for request in requests:
            window.append(request)
            size += request.size
            if size >= self._limits.window_bytes or len(window) >= self._limits.window_messages:
                yield window
                window, size = [], 0
        if window:
            yield window


def _prepared(request: LoadRequest, entries: dict[ObjectVersion, LedgerStatus], again: bool) -> LoadRequest | None:
    """None if there is nothing to do. Rows in bronze are replaced, never duplicated."""
    status = entries[request.version].status if request.version in entries else ""
    if status in (QUARANTINED, REPLACED) or (again and any(entry.status in (LOADED, COVERED) for entry in entries.values())):
        return replace(request, again=True)
    return None if status in (LOADED, COVERED) else request


def _outcome(
    version: ObjectVersion, entries: dict[ObjectVersion, LedgerStatus], dropped: set[ObjectVersion], began_us: int
) -> Outcome:
    """By the ledger's entry of the version, or else of the one that was found under its key."""
    entry = entries.get(version)
    if entry is None or entry.load_time < began_us:
        entry = max(entries.values(), key=lambda other: other.load_time, default=None)
    if entry is None or version in dropped:
        return Outcome.GONE
    if entry.status == QUARANTINED:
        return Outcome.QUARANTINED
    return Outcome.LOADED if entry.load_time >= began_us else Outcome.ALREADY


def _is_loaded_since(entries: dict[ObjectVersion, LedgerStatus], began_us: int) -> bool:
    return any(entry.status == LOADED and entry.load_time >= began_us for entry in entries.values())


def requests_for(bucket: str, summaries: Iterable[ObjectSummary]) -> list[LoadRequest]:
    """Requests as a notification would make them."""
    return [LoadRequest(bucket, item.key, item.etag, item.size) for item in summaries]


def count_left(outcomes: Counter[Outcome]) -> int:
    """How many objects a retry could still load."""
    return sum(count for outcome, count in outcomes.items() if not outcome.is_done)


@contextmanager
def on_demand_load(
    store: ObjectStore,
    warehouse: Warehouse,
    limits: LoadLimits,
    stop: StopRequest,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    waits: bool = True,
    memory: LoadMemory | None = None,
) -> Iterator[OnDemandLoad]:
    """With threads of its own for reading; only the caller's thread uses the warehouse connection.

    With `waits` it goes on until the claims of a dead loader are given up: `patience_seconds` after they were made.
    `memory` is shared with others of the process, if there are any.
    """
    memory, ledger = memory or LoadMemory(limits), Ledger(warehouse)
    wait_seconds = patience_seconds + 2 * _BETWEEN_TRIES.most_seconds if waits else 0.0
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as threads:
        reader = ObjectReader(store, ledger, limits, threads, memory.reading)
        batches = BatchInsert([warehouse], reader, limits, patience_seconds, memory.inserting)
        retired = RetiredSources(store, warehouse)
        yield OnDemandLoad(reader, batches, ledger, limits, stop, wait_seconds, retired)

"""Objects that somebody names, loaded without a queue: what reconcile and redrive do, exactly as the loader does it."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from load_process.batch_insert import BatchInsert
from load_process.ledger import Ledger
from load_process.limits import LoadLimits, LoadMemory
from load_process.object_reader import ObjectReader, Reading
from load_process.objects import Fate, Version, Wanted
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse

READERS = 4
PATIENCE_SECONDS = 30.0
"""With the claims of loaders, which may be alive."""


class ObjectLoad:
    """Errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat."""

    def __init__(self, reader: ObjectReader, batches: BatchInsert, limits: LoadLimits) -> None:
        self._reader = reader
        self._batches = batches
        self._limits = limits

    def load(self, wanted: Iterable[Wanted]) -> dict[Version, Fate]:
        """One fate for each, by the version it was asked for. What is wanted `again` replaces what bronze has of it."""
        fates: dict[Version, Fate] = {}
        for window in self._windows(wanted):
            left = window
            while left:
                with self._reader.read(left) as reading:
                    fates |= self._insert(reading, {item.version for item in left if item.again})
                left = reading.left
        return fates

    def _insert(self, reading: Reading, again: set[Version]) -> dict[Version, Fate]:
        fates, inserted = dict(reading.fates), dict[Version, Fate]()
        for item in reading.objects:
            if again.intersection(reading.wanted_as[item.version]):
                inserted |= self._batches.insert_again(item)
        inserted |= self._batches.insert([item for item in reading.objects if item.version not in inserted])
        for version, fate in inserted.items():
            fates |= dict.fromkeys(reading.wanted_as.get(version, [version]), fate)
        return fates

    def _windows(self, wanted: Iterable[Wanted]) -> Iterator[Sequence[Wanted]]:
        window: list[Wanted] = []
        size = 0
        for item in wanted:
            window.append(item)
            size += item.created.size
            if size >= self._limits.window_bytes or len(window) >= self._limits.window_messages:
                yield window
                window, size = [], 0
        if window:
            yield window


@contextmanager
def object_load(
    store: ObjectStore,
    warehouse: Warehouse,
    limits: LoadLimits,
    patience_seconds: float = PATIENCE_SECONDS,
    memory: LoadMemory | None = None,
) -> Iterator[ObjectLoad]:
    """With threads of its own for reading; the warehouse connection is used by the caller's thread only.

    `memory` is shared with others of the process, if there are any.
    """
    memory = memory or LoadMemory(limits)
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as threads:
        reader = ObjectReader(store, Ledger(warehouse), limits, threads, memory.reading)
        yield ObjectLoad(reader, BatchInsert([warehouse], reader, limits, patience_seconds, memory.inserting), limits)

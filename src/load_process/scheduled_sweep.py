"""The sweep inside the loader: every so often, over the last hours, beside the loops that read the queues."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from load_process.batches import LoadLimits
from load_process.ledger_lookup import LedgerLookup
from load_process.memory_budget import LoadMemory
from load_process.named_load import named_load
from load_process.sweep import Sweep, SweepCounts
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lake import open_queue
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import HOUR_US, SECOND_US, now_us
from tickhouse_core.warehouse import Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """`every_seconds` between two sweeps; each goes back `hours` from the last that came to its end."""

    every_seconds: float = 900.0
    hours: int = 24
    min_age_seconds: float = 300.0


class ScheduledSweep:
    """Runs in a thread of its own, with a warehouse connection of its own, until the stop is asked for.

    A queue that is more than a window of messages behind is left out: what is not loaded yet is not lost.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        store: ObjectStore,
        warehouse: Warehouse,
        stop: StopRequest,
        options: SweepOptions,
        limits: LoadLimits,
        memory: LoadMemory | None = None,
    ) -> None:
        """`memory` is shared with the loops of the process."""
        self._memory = memory
        self._datasets = datasets
        self._store = store
        self._warehouse = warehouse
        self._stop = stop
        self._options = options
        self._limits = limits
        self._queues = {name: open_queue(name) for name in {dataset.queue for dataset in datasets}}
        self._reach_us = dict.fromkeys([dataset.name for dataset in datasets], now_us())
        self._is_in_trouble = False

    def run(self) -> None:
        """What another loader has in hand is left to the next round."""
        with named_load(self._store, self._warehouse, self._limits, self._stop, waits=False, memory=self._memory) as load:
            lookup = LedgerLookup(self._warehouse)
            sweep = Sweep(self._store, lookup, load, self._stop, self._options.min_age_seconds)
            while not self._stop.wait(self._options.every_seconds):
                self._round(sweep)

    def _round(self, sweep: Sweep) -> None:
        """Trouble ends the round of a dataset, not the loader: the next round reaches as far back and tries again."""
        is_sound = True
        for dataset in self._datasets:
            try:
                if not self._is_behind(dataset):
                    self._sweep(sweep, dataset)
            except TickhouseError as error:
                level = logging.WARNING if is_sound and not self._is_in_trouble else logging.DEBUG
                log.log(level, "not reconciled, the next round tries again", extra={"dataset": dataset.name, "why": str(error)})
                is_sound = False
        if is_sound and self._is_in_trouble:
            log.info("reconciling again")
        self._is_in_trouble = not is_sound

    def _is_behind(self, dataset: Dataset) -> bool:
        waiting = self._queues[dataset.queue].depth().visible
        if waiting > self._limits.window_messages:
            log.debug("not reconciled, the queue is behind", extra={"dataset": dataset.name, "waiting": waiting})
        return waiting > self._limits.window_messages

    def _sweep(self, sweep: Sweep, dataset: Dataset) -> None:
        began, counts = now_us(), SweepCounts()
        sweep.run(dataset, counts, self._reach_us[dataset.name] - self._options.hours * HOUR_US)
        if self._stop.is_set():
            return
        self._reach_us[dataset.name] = began - round(self._options.min_age_seconds * SECOND_US)
        level = logging.WARNING if counts.left else logging.INFO if counts.missing else logging.DEBUG
        log.log(level, "reconciled", extra={"dataset": dataset.name, **asdict(counts)})

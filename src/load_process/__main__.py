"""The loader's command: one loop per queue, until a signal or until the queues are drained."""

import math
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from typing import Annotated

import typer

from load_process.batches import LoadLimits
from load_process.load_metrics import loader_process
from load_process.loader import LoaderOptions, QueueLoader
from load_process.scheduled_sweep import ScheduledSweep, SweepOptions
from load_process.trouble import Trouble
from tickhouse_core.datasets import DATASETS, dataset_named
from tickhouse_core.errors import AccessRefused
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.message_queue import MessageQueue
from tickhouse_core.metrics import observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import LakeSettings, WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect

INSERTERS = 2
"""Inserts of one queue under way at once."""

_TUNING = "Tuning"
_DEFAULTS = LoaderOptions()
_LIMITS = _DEFAULTS.limits
_SWEEPS = SweepOptions()
_MEGA = 1024**2


def run_loader(queue_names: Sequence[str], stop: StopRequest, options: LoaderOptions, sweeps: SweepOptions | None = None) -> None:
    """Loads from all queues at once, each with its own threads and connections, so that none waits for another.

    With `sweeps` a thread beside them compares lake and ledger; that is for a loader that runs until it is stopped.

    An error that travels out of one loop stops the others and is raised here.
    """
    access = _when_allowed(queue_names, stop, waits=not options.drain)
    if access is None:
        return
    store, queues = access
    with ExitStack() as connections:

        def connection() -> Warehouse:
            return connections.enter_context(closing(connect(read(WarehouseSettings))))

        loops = [
            QueueLoader(queue, store, connection(), [connection() for _ in range(INSERTERS)], stop, options) for queue in queues
        ]
        runs = [loop.run for loop in loops]
        if sweeps is not None:
            datasets = [dataset for dataset in DATASETS if dataset.queue in queue_names]
            runs.append(ScheduledSweep(datasets, store, connection(), stop, sweeps, options.limits).run)
        with observed(loader_process([loop.counts for loop in loops])), ThreadPoolExecutor(len(runs)) as threads:
            done, running = wait([threads.submit(run) for run in runs], return_when=FIRST_EXCEPTION)
            if running:
                stop.set()
    for future in done:
        future.result()


def _when_allowed(queue_names: Sequence[str], stop: StopRequest, *, waits: bool) -> tuple[ObjectStore, list[MessageQueue]] | None:
    """Bucket and queues; None after a stop. NotProvisioned, in one line, where one of them is not there.

    Keys or rights that are refused at the start are said once and waited out: nothing was received yet. Every try takes the
    keys as they are by then.
    """
    trouble = Trouble(", ".join(queue_names), stop)
    while not stop.is_set():
        try:
            store = ObjectStore(read(LakeSettings).bucket)
            store.check_access()
            access = store, [MessageQueue(name) for name in queue_names]
        except AccessRefused as error:
            if not waits:
                raise
            trouble.wait(error)
        else:
            trouble.is_over(math.inf)
            return access
    return None


def main(
    drain: Annotated[bool, typer.Option("--drain", help="Exit when the queues are empty.")] = False,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset's queue; repeats.")] = None,
    reconcile_every: Annotated[
        int, typer.Option(min=0, help="Seconds between two sweeps for what notifications lost; 0: none, as with --drain.")
    ] = round(_SWEEPS.every_seconds),
    visibility_seconds: Annotated[
        int, typer.Option(min=1, help="How long a delivery stays hidden unless extended.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.visibility_seconds,
    batch_rows: Annotated[
        int, typer.Option(min=1, help="Rows in one insert.", rich_help_panel=_TUNING)
    ] = _LIMITS.rows,
    batch_mb: Annotated[
        int, typer.Option(min=1, help="Decoded megabytes in one insert.", rich_help_panel=_TUNING)
    ] = _LIMITS.batch_bytes // _MEGA,
    window_mb: Annotated[
        int, typer.Option(min=1, help="Megabytes of objects read at once.", rich_help_panel=_TUNING)
    ] = _LIMITS.window_bytes // _MEGA,
    object_mb: Annotated[
        int, typer.Option(min=1, help="A larger object is quarantined.", rich_help_panel=_TUNING)
    ] = _LIMITS.object_bytes // _MEGA,
) -> None:  # fmt: skip
    """Load what lands in the lake into ClickHouse, until SIGTERM or SIGINT."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dataset] if dataset else list(DATASETS)
        queues = list(dict.fromkeys(known.queue for known in chosen))
        limits = LoadLimits(
            rows=batch_rows,
            batch_bytes=batch_mb * _MEGA,
            window_bytes=window_mb * _MEGA,
            object_bytes=object_mb * _MEGA,
            decoded_bytes=4 * object_mb * _MEGA,
        )
        options = LoaderOptions(
            drain=drain, visibility_seconds=visibility_seconds, patience_seconds=visibility_seconds, limits=limits
        )
        sweeps = SweepOptions(every_seconds=reconcile_every) if reconcile_every and not drain else None
        with stop_on_signals() as stop:
            run_loader(queues, stop, options, sweeps)

    run_command(work)


if __name__ == "__main__":
    typer.run(main)

"""The loader's command: one loop per queue, until a signal or until the queues are drained."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Annotated, TypeVar

import typer

from load_process.limits import INSERTERS, LoadLimits, LoadMemory, limits_here
from load_process.loader import LoaderOptions, QueueLoader, outage_of
from load_process.metrics import loader_process
from load_process.reconcile import ScheduledSweep, SweepOptions
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.datasets import DATASETS, dataset_named
from tickhouse_core.errors import AccessRefused
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.metrics import observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.starting import start
from tickhouse_core.warehouse import Warehouse, connect

log = logging.getLogger(__name__)

_TUNING = "Tuning"
_DEFAULTS = LoaderOptions()
_LIMITS = _DEFAULTS.limits
_SWEEPS = SweepOptions()
_MEGA = 1024**2

Made = TypeVar("Made")


def run_loader(queue_names: Sequence[str], stop: StopRequest, options: LoaderOptions, sweeps: SweepOptions | None = None) -> None:
    """Loads from all queues in parallel, each with its own threads and connections.

    With `sweeps` a thread beside them compares lake and ledger; that is for a loader that runs until it is stopped.

    An error that travels out of one loop stops the others and is raised here.
    """
    store = _when_allowed(_open_lake, stop, waits=not options.drain)
    if store is None:
        return
    with ExitStack() as connections:

        def connection() -> Warehouse:
            return connections.enter_context(closing(connect(read(WarehouseSettings))))

        warehouses = [[connection() for _ in range(1 + INSERTERS)] for _ in queue_names]
        queues = _when_allowed(lambda: [open_queue(name) for name in queue_names], stop, waits=not options.drain)
        if queues is None:
            return
        memory = LoadMemory(options.limits)
        loops = [
            QueueLoader(queue, store, first, others, stop, options, memory)
            for queue, (first, *others) in zip(queues, warehouses, strict=True)
        ]
        runs = [loop.run for loop in loops]
        if sweeps is not None:
            datasets = [dataset for dataset in DATASETS if dataset.queue in queue_names]
            runs.append(ScheduledSweep(datasets, store, connection(), stop, sweeps, options.limits, memory).run)
        with observed(loader_process([loop.counts for loop in loops])), ThreadPoolExecutor(len(runs)) as threads:
            done, running = wait([threads.submit(run) for run in runs], return_when=FIRST_EXCEPTION)
            if running:
                stop.set()
    for future in done:
        future.result()


def _open_lake() -> ObjectStore:
    """Raises NotProvisioned if the bucket does not exist."""
    store = open_lake()
    store.check_access()
    return store


def _when_allowed(make: Callable[[], Made], stop: StopRequest, *, waits: bool) -> Made | None:
    """Creates what needs S3 or SQS at the start; None after a stop.

    Refused keys or rights are logged once and waited for: nothing was received yet. Every try reads the current keys.
    """
    outage = outage_of(log, "all")
    while not stop.is_set():
        try:
            made = make()
        except AccessRefused as error:
            if not waits:
                raise
            stop.wait(outage.failed(error))
        else:
            outage.succeeded()
            return made
    return None


@with_data_folder(reads=True)
def main(
    drain: Annotated[bool, typer.Option("--drain", help="Exit when the queues are empty.")] = False,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset's queue; repeats.")] = None,
    reconcile_every: Annotated[
        int, typer.Option(min=0, help="Seconds between two sweeps for objects without a notification; 0: none, as with --drain.")
    ] = round(_SWEEPS.every_seconds),
    visibility_seconds: Annotated[
        int, typer.Option(min=1, help="How long a delivery stays hidden unless extended.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.visibility_seconds,
    batch_rows: Annotated[
        int, typer.Option(min=1, help="Rows per insert.", rich_help_panel=_TUNING)
    ] = _LIMITS.rows,
    batch_mb: Annotated[
        int | None, typer.Option(min=1, help="Decoded megabytes per insert; default: as memory allows.", rich_help_panel=_TUNING)
    ] = None,
    window_mb: Annotated[
        int, typer.Option(min=1, help="Megabytes of objects in memory at the same time.", rich_help_panel=_TUNING)
    ] = _LIMITS.window_bytes // _MEGA,
    object_mb: Annotated[
        int | None,
        typer.Option(
            min=1, help="Quarantine objects of more megabytes, or of four times as many once decoded.", rich_help_panel=_TUNING
        ),
    ] = None,
) -> None:  # fmt: skip
    """Load new objects of the lake into ClickHouse, until SIGTERM or SIGINT."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dataset] if dataset else list(DATASETS)
        queues = list(dict.fromkeys(known.queue for known in chosen))
        limits = _limits(batch_rows, batch_mb, window_mb, object_mb)
        options = LoaderOptions(
            drain=drain, visibility_seconds=visibility_seconds, patience_seconds=visibility_seconds, limits=limits
        )
        sweeps = SweepOptions(every_seconds=reconcile_every) if reconcile_every and not drain else None
        with stop_on_signals() as stop, serving_sql(read(WarehouseSettings)):
            run_loader(queues, stop, options, sweeps)

    run_command(work)


def _limits(batch_rows: int, batch_mb: int | None, window_mb: int, object_mb: int | None) -> LoadLimits:
    limits = replace(limits_here(), rows=batch_rows, window_bytes=window_mb * _MEGA)
    if batch_mb is not None:
        limits = replace(limits, batch_bytes=batch_mb * _MEGA)
    if object_mb is not None:
        limits = replace(limits, object_bytes=object_mb * _MEGA, decoded_bytes=4 * object_mb * _MEGA)
    return limits


if __name__ == "__main__":
    start(main)

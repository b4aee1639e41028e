"""The loader's command: one loop per queue, until a signal or until the queues are drained."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Annotated

import typer

from load_process.loader import LoaderOptions, QueueLoader
from pipeline.datasets import DATASETS, dataset_named
from pipeline.lifecycle import StopRequest, run_command, stop_on_signals
from pipeline.message_queue import MessageQueue
from pipeline.object_store import ObjectStore
from pipeline.settings import LakeSettings, WarehouseSettings, read
from pipeline.warehouse import connect


def run_loader(queue_names: Sequence[str], stop: StopRequest, options: LoaderOptions) -> None:
    """Loads from all queues at once, each with its own thread and connection, so that none waits for another.

    An error that travels out of one loop stops the others and is raised here.
    """
    store = ObjectStore(read(LakeSettings).bucket)
    next(store.list_keys("data_sources/"), None)  # NotProvisioned, in one line, if there is no such bucket
    warehouses = [connect(read(WarehouseSettings)) for _ in queue_names]
    loops = [
        QueueLoader(MessageQueue(name), store, warehouse, stop, options)
        for name, warehouse in zip(queue_names, warehouses, strict=True)
    ]
    with ThreadPoolExecutor(len(loops)) as threads:
        done, running = wait([threads.submit(loop.run) for loop in loops], return_when=FIRST_EXCEPTION)
        if running:
            stop.set()
    for warehouse in warehouses:
        warehouse.close()
    for future in done:
        future.result()


def main(
    drain: Annotated[bool, typer.Option("--drain", help="Exit when the queues are empty.")] = False,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset's queue; repeats.")] = None,
    visibility_seconds: Annotated[int, typer.Option(min=1, help="How long a delivery stays hidden unless extended.")] = 30,
) -> None:
    """Load what lands in the lake into ClickHouse, until SIGTERM or SIGINT."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dataset] if dataset else list(DATASETS)
        queues = list(dict.fromkeys(known.queue for known in chosen))
        with stop_on_signals() as stop:
            run_loader(queues, stop, LoaderOptions(drain=drain, visibility_seconds=visibility_seconds))

    run_command(work)


if __name__ == "__main__":
    typer.run(main)

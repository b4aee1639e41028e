"""The sweep as a command, `python -m load_process.reconcile`: loads what is in the lake and not in the ledger."""

from contextlib import closing
from dataclasses import astuple
from typing import Annotated

import typer

from load_process.instants import parse_instant_option
from load_process.ledger_lookup import LedgerLookup
from load_process.load_limits import limits_here
from load_process.named_load import named_load
from load_process.sweep import Sweep, SweepCounts
from tickhouse_core.datasets import DATASETS, Dataset, dataset_named
from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.tables import print_table
from tickhouse_core.warehouse import connect

HEADER = ("dataset", "folders", "objects", "missing", "loaded", "quarantined", "not loaded", "orphans")


def run_reconcile(
    datasets: list[Dataset], stop: StopRequest, *, since_us: int = 0, min_age_seconds: float = 300, dry_run: bool = False
) -> dict[str, SweepCounts]:
    """Sweeps the datasets and prints what was found, however it ends. Raises TickhouseError if something is left."""
    counts = {dataset.name: SweepCounts() for dataset in datasets}
    store = open_lake()
    with (
        closing(connect(read(WarehouseSettings))) as warehouse,
        named_load(store, warehouse, limits_here(), stop) as load,
    ):
        sweep = Sweep(store, LedgerLookup(warehouse), None if dry_run else load, stop, min_age_seconds)
        try:
            for dataset in datasets:
                sweep.run(dataset, counts[dataset.name], since_us)
        finally:
            print_table(HEADER, [(name, *astuple(found)) for name, found in counts.items()], title="lake against ledger")
    if stop.is_set():
        raise Interrupted("stopped before everything was compared: run it again")
    if left := sum(found.left for found in counts.values()):
        raise TickhouseError(f"{left} missing objects could not be loaded: see ops_load_errors, then run it again")
    return counts


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset; repeats.")] = None,
    since: Annotated[str | None, typer.Option(help="Leave out the hours before; ISO 8601, UTC.")] = None,
    min_age: Annotated[int, typer.Option(min=0, help="Seconds: younger objects still have their notification coming.")] = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
) -> None:
    """Compare the lake with the ledger and load what notifications lost."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dict.fromkeys(dataset)] if dataset else list(DATASETS)
        since_us = parse_instant_option("--since", since) if since else 0
        with stop_on_signals() as stop:
            run_reconcile(chosen, stop, since_us=since_us, min_age_seconds=min_age, dry_run=dry_run)

    run_command(work)


if __name__ == "__main__":
    typer.run(main)

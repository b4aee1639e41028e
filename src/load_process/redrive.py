"""Load again what an operator names: `python -m load_process.redrive --dlq … | --key … | --prefix … | --dataset … | --gap …`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import typer

from load_process.dead_letters import DeadLetterCounts, DeadLetters, dead_letter_queues
from load_process.instants import parse_instant_option
from load_process.lake_hours import Span
from load_process.ledger import Ledger
from load_process.load_limits import limits_here
from load_process.named_load import MOST_AT_ONCE, NamedLoad, Outcome, count_left, named_load, wanted_of
from load_process.object_load import PATIENCE_SECONDS
from load_process.selection import (
    GapName,
    objects_of_gap,
    objects_of_keys,
    objects_of_prefix,
    objects_of_time,
    parse_gap,
)
from tickhouse_core.datasets import Dataset, dataset_named
from tickhouse_core.errors import Interrupted, TickhouseError, UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.tables import print_table
from tickhouse_core.timestamps import format_instant, now_us
from tickhouse_core.warehouse import Warehouse, connect


@dataclass(frozen=True, slots=True)
class Selection:
    """Exactly one of these is given."""

    queues: Sequence[str] = ()
    keys: Sequence[str] = ()
    prefix: str | None = None
    dataset: Dataset | None = None
    span: Span = (0, 0)
    gap: GapName | None = None


def run_redrive(
    selection: Selection, stop: StopRequest, *, again: bool = False, patience_seconds: float = PATIENCE_SECONDS
) -> Counter[Outcome]:
    """Loads what is meant and prints what became of it, however it ends. `patience_seconds`: see BatchInsert.

    UsageError if nothing is meant by the selection, TickhouseError if something is left.
    """
    store = open_lake()
    outcomes: Counter[Outcome] = Counter()
    letters: dict[str, DeadLetterCounts] = {}
    queues = dead_letter_queues(list(selection.queues))
    with ExitStack() as parts:
        warehouse = parts.enter_context(closing(connect(read(WarehouseSettings))))
        load = parts.enter_context(named_load(store, warehouse, limits_here(), stop, patience_seconds=patience_seconds))
        try:
            for queue in queues:
                counts = letters[queue.name] = DeadLetterCounts()
                DeadLetters(queue, load, Ledger(warehouse), store.bucket, stop).redrive(counts, again=again)
            if not queues:
                _load_objects(_objects(selection, store, warehouse), store.bucket, load, stop, outcomes, again=again)
        finally:
            _print_summary(outcomes, letters)
    outcomes = sum((counts.outcomes for counts in letters.values()), outcomes)
    if stop.is_set():
        raise Interrupted("stopped before everything was loaded: run it again")
    if left := count_left(outcomes):
        raise TickhouseError(f"{left} objects could not be loaded: see ops_load_errors, then run it again")
    return outcomes


def _load_objects(
    objects: Iterator[ObjectSummary],
    bucket: str,
    load: NamedLoad,
    stop: StopRequest,
    outcomes: Counter[Outcome],
    *,
    again: bool,
) -> None:
    while not stop.is_set() and (some := wanted_of(bucket, islice(objects, MOST_AT_ONCE))):
        outcomes.update(load.load(some, again=again).values())
    if not outcomes and not stop.is_set():
        raise UsageError(f"nothing selected: bucket {bucket} has no such objects")


def _objects(selection: Selection, store: ObjectStore, warehouse: Warehouse) -> Iterator[ObjectSummary]:
    if selection.keys:
        return iter(objects_of_keys(store, selection.keys))
    if selection.prefix is not None:
        return objects_of_prefix(store, selection.prefix)
    if selection.dataset is not None:
        return objects_of_time(store, selection.dataset, selection.span)
    assert selection.gap is not None, "one of them is given"
    return objects_of_gap(store, warehouse, selection.gap)


def _print_summary(outcomes: Counter[Outcome], letters: dict[str, DeadLetterCounts]) -> None:
    if letters:
        rows = [
            (name, counts.deleted, counts.kept, *(counts.outcomes[outcome] for outcome in Outcome))
            for name, counts in letters.items()
        ]
        print_table(("queue", "messages deleted", "messages kept", *(outcome.value for outcome in Outcome)), rows)
    elif outcomes:
        print_table(("objects", "number"), [(outcome.value, outcomes[outcome]) for outcome in Outcome])


def main(
    dlq: Annotated[list[str] | None, typer.Option(help="A dead-letter queue, or all; repeats.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="An object's key; repeats.")] = None,
    prefix: Annotated[str | None, typer.Option(help="All objects whose keys begin with this.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset's objects of the hours --from … --to.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="With --dataset; klines: by when it was written.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="With --dataset: up to, not including; default now.")] = None,
    gap: Annotated[str | None, typer.Option(help="SYMBOL:CHANNEL:FROM-TO: what was recorded in the hours of a gap.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Load what is loaded once more, in place of what bronze has.")] = False,
) -> None:
    """Load objects again: from dead letters, or by name; what is loaded is skipped, what was quarantined is tried again."""

    def work() -> None:
        given = [name for name, value in _kinds(dlq, key, prefix, dataset, gap).items() if value]
        if len(given) != 1:
            said = f"not {' and '.join(given)}" if given else "nothing is selected"
            raise UsageError(f"choose exactly one of --dlq, --key, --prefix, --dataset, --gap: {said}")
        selection = Selection(
            queues=dlq or (),
            keys=key or (),
            prefix=prefix,
            dataset=dataset_named(dataset) if dataset else None,
            span=_span(dataset, start, end),
            gap=parse_gap(gap) if gap else None,
        )
        with stop_on_signals() as stop:
            run_redrive(selection, stop, again=again)

    run_command(work)


def _kinds(
    dlq: list[str] | None, key: list[str] | None, prefix: str | None, dataset: str | None, gap: str | None
) -> dict[str, object]:
    return {"--dlq": dlq, "--key": key, "--prefix": prefix, "--dataset": dataset, "--gap": gap}


def _span(dataset: str | None, start: str | None, end: str | None) -> Span:
    if dataset is None:
        if start or end:
            raise UsageError("--from and --to go with --dataset")
        return (0, 0)
    if start is None:
        raise UsageError("--dataset needs --from: the first hour, for example --from 2024-01-01T00:00")
    first = parse_instant_option("--from", start)
    last = parse_instant_option("--to", end) if end else now_us()
    if last <= first:
        raise UsageError(f"--to {format_instant(last)} is not after --from {format_instant(first)}")
    return first, last


if __name__ == "__main__":
    typer.run(main)

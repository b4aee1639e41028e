"""Load again what an operator names: `python -m load_process.redrive --dlq … | --key … | --prefix … | --dataset … | --gap …`."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Annotated

import typer

from load_process.deliveries import Deliveries, VisibilityHeartbeat
from load_process.ledger import Ledger, LoadError
from load_process.limits import limits_here
from load_process.on_demand import MOST_AT_ONCE, PATIENCE_SECONDS, OnDemandLoad, Outcome, count_left, on_demand_load, requests_for
from load_process.selection import (
    GapName,
    Span,
    objects_of_gap,
    objects_of_keys,
    objects_of_prefix,
    objects_of_time,
    parse_gap,
)
from tickhouse_core.command_line import instant, print_table, with_data_folder
from tickhouse_core.datasets import QUEUES, Dataset, dataset_named
from tickhouse_core.errors import Interrupted, NotProvisioned, TickhouseError, UsageError
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.message_queue import MOST_PER_REQUEST, Message, MessageQueue
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.starting import start
from tickhouse_core.timestamps import format_instant, now_us
from tickhouse_core.warehouse import Warehouse, connect

log = logging.getLogger(__name__)

DEAD_LETTER_QUEUES = tuple(f"{name}-dlq" for name in QUEUES)

_VISIBILITY_SECONDS = 60
_MOST_KEPT = 10_000
"""Messages that are kept hidden at once because they could not be loaded: SQS allows 120,000 in flight."""


@dataclass(slots=True)
class DeadLetterCounts:
    """`kept` messages are in the queue as before."""

    deleted: int = 0
    kept: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)


def dead_letter_queues(names: list[str]) -> list[MessageQueue]:
    """The named queues, or all of ours for `all`. Raises UsageError for an unknown name."""
    chosen = list(dict.fromkeys(chain.from_iterable(DEAD_LETTER_QUEUES if name == "all" else [name] for name in names)))
    for name in chosen:
        if name in QUEUES:
            raise UsageError(f"--dlq {name}: loaders read that queue themselves; its dead letters are in {name}-dlq")
    try:
        return [open_queue(name) for name in chosen]
    except NotProvisioned as error:
        raise UsageError(f"--dlq: {error}; choose from {', '.join(DEAD_LETTER_QUEUES)}, all") from error


class DeadLetters:
    """One dead-letter queue. Errors that travel: LakeUnavailable, WarehouseUnavailable; messages in hand return then."""

    def __init__(self, queue: MessageQueue, load: OnDemandLoad, ledger: Ledger, bucket: str, stop: StopRequest) -> None:
        self._queue = queue
        self._load = load
        self._ledger = ledger
        self._bucket = bucket
        self._stop = stop
        self._heartbeat = VisibilityHeartbeat(queue, _VISIBILITY_SECONDS)
        self._kept: list[Message] = []

    def redrive(self, counts: DeadLetterCounts, *, again: bool) -> None:
        """Once through the queue; adds to `counts` as it goes."""
        with self._heartbeat:
            try:
                while not self._stop.is_set() and len(self._kept) < _MOST_KEPT:
                    window = self._receive()
                    if not window.messages:
                        return
                    self._settle(window, counts, again)
            finally:
                counts.kept = len(self._kept)
                self._give_back()

    def _receive(self) -> Deliveries:
        """Receives every message once: kept messages stay hidden until the end."""
        window = Deliveries()
        quiet_polls = 0
        while len(window.messages) < MOST_AT_ONCE and quiet_polls < 2 and not self._stop.is_set():
            messages = self._queue.receive(most=MOST_PER_REQUEST, wait_seconds=1, visibility_seconds=_VISIBILITY_SECONDS)
            quiet_polls = 0 if messages else quiet_polls + 1
            self._heartbeat.hold(messages)
            for message in messages:
                window.take(message)
        return window

    def _settle(self, window: Deliveries, counts: DeadLetterCounts, again: bool) -> None:
        self._kept += window.messages
        for message, why in window.refused:
            refused = LoadError(self._bucket, "", "", "", "bad_notification", why, "dropped", message.receive_count)
            self._ledger.record_error(refused)
            window.note(message)
        outcomes = self._load.load(window.requests(), again=again)
        counts.outcomes.update(outcomes.values())
        done = window.settle({version for version, outcome in outcomes.items() if outcome.is_done}).done
        failed = self._queue.delete(done)
        deleted = {message.id for message in done} - {message.id for message in failed}
        counts.deleted += len(deleted)
        self._heartbeat.settle(message for message in done if message.id in deleted)
        self._kept = [message for message in self._kept if message.id not in deleted]

    def _give_back(self) -> None:
        self._heartbeat.settle(self._kept)
        try:
            self._queue.extend_visibility(self._kept, 0)
        except TickhouseError as error:
            log.warning("messages could not be returned; they reappear by themselves", extra={"why": str(error)})


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
    """Loads the selected objects and prints the results, even after an error. `patience_seconds`: see BatchInsert.

    Raises UsageError if the selection is empty, TickhouseError if objects remain.
    """
    store = open_lake()
    outcomes: Counter[Outcome] = Counter()
    letters: dict[str, DeadLetterCounts] = {}
    queues = dead_letter_queues(list(selection.queues))
    with ExitStack() as parts:
        warehouse = parts.enter_context(closing(connect(read(WarehouseSettings))))
        load = parts.enter_context(on_demand_load(store, warehouse, limits_here(), stop, patience_seconds=patience_seconds))
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
    load: OnDemandLoad,
    stop: StopRequest,
    outcomes: Counter[Outcome],
    *,
    again: bool,
) -> None:
    while not stop.is_set() and (some := requests_for(bucket, islice(objects, MOST_AT_ONCE))):
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


@with_data_folder(reads=True)
def main(
    dlq: Annotated[list[str] | None, typer.Option(help="A dead-letter queue, or all; repeats.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="An object's key; repeats.")] = None,
    prefix: Annotated[str | None, typer.Option(help="All objects whose keys begin with this.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset's objects of the hours --from … --to.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="With --dataset: from this hour on; klines: by the time the object was written.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="With --dataset: up to, not including; default now.")] = None,
    gap: Annotated[
        str | None, typer.Option(help="SYMBOL:CHANNEL:FROM-TO: the objects recorded in the hours of this gap.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Load loaded objects again too, and replace their rows in bronze.")
    ] = False,
) -> None:
    """Load objects again, from dead letters or by name. Loaded objects are skipped, quarantined ones are retried."""

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
        with stop_on_signals() as stop, serving_sql(read(WarehouseSettings)):
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
    first = instant("--from", start)
    last = instant("--to", end) if end else now_us()
    if last <= first:
        raise UsageError(f"--to {format_instant(last)} is not after --from {format_instant(first)}")
    return first, last


if __name__ == "__main__":
    start(main)

"""Dead letters: what a dead-letter queue's messages name is loaded, and a message whose objects are done is deleted."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from load_process.deliveries import Deliveries
from load_process.ledger import Ledger, LoadError
from load_process.named_load import MOST_AT_ONCE, NamedLoad, Outcome
from load_process.versions import Fate
from load_process.visibility import VisibilityHeartbeat
from tickhouse_core.datasets import QUEUES
from tickhouse_core.errors import NotProvisioned, TickhouseError, UsageError
from tickhouse_core.lake import open_queue
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import MOST_PER_REQUEST, Message, MessageQueue

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
    """Those that are meant, `all` for ours. Raises UsageError for what is none."""
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

    def __init__(self, queue: MessageQueue, load: NamedLoad, ledger: Ledger, bucket: str, stop: StopRequest) -> None:
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
        """Every message once: what is kept stays hidden to the end."""
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
        outcomes = self._load.load(window.wanted(), again=again)
        counts.outcomes.update(outcomes.values())
        done = window.settle({version: Fate.DONE for version, outcome in outcomes.items() if outcome.is_done}).done
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
            log.warning("messages not given back; they return by themselves", extra={"why": str(error)})

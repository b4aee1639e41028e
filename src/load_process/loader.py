"""The loop over one queue: receive, read, insert, delete last. Redelivery is harmless at every step."""

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from load_process.batch_insert import BatchInsert
from load_process.deliveries import Deliveries, VisibilityHeartbeat
from load_process.ledger import Ledger, LoadError
from load_process.limits import LoadLimits, LoadMemory
from load_process.metrics import LoadCounts
from load_process.object_reader import READERS, ObjectReader, Reading
from load_process.objects import LoadRequest, LoadResult, LoadStatus, ObjectVersion
from load_process.refusals import UnreadObjects
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import (
    AccessRefused,
    LakeRefused,
    LakeUnavailable,
    NotProvisioned,
    NotTheWriter,
    TickhouseError,
    WarehouseUnavailable,
)
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import MOST_PER_REQUEST, Message, MessageQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse

log = logging.getLogger(__name__)

WAITING = Backoff(0.5, 30.0)
"""While lake or warehouse is unavailable."""

_NEEDS_SOMEBODY = (AccessRefused, LakeRefused, NotProvisioned)
_OF_THE_LAKE = (LakeUnavailable, *_NEEDS_SOMEBODY)
_OUTAGES = (WarehouseUnavailable, *_OF_THE_LAKE)
"""Errors of a queue, the bucket or the warehouse as a whole: no message is to blame, so messages in flight are kept."""

RETRY_SECONDS = 90.0
"""How long a window retries objects before it returns their messages, which uses up a delivery."""

PAUSE_SECONDS = 2.0

MOST_WINDOWS = 3
"""Windows in flight beside the one that is received: one is inserted and one is read, both with rows in memory."""


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """Seconds; `drain` ends the loop once the queue is empty, deliveries in flight elsewhere included."""

    drain: bool = False
    wait_seconds: int = 5  # shorter than the 10 s that Docker gives a stopping process
    visibility_seconds: int = 30
    patience_seconds: float = 30.0
    """With the claims of other loaders: a younger one may belong to one that is alive."""

    limits: LoadLimits = field(default_factory=LoadLimits)


class QueueLoader:
    """One queue, one loop; more processes on the same queue need no coordination.

    Windows of messages pass through stages of a thread each: while one is settled, the next is inserted, the one after that
    is read, and one more is received. Stages that ask the warehouse have connections of their own.
    """

    def __init__(
        self,
        queue: MessageQueue,
        store: ObjectStore,
        reading_warehouse: Warehouse,
        inserting_warehouses: Sequence[Warehouse],
        stop: StopRequest,
        options: LoaderOptions,
        memory: LoadMemory | None = None,
    ) -> None:
        """`memory` is shared with the other queues of the process; without, the limits are this queue's alone."""
        memory = memory or LoadMemory(options.limits)
        self._queue = queue
        self._warehouse = reading_warehouse
        self._ledger = Ledger(reading_warehouse)
        self._bucket = store.bucket
        self._stop = stop
        self._options = options
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"get-{queue.name}")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix=f"read-{queue.name}")
        self._inserting = ThreadPoolExecutor(1, thread_name_prefix=f"insert-{queue.name}")
        self._settling = ThreadPoolExecutor(1, thread_name_prefix=f"settle-{queue.name}")
        self._unread = UnreadObjects()
        self._reader = ObjectReader(store, self._ledger, options.limits, self._readers, memory.reading, self._unread)
        other_ledger = Ledger(inserting_warehouses[0])
        again = ObjectReader(store, other_ledger, options.limits, self._readers, memory.reading, self._unread)
        patience = options.patience_seconds
        self._batches = BatchInsert(inserting_warehouses, again, options.limits, patience, memory.inserting)
        self._again = again
        self._outage = outage_of(log, queue.name)
        self.counts = LoadCounts(queue.name, self._outage)
        self._heartbeat = VisibilityHeartbeat(queue, options.visibility_seconds)

    def run(self) -> None:
        """Returns on a stop request, or once the queue is drained. All messages in flight are settled or returned first."""
        in_hand: deque[Future[None]] = deque()
        with self._readers, self._reading, self._inserting, self._settling, self._heartbeat:
            quiet_polls = 0
            while not self._stop.is_set():
                self.counts.watchdog.beat()
                try:
                    window = self._receive(is_idle=all(future.done() for future in in_hand))
                except _OUTAGES as error:
                    self._wait_out(error)
                    continue
                quiet_polls = 0 if window.messages else quiet_polls + 1
                if window.messages:
                    while len(in_hand) >= MOST_WINDOWS:
                        in_hand.popleft().result()
                    in_hand.append(self._process(window))
                elif in_hand:
                    in_hand.popleft().result()
                if self._options.drain and quiet_polls >= 2 and self._is_drained():
                    self._outage.succeeded()
                    self._say_unread()
                    return
            while in_hand:
                in_hand.popleft().result()

    def _say_unread(self) -> None:
        if keys := self._unread.keys():
            said = {"queue": self._queue.name, "objects": len(keys), "first": keys[0]}
            log.error("objects could not be read: their messages wait in the dead-letter queue", extra=said)

    def _wait_out(self, error: TickhouseError) -> None:
        """Refused keys may be renewed and a deleted queue created again; a drain does not wait for that."""
        if self._options.drain and isinstance(error, (*_NEEDS_SOMEBODY, NotTheWriter)):
            raise error
        self._stop.wait(self._outage.failed(error))

    def _is_drained(self) -> bool:
        try:
            return self._queue.depth().is_empty
        except LakeUnavailable as error:
            self._stop.wait(self._outage.failed(error))
            return False

    def _receive(self, *, is_idle: bool) -> Deliveries:
        """As many messages as come in the time of a window and as it may hold; waits for the first only.

        An idle loader begins with few: while it reads and inserts these, the next ones are received.

        Nothing is received while the warehouse is unavailable, because the try could not succeed and would use up a delivery.
        """
        window, limits = Deliveries(), self._options.limits
        began = time.monotonic()
        if self._outage.is_going_on and not self._reading.submit(self._warehouse.is_alive).result():
            raise WarehouseUnavailable("the warehouse still does not answer")
        first_wait = min(1, self._options.wait_seconds) if self._options.drain else self._options.wait_seconds
        size, deadline = 0, math.inf
        most_messages = min(limits.window_messages, limits.idle_messages) if is_idle else limits.window_messages
        while (
            len(window.messages) < most_messages
            and size < limits.window_bytes
            and time.monotonic() < deadline
            and not self._stop.is_set()
        ):
            try:
                messages = self._queue.receive(
                    most=MOST_PER_REQUEST,
                    wait_seconds=0 if window.messages else first_wait,
                    visibility_seconds=self._options.visibility_seconds,
                )
            except _OF_THE_LAKE:
                if window.messages:
                    break  # what is in hand is loaded first
                raise
            self._outage.succeeded(began)  # both answer again
            deadline = min(deadline, time.monotonic() + limits.seconds)
            self._heartbeat.hold(messages)
            for message in messages:
                size += self._add(window, message)
            if len(messages) < MOST_PER_REQUEST:
                break
        return window

    def _add(self, window: Deliveries, message: Message) -> int:
        """The total size of the objects that the message announces."""
        created = window.take(message)
        if why := window.trouble_with(message):
            log.warning("not a notification", extra={"queue": self._queue.name, "why": why})
        elif not created:  # a test event, a restored object, no Records: right, and no sign of them is left
            log.info("the notification names no new object", extra={"queue": self._queue.name, "says": message.body[:200]})
        return sum(item.size for item in created)

    def _note_refused(self, window: Deliveries) -> None:
        for message, why in window.refused:
            self._ledger.record_error(
                LoadError(self._bucket, "", "", "", "bad_notification", why, "dropped", message.receive_count)
            )
            window.note(message)

    def _process(self, window: Deliveries) -> Future[None]:
        return self._settling.submit(self._settle, window, self._reading.submit(self._read, window))

    def _read(self, window: Deliveries) -> list[Future[list[LoadResult]]]:
        """Part by part, as memory has room: one is inserted while the next is read.

        While the warehouse or our access is in trouble the messages are kept, hidden by the heartbeat, and tried again
        here: given back, they would use up their deliveries on something that is not their fault."""
        parts: list[Future[list[LoadResult]]] = []
        is_noted, left = False, window.requests()
        while not self._stop.is_set() and not (is_noted and not left):
            self.counts.watchdog.beat()
            try:
                if not is_noted:
                    self._note_refused(window)
                    is_noted = True
                part, left = self._read_part(left)
                parts.append(part)
            except _OUTAGES as error:
                self._wait_out(error)
        return parts

    def _read_part(self, requests: list[LoadRequest]) -> tuple[Future[list[LoadResult]], list[LoadRequest]]:
        """What memory had room for is on its way into the warehouse; the other requests. Keeps nothing that was read."""
        reading = self._reader.read(requests)
        return self._inserting.submit(self._insert, reading), reading.left

    def _insert(self, reading: Reading) -> list[LoadResult]:
        """Requests to retry are tried again here for a while, for the same reason. It never waits for memory, which the next
        part may hold."""
        results: dict[ObjectVersion, LoadResult] = {}
        deadline, gives_up = time.monotonic() + RETRY_SECONDS, False
        while True:
            with reading:
                results |= {result.request.version: result for result in self._insert_part(reading)}
            again = [result.request for result in results.values() if result.status is LoadStatus.RETRY]
            if not again or gives_up or self._stop.wait(PAUSE_SECONDS):
                return list(results.values())
            gives_up = time.monotonic() > deadline
            retried = self._read_again(again, gives_up)
            if retried is None:
                return list(results.values())
            reading = retried

    def _insert_part(self, reading: Reading) -> list[LoadResult]:
        while not self._stop.is_set():
            began = time.monotonic()
            self.counts.watchdog.beat()
            try:
                results = self._batches.insert_reading(reading, self._stop.is_set)
            except _OUTAGES as error:
                self._wait_out(error)
            else:
                self._outage.succeeded(began)
                return results
        return reading.results

    def _read_again(self, requests: list[LoadRequest], gives_up: bool) -> Reading | None:
        """None after a stop. Requests that memory had no room for keep their status."""
        while not self._stop.is_set():
            try:
                return self._again.read(requests, waits=False, gives_up=gives_up)
            except _OUTAGES as error:
                self._wait_out(error)
        return None

    def _settle(self, window: Deliveries, read: Future[list[Future[list[LoadResult]]]]) -> None:
        """Deleting is the very last step."""
        results = [result for part in read.result() for result in part.result()]
        self.counts.on_window(results, len(window.refused))
        settled = window.settle({result.request.version for result in results if result.status is LoadStatus.DONE})
        try:
            self._queue.delete(settled.done)
            self._heartbeat.give_back(settled.again, at_once=self._stop.is_set())
        except TickhouseError as error:
            log.warning("messages not settled; they reappear by themselves", extra={"why": str(error)})
        finally:
            self._heartbeat.settle(window.messages)


def outage_of(logger: logging.Logger, queue: str) -> Outage:
    return Outage(logger, WAITING, begins="waiting for it to come back", ends="back to normal", queue=queue)

"""The loop over one queue: receive, read, insert, delete last. Redelivery is harmless at every step."""

import logging
import math
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from load_process.batch_insert import BatchInsert
from load_process.batches import LoadLimits
from load_process.deliveries import Deliveries
from load_process.ledger import Ledger, LoadError
from load_process.load_metrics import LoadCounts
from load_process.memory_budget import LoadMemory
from load_process.object_reader import ObjectReader, Reading
from load_process.trouble import ObjectTrouble, Trouble
from load_process.versions import Fate, Version, Wanted
from load_process.visibility import VisibilityHeartbeat
from tickhouse_core.errors import AccessRefused, LakeUnavailable, TickhouseError, WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import MOST_PER_REQUEST, Message, MessageQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse

log = logging.getLogger(__name__)

READERS = 4
LONGEST_BACK_OFF_SECONDS = 60
LATER_SECONDS = 90.0
"""How long objects of a window are tried again before their messages are given back, and a delivery is spent."""

PAUSE_SECONDS = 2.0

MOST_WINDOWS = 3
"""Beside the one that is received: rows are in memory of one that is inserted and one that is read."""


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """Seconds; `drain` ends the loop once the queue is empty, deliveries in flight elsewhere included."""

    drain: bool = False
    wait_seconds: int = 5  # shorter than the 10 s that Docker gives a stopping process
    visibility_seconds: int = 30
    patience_seconds: float = 30.0
    """With the claims of other loaders: a younger one may belong to one that is alive."""

    limits: LoadLimits = field(default_factory=LoadLimits)


@dataclass(frozen=True, slots=True)
class _Inserted:
    fates: dict[Version, Fate]
    rows: int


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
        self._unread = ObjectTrouble()
        self._reader = ObjectReader(store, self._ledger, options.limits, self._readers, memory.reading, self._unread)
        other_ledger = Ledger(inserting_warehouses[0])
        again = ObjectReader(store, other_ledger, options.limits, self._readers, memory.reading, self._unread)
        patience = options.patience_seconds
        self._batches = BatchInsert(inserting_warehouses, again, options.limits, patience, memory.inserting)
        self._again = again
        self._trouble = Trouble(queue.name, stop)
        self.counts = LoadCounts(queue.name, self._trouble)
        self._heartbeat = VisibilityHeartbeat(queue, options.visibility_seconds)

    def run(self) -> None:
        """Until the stop is asked for, or the queue is drained. Everything in hand is settled or given back before."""
        in_hand: deque[Future[None]] = deque()
        with self._readers, self._reading, self._inserting, self._settling, self._heartbeat:
            quiet_polls = 0
            while not self._stop.is_set():
                self.counts.pulse.beat()
                try:
                    window = self._receive()
                except (LakeUnavailable, WarehouseUnavailable, AccessRefused) as error:
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
                    self._trouble.is_over(math.inf)
                    self._say_unread()
                    return
            while in_hand:
                in_hand.popleft().result()

    def _say_unread(self) -> None:
        if keys := self._unread.keys():
            said = {"queue": self._queue.name, "objects": len(keys), "first": keys[0]}
            log.error("objects could not be read: their messages wait in the dead-letter queue", extra=said)

    def _wait_out(self, error: TickhouseError) -> None:
        """Keys that are refused may be renewed; a run that is to come to an end does not wait for that."""
        if self._options.drain and isinstance(error, AccessRefused):
            raise error
        self._trouble.wait(error)

    def _is_drained(self) -> bool:
        try:
            return self._queue.depth().is_empty
        except LakeUnavailable as error:
            self._trouble.wait(error)
            return False

    def _receive(self) -> Deliveries:
        """As many messages as come in the time of a window and as it may hold; waits for the first only.

        Nothing is received while the warehouse is away: a delivery must not be spent on a try that cannot succeed.
        """
        window, limits = Deliveries(), self._options.limits
        began = time.monotonic()
        if self._trouble.is_going_on and not self._reading.submit(self._warehouse.is_alive).result():
            raise WarehouseUnavailable("the warehouse still does not answer")
        first_wait = min(1, self._options.wait_seconds) if self._options.drain else self._options.wait_seconds
        size, deadline = 0, math.inf
        while (
            len(window.messages) < limits.window_messages
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
            except LakeUnavailable:
                if window.messages:
                    break  # what is in hand is loaded first
                raise
            self._trouble.is_over(began)  # both answer again
            deadline = min(deadline, time.monotonic() + limits.seconds)
            self._heartbeat.hold(messages)
            for message in messages:
                size += self._add(window, message)
            if len(messages) < MOST_PER_REQUEST:
                break
        return window

    def _add(self, window: Deliveries, message: Message) -> int:
        """The bytes that the message announces."""
        created = window.take(message)
        if why := window.trouble_with(message):
            log.warning("not a notification", extra={"queue": self._queue.name, "why": why})
        elif not created:  # a test event, a restored object, no Records: right, and no sign of them is left
            log.info("a notification of no new object", extra={"queue": self._queue.name, "says": message.body[:200]})
        return sum(item.size for item in created)

    def _note_refused(self, window: Deliveries) -> None:
        for message, why in window.refused:
            self._ledger.record_error(
                LoadError(self._bucket, "", "", "", "bad_notification", why, "dropped", message.receive_count)
            )
            window.note(message)

    def _process(self, window: Deliveries) -> Future[None]:
        return self._settling.submit(self._settle, window, self._reading.submit(self._read, window))

    def _read(self, window: Deliveries) -> list[Future[_Inserted]]:
        """Part by part, as memory has room: one is inserted while the next is read.

        While the warehouse or our access is in trouble the messages are kept, hidden by the heartbeat, and tried again
        here: given back, they would use up their deliveries on something that is not their fault."""
        parts: list[Future[_Inserted]] = []
        is_noted, left = False, window.wanted()
        while not self._stop.is_set() and not (is_noted and not left):
            self.counts.pulse.beat()
            try:
                if not is_noted:
                    self._note_refused(window)
                    is_noted = True
                parts.append(self._read_part(left))
            except (WarehouseUnavailable, LakeUnavailable, AccessRefused) as error:
                self._wait_out(error)
        return parts

    def _read_part(self, left: list[Wanted]) -> Future[_Inserted]:
        """Takes what it read out of the list; keeps nothing of it itself."""
        reading = self._reader.read(left)
        wanted, left[:] = [item for item in left if item not in reading.left], reading.left
        return self._inserting.submit(self._insert, wanted, reading)

    def _insert(self, wanted: list[Wanted], reading: Reading) -> _Inserted:
        """What is for later is tried again here for a while, for the same reason; it never waits for memory, which the next
        part may have."""
        fates: dict[Version, Fate] = {}
        rows, deadline, gives_up = 0, time.monotonic() + LATER_SECONDS, False
        while True:
            with reading:
                inserted = self._insert_read(reading)
                fates |= reading.fates
                for version, fate in inserted.items():
                    fates |= dict.fromkeys(reading.wanted_as.get(version, [version]), fate)
                rows += sum(item.table.num_rows for item in reading.objects if inserted.get(item.version) is Fate.DONE)
            later = [item for item in wanted if fates.get(item.version) is Fate.LATER]
            if not later or gives_up or self._stop.wait(PAUSE_SECONDS):
                return _Inserted(fates, rows)
            gives_up = time.monotonic() > deadline
            again = self._read_again(later, gives_up)
            if again is None:
                return _Inserted(fates, rows)
            reading = again

    def _insert_read(self, reading: Reading) -> dict[Version, Fate]:
        while not self._stop.is_set():
            began = time.monotonic()
            self.counts.pulse.beat()
            try:
                inserted = self._batches.insert(reading.objects, self._stop.is_set)
            except (WarehouseUnavailable, LakeUnavailable, AccessRefused) as error:
                self._wait_out(error)
            else:
                self._trouble.is_over(began)
                return inserted
        return {}

    def _read_again(self, later: list[Wanted], gives_up: bool) -> Reading | None:
        while not self._stop.is_set():
            try:
                return self._again.read(later, waits=False, gives_up=gives_up)
            except (WarehouseUnavailable, LakeUnavailable, AccessRefused) as error:
                self._wait_out(error)
        return None

    def _settle(self, window: Deliveries, read: Future[list[Future[_Inserted]]]) -> None:
        """Deleting is the very last step."""
        fates: dict[Version, Fate] = {}
        rows = 0
        for part in read.result():
            inserted = part.result()
            fates |= inserted.fates
            rows += inserted.rows
        self.counts.on_window(fates, rows, len(window.refused))
        settled = window.settle(fates)
        try:
            self._queue.delete(settled.done)
            self._give_back(settled.again)
        except TickhouseError as error:
            log.warning("messages not settled; they return by themselves", extra={"why": str(error)})
        finally:
            self._heartbeat.settle(window.messages)

    def _give_back(self, messages: Iterable[Message]) -> None:
        """What could not be done comes back at once when we stop, later otherwise."""
        by_delay: dict[int, list[Message]] = {}
        for message in messages:
            by_delay.setdefault(0 if self._stop.is_set() else _back_off(message.receive_count), []).append(message)
        for seconds, together in by_delay.items():
            self._queue.extend_visibility(together, seconds)


def _back_off(receive_count: int) -> int:
    """Seconds until the next try: twice as long each time, with full jitter."""
    return random.randint(1, min(2**receive_count, LONGEST_BACK_OFF_SECONDS))

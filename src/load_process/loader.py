"""The loop over one queue: receive, load, delete last. Redelivery is harmless at every step."""

import logging
from dataclasses import dataclass

from load_process.ledger import Ledger, LoadError
from load_process.notifications import NotificationRefused, parse_notification
from load_process.object_load import ObjectLoader
from load_process.visibility import VisibilityHeartbeat
from pipeline.errors import LakeUnavailable, NotProvisioned, WarehouseRefused, WarehouseUnavailable
from pipeline.lifecycle import StopRequest
from pipeline.message_queue import Message, MessageQueue
from pipeline.object_store import ObjectStore
from pipeline.warehouse import Warehouse

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """Seconds; `drain` ends the loop once the queue is empty, deliveries in flight elsewhere included."""

    drain: bool = False
    wait_seconds: int = 5  # shorter than the 10 s that Docker gives a stopping process
    visibility_seconds: int = 30


class QueueLoader:
    """One queue, one warehouse connection, one loop; more processes on the same queue need no coordination."""

    def __init__(
        self, queue: MessageQueue, store: ObjectStore, warehouse: Warehouse, stop: StopRequest, options: LoaderOptions
    ) -> None:
        self._queue = queue
        self._warehouse = warehouse
        self._objects = ObjectLoader(store, warehouse)
        self._ledger = Ledger(warehouse)
        self._bucket = store.bucket
        self._stop = stop
        self._options = options
        self._pause_seconds = 0.0

    def run(self) -> None:
        """Until the stop is asked for, or the queue is drained."""
        quiet_polls = 0
        while not self._stop.is_set():
            try:
                messages = self._receive()
                quiet_polls = 0 if messages else quiet_polls + 1
                self._load_batch(messages)
                if self._options.drain and quiet_polls >= 2 and self._queue.depth().is_empty:
                    return
                if messages:
                    self._on_success()
            except (LakeUnavailable, WarehouseUnavailable) as error:
                self._on_trouble(error)

    def _receive(self) -> list[Message]:
        """Nothing is received while the warehouse is away: a delivery must not be spent on a try that cannot succeed."""
        if self._pause_seconds and not self._warehouse.is_alive():
            raise WarehouseUnavailable("the warehouse still does not answer")
        return self._queue.receive(
            most=10,
            wait_seconds=min(1, self._options.wait_seconds) if self._options.drain else self._options.wait_seconds,
            visibility_seconds=self._options.visibility_seconds,
        )

    def _load_batch(self, messages: list[Message]) -> None:
        if not messages:
            return
        with VisibilityHeartbeat(self._queue, messages, self._options.visibility_seconds) as heartbeat:
            waiting = list(messages)
            try:
                while waiting and not self._stop.is_set():
                    self._load_message(waiting[0])
                    heartbeat.settle(waiting.pop(0))
            finally:
                for message in waiting:
                    heartbeat.settle(message)
                    self._give_back(message)

    def _load_message(self, message: Message) -> None:
        """Deletes the message as the very last step, unless the engine refused a sound object.

        While the warehouse is in trouble the message is kept, hidden by the heartbeat, and tried again here: given back,
        it would use up its deliveries on something that is not its fault.
        """
        try:
            for created in parse_notification(message.body):
                while True:
                    try:
                        self._objects.load(created, message.receive_count)
                        break
                    except WarehouseUnavailable as error:
                        self._on_trouble(error)
                        if self._stop.is_set():
                            raise
        except NotificationRefused as error:
            log.warning("not a notification", extra={"queue": self._queue.name, "why": str(error)})
            self._ledger.record_error(
                LoadError(self._bucket, "", "", "", "bad_notification", str(error), "dropped", message.receive_count)
            )
        except WarehouseRefused as error:
            log.error("not loaded, left for another try", extra={"queue": self._queue.name, "why": str(error)})
            return
        self._queue.delete(message)

    def _give_back(self, message: Message) -> None:
        """To another loader at once when we stop, to a later try when something is away."""
        try:
            self._queue.extend_visibility(message, 0 if self._stop.is_set() else min(2**message.receive_count, 60))
        except (LakeUnavailable, NotProvisioned) as error:
            log.warning("message not given back; it returns by itself", extra={"why": str(error)})

    def _on_success(self) -> None:
        if self._pause_seconds:
            log.info("back to normal", extra={"queue": self._queue.name})
        self._pause_seconds = 0.0

    def _on_trouble(self, error: Exception) -> None:
        """Says it once, then waits longer and longer until it is over."""
        level = logging.DEBUG if self._pause_seconds else logging.WARNING
        log.log(level, "waiting for it to come back", extra={"queue": self._queue.name, "why": str(error)})
        self._pause_seconds = min(self._pause_seconds * 2 or 0.5, LONGEST_PAUSE_SECONDS)
        self._stop.wait(self._pause_seconds)

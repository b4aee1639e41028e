"""Keeps deliveries hidden from other loaders while a slow load is still running."""

import logging
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import TickhouseError
from tickhouse_core.message_queue import Message, MessageQueue

log = logging.getLogger(__name__)


class VisibilityHeartbeat:
    """A context around a loader's loop: extends what is held every third of the visibility timeout."""

    def __init__(self, queue: MessageQueue, visibility_seconds: int) -> None:
        self._queue = queue
        self._seconds = visibility_seconds
        beats = Backoff(visibility_seconds / 3, visibility_seconds / 3)
        self._outage = Outage(log, beats, begins="visibility not extended", ends="visibility extended again", queue=queue.name)
        self._held: dict[str, Message] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"visibility-{queue.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def hold(self, messages: Iterable[Message]) -> None:
        """From now on these are extended; a later delivery of the same message takes the place of the earlier."""
        with self._lock:
            self._held |= {message.id: message for message in messages}

    def settle(self, messages: Iterable[Message]) -> None:
        """These are deleted or given back: no more extending."""
        with self._lock:
            for message in messages:
                self._held.pop(message.id, None)

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            with self._lock:
                held = list(self._held.values())
            self._extend(held)

    def _extend(self, held: list[Message]) -> None:
        if not held:
            return
        try:
            failed = self._queue.extend_visibility(held, self._seconds)
        except TickhouseError as error:
            # Harmless: at worst the messages are delivered again, and ledger and token make that a no-op.
            self._outage.failed(error)
            return
        self._outage.succeeded()
        if failed:
            log.debug("deliveries were settled meanwhile", extra={"queue": self._queue.name, "messages": len(failed)})

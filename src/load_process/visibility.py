"""Keeps deliveries hidden from other loaders while a slow load is still running."""

import logging
import threading
from types import TracebackType
from typing import Self

from pipeline.errors import LakeUnavailable, NotProvisioned
from pipeline.message_queue import Message, MessageQueue

log = logging.getLogger(__name__)


class VisibilityHeartbeat:
    """A context around a batch: extends what is not settled yet every third of the visibility timeout."""

    def __init__(self, queue: MessageQueue, messages: list[Message], visibility_seconds: int) -> None:
        self._queue = queue
        self._seconds = visibility_seconds
        self._held = {message.id: message for message in messages}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"visibility-{queue.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def settle(self, message: Message) -> None:
        """The delivery is deleted or given back: no more extending."""
        with self._lock:
            self._held.pop(message.id, None)

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            with self._lock:
                held = list(self._held.values())
            for message in held:
                self._extend(message)

    def _extend(self, message: Message) -> None:
        try:
            self._queue.extend_visibility(message, self._seconds)
        except (LakeUnavailable, NotProvisioned) as error:
            # Harmless: at worst the message is delivered again, and the ledger and the token make that a no-op.
            log.warning("visibility not extended", extra={"queue": self._queue.name, "why": str(error)})

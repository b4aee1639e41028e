"""The messages of a queue: which wait for which objects (Deliveries), and until when they stay hidden (VisibilityHeartbeat)."""

import logging
import random
import threading
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from load_process.notifications import NotificationRefused, parse_notification
from load_process.objects import LoadRequest, ObjectVersion
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import TickhouseError
from tickhouse_core.message_queue import Message, MessageQueue

log = logging.getLogger(__name__)

GIVEN_BACK = Backoff(2.0, 60.0)
"""Seconds until a message that could not be settled is delivered again."""


@dataclass(slots=True)
class Settled:
    """Which messages to delete, and which to return."""

    done: list[Message] = field(default_factory=list)
    again: list[Message] = field(default_factory=list)


class Deliveries:
    """The messages of one window. An object that several messages name is requested once."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[Message, set[ObjectVersion]]] = {}
        self._requests: dict[ObjectVersion, LoadRequest] = {}
        self._refused: dict[str, tuple[Message, str]] = {}
        self._put_off: dict[str, str] = {}

    def take(self, message: Message) -> list[LoadRequest]:
        """Adds the objects that the message names; unreadable records are refused.

        The sender chooses the body. An unexpected error here is a fault of ours that one message revealed; it must not end the
        loader. The message is delivered again, and ends in the dead-letter queue.
        """
        try:
            created = parse_notification(message.body)
        except NotificationRefused as error:
            self.refuse(message, str(error), error.sound)
            return error.sound
        except Exception as error:  # noqa: BLE001  # see above
            self._objects[message.id] = (message, set())
            self._put_off[message.id] = f"{type(error).__name__}: {error}"
            return []
        self.add(message, created)
        return created

    def add(self, message: Message, created: Iterable[LoadRequest]) -> None:
        """A message that names nothing to load is done from the start; a message delivered twice counts once."""
        versions = set()
        for item in created:
            request = replace(item, attempts=message.receive_count)
            versions.add(request.version)
            known = self._requests.get(request.version)
            if known is None or known.attempts < request.attempts:
                self._requests[request.version] = request
        self._objects[message.id] = (message, versions)

    def refuse(self, message: Message, why: str, sound: Iterable[LoadRequest] = ()) -> None:
        """A message that cannot be read as a whole: its sound records are loaded, and it is done once the refusal is noted."""
        self.add(message, sound)
        self._refused[message.id] = (message, why)

    def trouble_with(self, message: Message) -> str:
        """Why the message was refused or put off; empty where it was read."""
        return self._put_off.get(message.id) or self._refused.get(message.id, (message, ""))[1]

    def note(self, message: Message) -> None:
        """The refusal of the message is recorded."""
        del self._refused[message.id]

    @property
    def refused(self) -> list[tuple[Message, str]]:
        """Refusals that are not recorded yet."""
        return list(self._refused.values())

    @property
    def messages(self) -> list[Message]:
        return [message for message, _ in self._objects.values()]

    def requests(self) -> list[LoadRequest]:
        """Each object once: live recordings first, otherwise in the order of arrival."""
        return sorted(self._requests.values(), key=lambda item: not item.is_live)

    def settle(self, done: AbstractSet[ObjectVersion]) -> Settled:
        """A message is done when all versions it names are; the others are retried."""
        settled = Settled()
        for message, versions in self._objects.values():
            is_open = message.id in self._refused or message.id in self._put_off
            (settled.again if is_open or not versions <= done else settled.done).append(message)
        return settled


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

    def give_back(self, messages: Iterable[Message], *, at_once: bool) -> None:
        """They are delivered again: now, or later the more often they came, with full jitter. Raises as the queue does."""
        by_delay: dict[int, list[Message]] = {}
        for message in messages:
            by_delay.setdefault(0 if at_once else _back_off(message.receive_count), []).append(message)
        for seconds, together in by_delay.items():
            self._queue.extend_visibility(together, seconds)

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


def _back_off(receive_count: int) -> int:
    """Seconds until the next delivery after this many deliveries (at least one), with full jitter."""
    return random.randint(1, int(GIVEN_BACK.pause(max(receive_count, 1))))

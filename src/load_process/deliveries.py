"""PURE. Deliveries: which messages wait for which objects, and which are done once these objects are."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from load_process.notifications import NotificationRefused, ObjectCreated, parse_notification
from load_process.objects import LoadRequest, ObjectVersion
from tickhouse_core.message_queue import Message


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

    def take(self, message: Message) -> list[ObjectCreated]:
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

    def add(self, message: Message, created: Iterable[ObjectCreated]) -> None:
        """A message that names nothing to load is done from the start; a message delivered twice counts once."""
        versions = set()
        for item in created:
            request = LoadRequest(item, message.receive_count)
            versions.add(request.version)
            known = self._requests.get(request.version)
            if known is None or known.attempts < request.attempts:
                self._requests[request.version] = request
        self._objects[message.id] = (message, versions)

    def refuse(self, message: Message, why: str, sound: Iterable[ObjectCreated] = ()) -> None:
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

"""PURE. Deliveries: which messages wait for which objects, and which are settled once an object's fate is known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from load_process.notifications import ObjectCreated
from load_process.versions import Fate, Version, Wanted
from tickhouse_core.message_queue import Message


@dataclass(slots=True)
class Settled:
    """What to do with messages now."""

    done: list[Message] = field(default_factory=list)
    again: list[Message] = field(default_factory=list)


class Deliveries:
    """The messages of one window. The same object named by several messages is wanted once."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[Message, set[Version]]] = {}
        self._wanted: dict[Version, Wanted] = {}
        self._refused: dict[str, tuple[Message, str]] = {}

    def add(self, message: Message, created: Iterable[ObjectCreated]) -> None:
        """A message that names nothing to load is done from the start; a message delivered twice counts once."""
        versions = set()
        for item in created:
            wanted = Wanted(item, message.receive_count)
            versions.add(wanted.version)
            known = self._wanted.get(wanted.version)
            if known is None or known.attempts < wanted.attempts:
                self._wanted[wanted.version] = wanted
        self._objects[message.id] = (message, versions)

    def refuse(self, message: Message, why: str) -> None:
        """A message that says nothing we understand: done once that is noted."""
        self._objects[message.id] = (message, set())
        self._refused[message.id] = (message, why)

    def note(self, message: Message) -> None:
        """That the message was refused is written down."""
        del self._refused[message.id]

    @property
    def refused(self) -> list[tuple[Message, str]]:
        """Those that are not noted yet."""
        return list(self._refused.values())

    @property
    def messages(self) -> list[Message]:
        return [message for message, _ in self._objects.values()]

    def wanted(self) -> list[Wanted]:
        """Each object once, what was recorded live first; otherwise in the order of arrival."""
        return sorted(self._wanted.values(), key=lambda item: not item.is_live)

    def settle(self, fates: Mapping[Version, Fate]) -> Settled:
        """A message is done when all its objects are; without a fate for each it is for another time."""
        settled = Settled()
        for message, versions in self._objects.values():
            is_done = message.id not in self._refused and all(fates.get(version) is Fate.DONE for version in versions)
            (settled.done if is_done else settled.again).append(message)
        return settled

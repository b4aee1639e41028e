"""MessageQueue: bodies and receipts; nothing of what they say. SqsQueue is SQS's, FolderQueue is files in a folder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

MOST_PER_REQUEST = 10
"""Messages in one request, whatever it does (SQS quota)."""

MAX_RECEIVE_COUNT = 5
"""Deliveries; then a message goes to the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery. The same message delivered again has another receipt and a higher `receive_count`."""

    id: str
    body: str
    receipt: str
    receive_count: int


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """SQS's approximate counts: waiting, handed out and not yet deleted, delayed."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def is_empty(self) -> bool:
        return self.visible == self.in_flight == self.delayed == 0


class MessageQueue(ABC):
    """Thread-safe. Errors: NotProvisioned where there is no such queue, LakeUnavailable, LakeRefused, AccessRefused."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        """Up to `most` (1 to 10) messages, waiting at most `wait_seconds` (0 to 20) for the first.

        They stay hidden from other receivers for `visibility_seconds`.
        """

    @abstractmethod
    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Returns those that were not deleted: they come again."""

    @abstractmethod
    def extend_visibility(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        """Hides the deliveries for `seconds` from now on, 0 gives them back at once; returns those that were not."""

    @abstractmethod
    def depth(self) -> QueueDepth:
        """How many messages there are."""

"""MessageQueue: bodies and receipts; nothing of what they say. SqsQueue is SQS's; FolderQueue is files in a folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tickhouse_core.aws import aws_errors, sqs_client

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


class SqsQueue(MessageQueue):
    """One queue of SQS, or of whatever speaks its protocol."""

    def __init__(self, name: str, *, brief: bool = False) -> None:
        super().__init__(name)
        self._client = sqs_client(brief=brief)
        with aws_errors(f"queue {name}"):
            self._url = self._client.get_queue_url(QueueName=name)["QueueUrl"]

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        with aws_errors(f"queue {self.name}"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        return [
            Message(
                id=item["MessageId"],
                body=item["Body"],
                receipt=item["ReceiptHandle"],
                receive_count=int(item.get("Attributes", {}).get("ApproximateReceiveCount", "1")),
            )
            for item in answer.get("Messages", ())
        ]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        return self._in_tens(messages, lambda entries: self._client.delete_message_batch(QueueUrl=self._url, Entries=entries))

    def extend_visibility(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        return self._in_tens(
            messages,
            lambda entries: self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries),
            VisibilityTimeout=seconds,
        )

    def _in_tens(self, messages: Sequence[Message], send: Callable[[Any], Any], **fields: int) -> list[Message]:
        """Sends an entry with these fields for each message; returns the messages whose entry failed."""
        entries = [{"Id": str(place), "ReceiptHandle": one.receipt, **fields} for place, one in enumerate(messages)]
        failed: list[Message] = []
        for start in range(0, len(entries), MOST_PER_REQUEST):
            with aws_errors(f"queue {self.name}"):
                answer = send(entries[start : start + MOST_PER_REQUEST])
            failed += [messages[int(entry["Id"])] for entry in answer.get("Failed", ())]
        return failed

    def depth(self) -> QueueDepth:
        with aws_errors(f"queue {self.name}"):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return QueueDepth(
            visible=int(counts.get("ApproximateNumberOfMessages", "0")),
            in_flight=int(counts.get("ApproximateNumberOfMessagesNotVisible", "0")),
            delayed=int(counts.get("ApproximateNumberOfMessagesDelayed", "0")),
        )

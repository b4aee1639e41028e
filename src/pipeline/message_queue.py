"""MessageQueue: one SQS queue over boto3. Knows bodies and receipts; nothing of what they say."""

from dataclasses import dataclass

from pipeline.aws import aws_errors, sqs_client


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


class MessageQueue:
    """Thread-safe. Errors: NotProvisioned where there is no such queue, LakeUnavailable, UsageError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = sqs_client()
        with aws_errors(f"queue {name}"):
            self._url = self._client.get_queue_url(QueueName=name)["QueueUrl"]

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        """Up to `most` (1 to 10) messages, waiting at most `wait_seconds` (0 to 20) for the first.

        They stay hidden from other receivers for `visibility_seconds`.
        """
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

    def delete(self, message: Message) -> None:
        with aws_errors(f"queue {self.name}"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def extend_visibility(self, message: Message, seconds: int) -> None:
        """Hides the delivery for `seconds` from now on; 0 gives it back at once."""
        with aws_errors(f"queue {self.name}"):
            self._client.change_message_visibility(QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds)

    def depth(self) -> QueueDepth:
        with aws_errors(f"queue {self.name}"):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return QueueDepth(
            visible=int(counts.get("ApproximateNumberOfMessages", "0")),
            in_flight=int(counts.get("ApproximateNumberOfMessagesNotVisible", "0")),
            delayed=int(counts.get("ApproximateNumberOfMessagesDelayed", "0")),
        )

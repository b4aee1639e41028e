"""SqsQueue: a MessageQueue over boto3."""

from collections.abc import Sequence

from tickhouse_core.aws import aws_errors, sqs_client
from tickhouse_core.message_queue import MOST_PER_REQUEST, Message, MessageQueue, QueueDepth


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
        entries = [{"Id": str(place), "ReceiptHandle": message.receipt} for place, message in enumerate(messages)]
        failed: list[Message] = []
        for start in range(0, len(entries), MOST_PER_REQUEST):
            with aws_errors(f"queue {self.name}"):
                answer = self._client.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=entries[start : start + MOST_PER_REQUEST],  # type: ignore[arg-type]  # a typed dictionary
                )
            failed += [messages[int(entry["Id"])] for entry in answer.get("Failed", ())]
        return failed

    def extend_visibility(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        entries = [
            {"Id": str(place), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
            for place, message in enumerate(messages)
        ]
        failed: list[Message] = []
        for start in range(0, len(entries), MOST_PER_REQUEST):
            with aws_errors(f"queue {self.name}"):
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=entries[start : start + MOST_PER_REQUEST],  # type: ignore[arg-type]  # a typed dictionary
                )
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

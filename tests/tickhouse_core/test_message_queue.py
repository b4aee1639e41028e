from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tickhouse_core.aws import sqs_client
from tickhouse_core.errors import LakeUnavailable, NotProvisioned
from tickhouse_core.message_queue import Message, MessageQueue, QueueDepth, SqsQueue

if TYPE_CHECKING:
    from conftest import Lake


QUEUE = "klines-notifications"


@pytest.fixture
def queue(moto_lake: Lake) -> MessageQueue:
    """The klines queue, empty: the bucket's test event is taken out."""
    assert moto_lake.environment["AWS_ENDPOINT_URL"]
    client = sqs_client()
    client.purge_queue(QueueUrl=client.get_queue_url(QueueName=QUEUE)["QueueUrl"])
    return SqsQueue(QUEUE)


def send(*bodies: str) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)


def receive(queue: MessageQueue, most: int = 10) -> list[Message]:
    return queue.receive(most=most, wait_seconds=0, visibility_seconds=30)


def test_an_empty_queue_gives_nothing(queue: MessageQueue) -> None:
    assert receive(queue) == []
    assert queue.depth() == QueueDepth(visible=0, in_flight=0, delayed=0)
    assert queue.depth().is_empty


def test_a_body_arrives_as_it_was_sent(queue: MessageQueue) -> None:
    send('{"币": "安 %3D+"}')
    (message,) = receive(queue)
    assert (message.body, message.receive_count) == ('{"币": "安 %3D+"}', 1)


def test_at_most_as_many_as_asked_for_are_received(queue: MessageQueue) -> None:
    send("a", "b", "c")
    assert len(receive(queue, most=2)) == 2
    assert len(receive(queue, most=2)) == 1


def test_a_received_message_is_hidden_but_still_counts(queue: MessageQueue) -> None:
    send("a", "b")
    receive(queue, most=1)
    assert queue.depth() == QueueDepth(visible=1, in_flight=1, delayed=0)
    assert not queue.depth().is_empty


def test_a_deleted_message_never_returns(queue: MessageQueue) -> None:
    send("a")
    (message,) = receive(queue)
    assert queue.delete([message]) == []
    assert queue.delete([message]) == []  # a second time is harmless
    assert queue.depth().is_empty


def test_more_messages_than_a_request_holds_are_all_deleted(queue: MessageQueue) -> None:
    send(*map(str, range(23)))
    messages = [*receive(queue), *receive(queue), *receive(queue)]
    assert len(messages) == 23
    assert queue.delete(messages) == []
    assert queue.depth().is_empty


def test_nothing_to_delete_or_to_extend_is_no_request(queue: MessageQueue) -> None:
    client = sqs_client()
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=QUEUE)["QueueUrl"])  # a request would say so
    assert queue.delete([]) == queue.extend_visibility([], 30) == []


def test_a_message_given_back_returns_at_once_with_its_count(queue: MessageQueue) -> None:
    send("a")
    (first,) = receive(queue)
    assert queue.extend_visibility([first], 0) == []
    (second,) = receive(queue)
    assert (second.id, second.body, second.receive_count) == (first.id, "a", 2)
    assert second.receipt != first.receipt


def test_an_extended_message_stays_hidden(queue: MessageQueue) -> None:
    send("a")
    (message,) = queue.receive(most=1, wait_seconds=0, visibility_seconds=1)
    queue.extend_visibility([message], 600)
    assert receive(queue) == []
    assert queue.depth() == QueueDepth(visible=0, in_flight=1, delayed=0)


def test_more_messages_than_a_request_holds_are_all_given_back(queue: MessageQueue) -> None:
    send(*map(str, range(23)))
    messages = [*receive(queue), *receive(queue), *receive(queue)]
    assert queue.depth() == QueueDepth(visible=0, in_flight=23, delayed=0)
    assert queue.extend_visibility(messages, 0) == []
    assert queue.depth() == QueueDepth(visible=23, in_flight=0, delayed=0)


def test_a_queue_that_is_not_there_is_missing_and_says_how_to_make_it(moto_lake: Lake) -> None:
    assert moto_lake.environment
    with pytest.raises(NotProvisioned, match=r"^queue nothing: .*`tickhouse provision` creates bucket and queues"):
        SqsQueue("nothing")


def test_a_queue_that_vanished_is_missing(queue: MessageQueue) -> None:
    client = sqs_client()
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=QUEUE)["QueueUrl"])
    with pytest.raises(NotProvisioned):
        receive(queue)
    with pytest.raises(NotProvisioned):
        queue.depth()


def test_a_receipt_that_nobody_handed_out_is_told_and_spoils_no_other(queue: MessageQueue) -> None:
    send("a")
    (message,) = receive(queue)
    forged = Message("1", "a", "forged", 1)
    assert queue.extend_visibility([forged, message], 0) == [forged]
    assert queue.depth() == QueueDepth(visible=1, in_flight=0, delayed=0)
    (message,) = receive(queue)
    assert queue.delete([forged, message]) == [forged]
    assert queue.depth().is_empty


def test_a_queue_that_does_not_answer_is_passing_trouble(queue: MessageQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert queue.depth().is_empty  # a client keeps its address
    with pytest.raises(LakeUnavailable, match=f"^queue {QUEUE}: "):
        SqsQueue(QUEUE)

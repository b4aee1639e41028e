from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from tests.waiting import patience

from load_process.deliveries import VisibilityHeartbeat
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.message_queue import Message, MessageQueue, SqsQueue

if TYPE_CHECKING:
    from conftest import Lake

MESSAGES = [Message(str(number), "", f"receipt-{number}", 1) for number in range(2)]
QUICK = 0.03
"""Seconds of visibility, so that a beat comes every hundredth of one; the parameter is typed for whole ones."""


class Extended(SqsQueue):
    """Notes what is extended, beat by beat; fails the first `failing` times."""

    def __init__(self, name: str, failing: int = 0) -> None:
        super().__init__(name)
        self.extended: list[tuple[list[str], float]] = []
        self.beat = threading.Semaphore(0)
        self.failing = failing

    def extend_visibility(self, messages: Sequence[Message], seconds: float) -> list[Message]:
        self.extended.append(([message.receipt for message in messages], seconds))
        self.beat.release()
        if len(self.extended) <= self.failing:
            raise LakeUnavailable("503")
        return []


def wait_for(queue: Extended, beats: int) -> None:
    for _ in range(beats):
        assert queue.beat.acquire(timeout=patience(10))


def quick(queue: MessageQueue) -> VisibilityHeartbeat:
    return VisibilityHeartbeat(queue, QUICK)  # type: ignore[arg-type]


def test_deliveries_that_are_not_settled_are_extended_again_and_again(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with quick(queue) as heartbeat:
        heartbeat.hold(MESSAGES)
        wait_for(queue, 3)
    assert queue.extended[:3] == [(["receipt-0", "receipt-1"], QUICK)] * 3


def test_what_is_held_later_is_extended_with_what_was_held_before(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with quick(queue) as heartbeat:
        heartbeat.hold(MESSAGES[:1])
        wait_for(queue, 1)
        heartbeat.hold(MESSAGES[1:])
        wait_for(queue, 2)  # a beat under way may not have had it
    assert queue.extended[0] == (["receipt-0"], QUICK)
    assert queue.extended[-1] == (["receipt-0", "receipt-1"], QUICK)


def test_a_settled_delivery_is_not_extended_any_more(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with quick(queue) as heartbeat:
        heartbeat.hold(MESSAGES)
        heartbeat.settle(MESSAGES[:1])
        heartbeat.settle(MESSAGES[:1])  # twice is harmless
        wait_for(queue, 3)
    assert {tuple(receipts) for receipts, _ in queue.extended} == {("receipt-1",)}


def test_the_later_delivery_of_a_message_is_the_one_that_is_extended(moto_lake: Lake) -> None:
    """The receipt of the earlier one may have lapsed (SQS: at-least-once delivery)."""
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with quick(queue) as heartbeat:
        heartbeat.hold(MESSAGES[:1])
        heartbeat.hold([Message("0", "", "receipt-later", 2)])
        wait_for(queue, 2)
    assert queue.extended[1] == (["receipt-later"], QUICK)


def test_an_extension_that_fails_is_said_once_and_tried_again_at_the_next_beat(
    moto_lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications", failing=3)
    with quick(queue) as heartbeat:
        heartbeat.hold(MESSAGES[:1])
        wait_for(queue, 5)
    assert len(queue.extended) >= 5
    said = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert said == ["visibility not extended"]


@pytest.mark.slow
def test_a_receipt_that_is_not_good_any_more_does_not_end_the_beats(moto_lake: Lake) -> None:
    queue, hidden = SqsQueue("klines-notifications"), math.ceil(patience(1))  # a busy machine's beats are late
    moto_lake.store.write("data_sources/klines_pricing/x.parquet", b"")
    received = queue.receive(most=10, wait_seconds=5, visibility_seconds=hidden)
    assert received
    with VisibilityHeartbeat(queue, hidden) as heartbeat:
        heartbeat.hold([*MESSAGES, *received])
        assert queue.receive(most=10, wait_seconds=2 * hidden, visibility_seconds=0) == []  # twice as long as it would be hidden


def test_while_nothing_is_held_and_after_the_end_nothing_is_extended(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with VisibilityHeartbeat(queue, 30) as heartbeat:
        heartbeat.hold(MESSAGES)
    with quick(queue):
        assert not queue.beat.acquire(timeout=10 * QUICK)
    assert queue.extended == []
    assert not [thread for thread in threading.enumerate() if thread.name == "visibility-klines-notifications"]

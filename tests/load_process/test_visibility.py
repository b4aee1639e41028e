from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from load_process.visibility import VisibilityHeartbeat
from pipeline.errors import LakeUnavailable
from pipeline.message_queue import Message, MessageQueue

if TYPE_CHECKING:
    from conftest import Lake

MESSAGES = [Message(str(number), "", f"receipt-{number}", 1) for number in range(2)]
QUICK = 0.03
"""Seconds of visibility, so that a beat comes every hundredth of one; the parameter is typed for whole ones."""


class Extended(MessageQueue):
    """Notes what is extended; fails the first `failing` times."""

    def __init__(self, name: str, failing: int = 0) -> None:
        super().__init__(name)
        self.extended: list[tuple[str, float]] = []
        self.beat = threading.Semaphore(0)
        self.failing = failing

    def extend_visibility(self, message: Message, seconds: float) -> None:
        self.extended.append((message.id, seconds))
        self.beat.release()
        if len(self.extended) <= self.failing:
            raise LakeUnavailable("503")


def wait_for(queue: Extended, beats: int) -> None:
    for _ in range(beats):
        assert queue.beat.acquire(timeout=10)


def test_deliveries_that_are_not_settled_are_extended_again_and_again(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with VisibilityHeartbeat(queue, MESSAGES, QUICK):  # type: ignore[arg-type]
        wait_for(queue, 6)
    assert queue.extended[:6] == [("0", QUICK), ("1", QUICK)] * 3


def test_a_settled_delivery_is_not_extended_any_more(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with VisibilityHeartbeat(queue, MESSAGES, QUICK) as heartbeat:  # type: ignore[arg-type]
        heartbeat.settle(MESSAGES[0])
        heartbeat.settle(MESSAGES[0])  # twice is harmless
        wait_for(queue, 5)  # a beat under way may still have had it
        after = len(queue.extended)
        wait_for(queue, 3)
    assert {message for message, _ in queue.extended[after:]} == {"1"}


def test_an_extension_that_fails_is_tried_again_at_the_next_beat(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications", failing=3)
    with VisibilityHeartbeat(queue, MESSAGES[:1], QUICK):  # type: ignore[arg-type]
        wait_for(queue, 5)
    assert len(queue.extended) >= 5


def test_after_the_batch_nothing_is_extended(moto_lake: Lake) -> None:
    assert moto_lake.environment
    queue = Extended("klines-notifications")
    with VisibilityHeartbeat(queue, MESSAGES, 30):
        pass
    assert queue.extended == []
    assert not [thread for thread in threading.enumerate() if thread.name == "visibility-klines-notifications"]

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.waiting import patience

from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_queue import FolderQueue
from tickhouse_core.message_queue import MAX_RECEIVE_COUNT, Message, QueueDepth

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        self.now += 1_000
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> FolderQueue:
    return FolderQueue(tmp_path, "trades", clock)


def receive(queue: FolderQueue, most: int = 10, visibility: int = 30) -> list[Message]:
    return queue.receive(most=most, wait_seconds=0, visibility_seconds=visibility)


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]


def test_messages_come_in_the_order_in_which_they_were_sent_and_are_hidden_then(queue: FolderQueue) -> None:
    for body in "abc":
        queue.send(body)
    assert bodies(receive(queue, most=2)) == ["a", "b"]
    assert bodies(receive(queue)) == ["c"]
    assert (receive(queue), queue.depth()) == ([], QueueDepth(visible=0, in_flight=3, delayed=0))


def test_a_deleted_message_is_gone_and_another_one_comes_again_with_a_higher_count(queue: FolderQueue, clock: Clock) -> None:
    queue.send("a")
    queue.send("b")
    first, second = receive(queue, visibility=30)
    assert queue.delete([first]) == []
    clock.go_on(31)
    [again] = receive(queue)
    assert (again.id, again.body, again.receive_count) == (second.id, "b", 2)
    assert queue.delete([second]) == [second], "somebody else has it now"
    assert queue.delete([again]) == []
    assert queue.depth().is_empty


def test_a_delivery_can_be_held_longer_and_given_back_at_once(queue: FolderQueue, clock: Clock) -> None:
    queue.send("a")
    [held] = receive(queue, visibility=30)
    assert queue.extend_visibility([held], 60) == []
    clock.go_on(45)
    assert receive(queue) == []
    assert queue.extend_visibility([held], 0) == []
    [again] = receive(queue)
    assert again.receive_count == 2
    assert queue.extend_visibility([held], 60) == [held]


def test_after_its_deliveries_a_message_is_a_dead_letter(queue: FolderQueue, clock: Clock, tmp_path: Path) -> None:
    queue.send("poison")
    for delivery in range(1, MAX_RECEIVE_COUNT + 1):
        assert [message.receive_count for message in receive(queue)] == [delivery]
        clock.go_on(31)
    assert receive(queue) == []
    assert queue.depth().is_empty
    assert bodies(receive(FolderQueue(tmp_path, "trades-dlq", clock))) == ["poison"]


def test_a_clock_that_was_set_back_hides_nothing(queue: FolderQueue, clock: Clock) -> None:
    queue.send("a")
    receive(queue)
    clock.go_on(-86_400)
    assert bodies(receive(queue)) == ["a"]


def test_a_copied_folder_has_what_was_waiting(queue: FolderQueue, tmp_path: Path) -> None:
    queue.send("a")
    receive(queue)
    shutil.copytree(tmp_path / "trades", tmp_path / "copy" / "trades", copy_function=shutil.copyfile)
    assert bodies(receive(FolderQueue(tmp_path / "copy", "trades"))) == ["a"]


def test_a_message_wakes_a_receiver_that_waits(tmp_path: Path) -> None:
    queue, waiting = FolderQueue(tmp_path, "trades"), threading.Event()

    def wait() -> list[Message]:
        waiting.set()
        return queue.receive(most=1, wait_seconds=round(patience(20)), visibility_seconds=30)

    with ThreadPoolExecutor(1) as thread:
        received = thread.submit(wait)
        waiting.wait()
        FolderQueue(tmp_path, "trades").send("a")
        assert bodies(received.result()) == ["a"]


def test_each_message_is_delivered_to_one_of_many_receivers(tmp_path: Path) -> None:
    sender = FolderQueue(tmp_path, "trades")
    for number in range(200):
        sender.send(str(number))

    def drain(_: int) -> list[str]:
        queue, mine = FolderQueue(tmp_path, "trades"), list[str]()
        while messages := receive(queue, visibility=300):
            mine += bodies(messages)
            assert queue.delete(messages) == []
        return mine

    with ThreadPoolExecutor(4) as threads:
        delivered = [body for mine in threads.map(drain, range(4)) for body in mine]
    assert sorted(delivered, key=int) == [str(number) for number in range(200)]


def test_a_queue_without_messages_is_empty_and_makes_no_folder(queue: FolderQueue, tmp_path: Path) -> None:
    assert (receive(queue), queue.depth().is_empty, list(tmp_path.iterdir())) == ([], True, [])


def test_what_a_kill_left_half_written_is_no_message(queue: FolderQueue, tmp_path: Path) -> None:
    queue.send("a")
    (tmp_path / "trades" / ".torn.0").write_text("b")
    assert bodies(receive(queue)) == ["a"]


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "trades").write_text("a file in the way")
    with pytest.raises(LakeUnavailable, match="writable, with room left"):
        FolderQueue(tmp_path, "trades").send("a")


def test_the_times_of_a_file_say_when_it_comes_again(queue: FolderQueue, clock: Clock, tmp_path: Path) -> None:
    queue.send("a")
    receive(queue, visibility=30)
    [path] = (tmp_path / "trades").iterdir()
    assert 29 * SECOND < path.stat().st_mtime_ns - clock.now <= 30 * SECOND


def test_what_is_no_message_is_left_alone_and_harms_nobody(tmp_path: Path) -> None:
    queue = FolderQueue(tmp_path, "trades")
    queue.send("a")
    folder, name = tmp_path / "trades", f"{1:020d}-{'a' * 12}"
    for stray in ("1garbage", "2.x", "README", f"{name}.x"):
        (folder / stray).write_text("stray")
    (folder / f"{name}.0").mkdir()
    (folder / f"{name}.1").symlink_to("nowhere")
    os.mkfifo(folder / f"{name}.2")
    messages = queue.receive(most=10, wait_seconds=0, visibility_seconds=30)
    assert (bodies(messages), queue.depth().in_flight, queue.depth().visible) == (["a"], 1, 0)
    assert queue.delete(messages) == []
    assert len(list(folder.iterdir())) == 7

"""OrderedQueue: what goes out under one ordering key before, during and after an outage."""

from extract_process.mirror.messages import Message, MessageForms
from extract_process.mirror.publisher import OrderedQueue
from extract_process.mirror.send_buffer import SendBuffer, SendLimits, SharedQuota


class Book:
    """Says a snapshot when one is due, and otherwise a delta while something changed."""

    def __init__(self) -> None:
        self.snapshot_due = True
        self.changed = False
        self.sequence = 0

    def take(self) -> Message | None:
        if not (self.snapshot_due or self.changed):
            return None
        kind = "snapshot" if self.snapshot_due else "delta"
        self.snapshot_due = self.changed = False
        self.sequence += 1
        return Message(b"x", kind, self.sequence)

    def lose(self) -> None:
        self.snapshot_due = True


def queue_of(book: Book, **limits: float) -> OrderedQueue:
    backlog = SendBuffer(SendLimits(**limits), SharedQuota(10**6), keeps=False)  # type: ignore[arg-type]
    return OrderedQueue("topic", MessageForms("binance", "BTCUSDT"), backlog, book.take, book.lose)


def change(book: Book, queue: OrderedQueue) -> None:
    book.changed = True
    queue.publish_latest()


def kinds(batch: list[Message]) -> list[tuple[str, int]]:
    return [(message.kind, message.sequence) for message in batch]


def test_without_trouble_every_change_is_a_message() -> None:
    book = Book()
    queue = queue_of(book)
    for _ in range(3):
        change(book, queue)
    assert kinds(queue.next_attempt()) == [("snapshot", 1), ("delta", 2), ("delta", 3)]


def test_after_an_outage_a_snapshot_comes_before_any_delta_and_the_sequence_jumps() -> None:
    book = Book()
    queue = queue_of(book, give_up_seconds=5)
    change(book, queue)
    change(book, queue)
    assert kinds(queue.next_attempt()) == [("snapshot", 1), ("delta", 2)]
    for now in (0.0, 2.0, 5.0):
        if queue.buffer.on_failed(now):
            queue.report_lost()
        change(book, queue)  # not said: conflated
    assert kinds(queue.next_attempt()) == [("snapshot", 3)], "the newest, made for this attempt"
    if queue.buffer.on_failed(6.0):
        queue.report_lost()
    assert kinds(queue.next_attempt()) == [("snapshot", 4)]
    queue.buffer.on_published()
    queue.publish_pending()
    change(book, queue)
    assert kinds(queue.next_attempt()) == [("delta", 5)]


def test_a_short_outage_loses_nothing_and_what_changed_meanwhile_is_one_delta() -> None:
    book = Book()
    queue = queue_of(book, give_up_seconds=5)
    change(book, queue)
    queue.next_attempt()
    assert not queue.buffer.on_failed(0.0)
    for _ in range(10):
        change(book, queue)
    assert kinds(queue.next_attempt()) == [("snapshot", 1)]
    queue.buffer.on_published()
    queue.publish_pending()
    assert kinds(queue.next_attempt()) == [("delta", 2)]


def test_without_room_the_newest_is_said_once_there_is() -> None:
    book = Book()
    queue = queue_of(book, waiting_messages=1)
    for _ in range(5):
        change(book, queue)
    assert kinds(queue.next_attempt()) == [("snapshot", 1)]
    queue.buffer.on_published()
    queue.publish_pending()
    assert kinds(queue.next_attempt()) == [("delta", 2)]


def test_a_book_that_has_nothing_to_say_ends_the_attempts() -> None:
    book = Book()
    queue = queue_of(book)
    change(book, queue)
    queue.next_attempt()
    queue.buffer.on_failed(0.0, is_gone=True)
    assert queue.next_attempt() == []
    assert queue.buffer.has_room

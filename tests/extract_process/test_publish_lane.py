"""Lane: what goes out under one ordering key before, during and after an outage."""

from extract_process.mirror_messages import MessageForms, Outgoing
from extract_process.publish_backlog import Backlog, BacklogLimits, SharedRoom
from extract_process.publish_lane import Lane


class Book:
    """Says a snapshot when one is due, and otherwise a delta while something changed."""

    def __init__(self) -> None:
        self.snapshot_due = True
        self.changed = False
        self.sequence = 0

    def take(self) -> Outgoing | None:
        if not (self.snapshot_due or self.changed):
            return None
        kind = "snapshot" if self.snapshot_due else "delta"
        self.snapshot_due = self.changed = False
        self.sequence += 1
        return Outgoing(b"x", kind, self.sequence)

    def lose(self) -> None:
        self.snapshot_due = True


def lane_of(book: Book, **limits: float) -> Lane:
    backlog = Backlog(BacklogLimits(**limits), SharedRoom(10**6), keeps=False)  # type: ignore[arg-type]
    return Lane("topic", MessageForms("binance", "BTCUSDT"), backlog, book.take, book.lose)


def change(book: Book, lane: Lane) -> None:
    book.changed = True
    lane.say_newest()


def kinds(batch: list[Outgoing]) -> list[tuple[str, int]]:
    return [(message.kind, message.sequence) for message in batch]


def test_without_trouble_every_change_is_a_message() -> None:
    book = Book()
    lane = lane_of(book)
    for _ in range(3):
        change(book, lane)
    assert kinds(lane.next_attempt()) == [("snapshot", 1), ("delta", 2), ("delta", 3)]


def test_after_an_outage_a_snapshot_comes_before_any_delta_and_the_sequence_jumps() -> None:
    book = Book()
    lane = lane_of(book, give_up_seconds=5)
    change(book, lane)
    change(book, lane)
    assert kinds(lane.next_attempt()) == [("snapshot", 1), ("delta", 2)]
    for now in (0.0, 2.0, 5.0):
        if lane.backlog.on_failed(now):
            lane.say_lost()
        change(book, lane)  # not said: conflated
    assert kinds(lane.next_attempt()) == [("snapshot", 3)], "the newest, made for this attempt"
    if lane.backlog.on_failed(6.0):
        lane.say_lost()
    assert kinds(lane.next_attempt()) == [("snapshot", 4)]
    lane.backlog.on_published()
    lane.pay_newest()
    change(book, lane)
    assert kinds(lane.next_attempt()) == [("delta", 5)]


def test_a_short_outage_loses_nothing_and_what_changed_meanwhile_is_one_delta() -> None:
    book = Book()
    lane = lane_of(book, give_up_seconds=5)
    change(book, lane)
    lane.next_attempt()
    assert not lane.backlog.on_failed(0.0)
    for _ in range(10):
        change(book, lane)
    assert kinds(lane.next_attempt()) == [("snapshot", 1)]
    lane.backlog.on_published()
    lane.pay_newest()
    assert kinds(lane.next_attempt()) == [("delta", 2)]


def test_without_room_the_newest_is_said_once_there_is() -> None:
    book = Book()
    lane = lane_of(book, waiting_messages=1)
    for _ in range(5):
        change(book, lane)
    assert kinds(lane.next_attempt()) == [("snapshot", 1)]
    lane.backlog.on_published()
    lane.pay_newest()
    assert kinds(lane.next_attempt()) == [("delta", 2)]


def test_a_book_that_has_nothing_to_say_ends_the_attempts() -> None:
    book = Book()
    lane = lane_of(book)
    change(book, lane)
    lane.next_attempt()
    lane.backlog.on_failed(0.0, is_gone=True)
    assert lane.next_attempt() == []
    assert lane.backlog.has_room

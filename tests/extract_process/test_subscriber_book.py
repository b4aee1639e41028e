"""SubscriberBook: what a subscriber may believe, message by message."""

from typing import Any

from extract_process.mirror.subscriber_book import Applied, SubscriberBook


def body(sequence: int, bids: list[list[str]], asks: list[list[str]] | None = None) -> dict[str, Any]:
    return {"sequence": sequence, "last_update_id": sequence * 10, "bids": bids, "asks": asks or []}


def test_deltas_before_the_first_snapshot_are_waited_through() -> None:
    book = SubscriberBook()
    assert book.apply("delta", body(5, [["1", "1"]])) is Applied.WAITING
    assert not book.is_right
    assert book.apply("snapshot", body(6, [["2", "1"]])) is Applied.SNAPSHOT
    assert book.apply("delta", body(7, [["3", "4"], ["2", "0"]])) is Applied.DELTA
    assert (book.bids, book.last_update_id) == ([("3", "4")], 70)


def test_a_jump_is_not_applied_and_the_next_snapshot_mends_it() -> None:
    book = SubscriberBook()
    book.apply("snapshot", body(1, [["2", "1"]]))
    assert book.apply("delta", body(3, [["2", "0"]])) is Applied.JUMP
    assert (book.is_right, book.bids) == (False, [("2", "1")])
    assert book.apply("delta", body(4, [["9", "1"]])) is Applied.WAITING
    assert book.apply("snapshot", body(9, [["5", "1"]])) is Applied.SNAPSHOT
    assert (book.is_right, book.bids) == (True, [("5", "1")])


def test_a_message_that_comes_twice_counts_once() -> None:
    book = SubscriberBook()
    book.apply("snapshot", body(1, [["2", "1"]]))
    book.apply("delta", body(2, [["2", "0"]]))
    assert book.apply("snapshot", body(1, [["2", "1"]])) is Applied.REPEATED
    assert book.apply("delta", body(2, [["2", "0"]])) is Applied.REPEATED
    assert book.bids == []


def test_a_price_in_another_spelling_is_the_same_level() -> None:
    book = SubscriberBook()
    book.apply("snapshot", body(1, [["2.50", "1"]], [["3", "1"]]))
    book.apply("delta", body(2, [["2.5", "0"]], [["3.0", "7"]]))
    assert (book.bids, book.asks) == ([], [("3.0", "7")])

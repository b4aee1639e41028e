"""MirroredBook: what a subscriber may believe, message by message."""

from typing import Any

from extract_process.mirrored_book import Heard, MirroredBook


def body(sequence: int, bids: list[list[str]], asks: list[list[str]] | None = None) -> dict[str, Any]:
    return {"sequence": sequence, "last_update_id": sequence * 10, "bids": bids, "asks": asks or []}


def test_deltas_before_the_first_snapshot_are_waited_through() -> None:
    book = MirroredBook()
    assert book.hear("delta", body(5, [["1", "1"]])) is Heard.WAITING
    assert not book.is_right
    assert book.hear("snapshot", body(6, [["2", "1"]])) is Heard.SNAPSHOT
    assert book.hear("delta", body(7, [["3", "4"], ["2", "0"]])) is Heard.DELTA
    assert (book.bids, book.last_update_id) == ([("3", "4")], 70)


def test_a_jump_is_not_applied_and_the_next_snapshot_mends_it() -> None:
    book = MirroredBook()
    book.hear("snapshot", body(1, [["2", "1"]]))
    assert book.hear("delta", body(3, [["2", "0"]])) is Heard.JUMP
    assert (book.is_right, book.bids) == (False, [("2", "1")])
    assert book.hear("delta", body(4, [["9", "1"]])) is Heard.WAITING
    assert book.hear("snapshot", body(9, [["5", "1"]])) is Heard.SNAPSHOT
    assert (book.is_right, book.bids) == (True, [("5", "1")])


def test_a_message_that_comes_twice_counts_once() -> None:
    book = MirroredBook()
    book.hear("snapshot", body(1, [["2", "1"]]))
    book.hear("delta", body(2, [["2", "0"]]))
    assert book.hear("snapshot", body(1, [["2", "1"]])) is Heard.REPEATED
    assert book.hear("delta", body(2, [["2", "0"]])) is Heard.REPEATED
    assert book.bids == []


def test_a_price_in_another_spelling_is_the_same_level() -> None:
    book = MirroredBook()
    book.hear("snapshot", body(1, [["2.50", "1"]], [["3", "1"]]))
    book.hear("delta", body(2, [["2.5", "0"]], [["3.0", "7"]]))
    assert (book.bids, book.asks) == ([], [("3.0", "7")])

"""MirrorBook: when a message is a snapshot, when a delta, when none; and what is asked of the venue."""

import pickle
from typing import Any

import orjson

from extract_process.book.sync import SnapshotNeeded, Synced
from extract_process.mirror.messages import MessageForms
from extract_process.mirror.mirror_book import REFRESH_AGAIN_US, MirrorBook, RefreshNeeded
from extract_process.records import DepthDiff, DepthSnapshot, Levels
from extract_process.sequence import Gap


def diff(first: int, last: int, bids: Levels | None = None, asks: Levels | None = None) -> DepthDiff:
    return DepthDiff("BTCUSDT", first, last, bids or [], asks or [], last * 1_000)


def ladder(first: int, count: int, step: int) -> Levels:
    return [[f"{first + number * step}.00", "1.0"] for number in range(count)]


def snapshot(last_update_id: int, middle: int = 500, count: int = 100) -> DepthSnapshot:
    return DepthSnapshot("BTCUSDT", last_update_id, ladder(middle - 1, count, -1), ladder(middle, count, 1), "start")


def synced(levels: int = 2) -> MirrorBook:
    book = MirrorBook(MessageForms("binance", "BTCUSDT"), levels, 100, sequence=1_000)
    assert book.on_diff(diff(1, 10), 5) == [SnapshotNeeded("start")]
    assert book.on_snapshot(snapshot(10), 100, 6) == [Synced(10)]
    return book


def body(book: MirrorBook) -> tuple[str, dict[str, Any]]:
    message = book.take()
    assert message is not None
    return message.kind, orjson.loads(message.data)


def test_nothing_is_said_before_the_book_is_synced() -> None:
    book = MirrorBook(MessageForms("binance", "BTCUSDT"), 2, 100, sequence=1_000)
    book.on_diff(diff(1, 10, bids=[["499.00", "1"]]), 5)
    assert book.take() is None


def test_it_begins_with_a_snapshot_and_goes_on_with_what_changed() -> None:
    book = synced()
    assert body(book) == (
        "snapshot",
        {
            "venue": "binance",
            "symbol": "BTCUSDT",
            "sequence": 1_001,
            "last_update_id": 10,
            "event_time": 10_000,
            "receipt_time": 6,
            "levels": 2,
            "bids": [["499.00", "1.0"], ["498.00", "1.0"]],
            "asks": [["500.00", "1.0"], ["501.00", "1.0"]],
        },
    )
    book.on_diff(diff(11, 12, bids=[["499.00", "0.00"], ["300.00", "9"]]), 7)
    kind, delta = body(book)
    assert (kind, delta["sequence"], delta["last_update_id"], delta["receipt_time"]) == ("delta", 1_002, 12, 7)
    assert (delta["bids"], delta["asks"]) == ([["497.00", "1.0"], ["499.00", "0"]], [])


def test_a_change_below_the_view_is_no_message_and_takes_no_sequence() -> None:
    book = synced()
    book.take()
    book.on_diff(diff(11, 12, bids=[["450.00", "7"]]), 7)
    assert book.take() is None
    book.on_diff(diff(13, 14, bids=[["499.00", "7"]]), 8)
    assert body(book)[1]["sequence"] == 1_002


def test_what_changed_over_several_diffs_is_one_message() -> None:
    book = synced()
    book.take()
    book.on_diff(diff(11, 12, bids=[["499.00", "7"]]), 7)
    book.on_diff(diff(13, 14, asks=[["500.00", "0"]]), 8)
    _, delta = body(book)
    assert (delta["bids"], delta["asks"]) == ([["499.00", "7"]], [["502.00", "1.0"], ["500.00", "0"]])
    assert delta["last_update_id"] == 14


def test_a_gap_is_silence_until_the_venues_answer_and_then_a_snapshot() -> None:
    book = synced()
    book.take()
    assert book.on_diff(diff(15, 16, bids=[["499.00", "0"]]), 7) == [Gap(11, 14, "sequence"), SnapshotNeeded("gap")]
    assert book.take() is None
    assert book.on_snapshot(snapshot(20), 100, 9) == [Synced(20)]
    kind, whole = body(book)
    assert (kind, whole["sequence"], whole["last_update_id"]) == ("snapshot", 1_002, 20)


def test_lost_messages_are_followed_by_a_snapshot() -> None:
    book = synced()
    book.take()
    book.snapshot_due = True
    assert body(book)[0] == "snapshot"
    assert book.take() is None


def test_a_side_that_runs_out_of_known_levels_is_refreshed_and_never_guessed() -> None:
    book = synced(levels=20)
    book.take()
    eaten = [[price, "0"] for price, _ in ladder(500, 85, 1)]
    assert book.on_diff(diff(11, 12, asks=eaten), 2_000_000) == [RefreshNeeded()]
    assert book.take() is None, "only 15 asks are known"
    assert book.on_diff(diff(13, 14), 9_000_000) == [], "asked once"
    book.on_snapshot_asked(as_proof=True)
    fresh = DepthSnapshot("BTCUSDT", 14, ladder(499, 100, -1), ladder(585, 100, 1), "refresh")
    book.on_snapshot(fresh, 100, 9_000_001)
    kind, delta = body(book)
    assert (kind, len(delta["asks"])) == ("delta", 40)
    assert [price for price, quantity in delta["asks"] if quantity != "0"] == [price for price, _ in ladder(585, 20, 1)]


def test_an_answer_that_does_not_help_is_asked_for_again_a_second_later() -> None:
    book = synced(levels=20)
    eaten = [[price, "0"] for price, _ in ladder(500, 85, 1)]
    assert book.on_diff(diff(11, 12, asks=eaten), REFRESH_AGAIN_US - 1) == [], "the first answer is younger than a second"
    assert book.on_diff(diff(13, 14), 2_000_000) == [RefreshNeeded()]
    book.on_snapshot_asked(as_proof=True)
    assert book.on_snapshot(snapshot(5), 100, 3_000_000) == [], "older than the book, and its diffs are not known"
    assert book.on_diff(diff(15, 16), 3_000_000 + REFRESH_AGAIN_US - 1) == []
    assert book.on_diff(diff(17, 18), 3_000_000 + REFRESH_AGAIN_US) == [RefreshNeeded()]


def test_a_book_that_grew_is_cut_and_goes_on_right() -> None:
    book = synced()
    book.take()
    before = len(pickle.dumps(book))
    far = [[f"{price}.00", "1"] for price in range(1, 399)]
    book.on_diff(diff(11, 12, bids=far), 7)
    assert len(pickle.dumps(book)) <= before, "the far levels are not kept"
    book.on_diff(diff(13, 14, bids=[["499.00", "0"]]), 8)
    assert body(book)[1]["bids"] == [["497.00", "1.0"], ["499.00", "0"]]


def test_a_diff_that_cannot_be_read_ends_the_book_until_a_snapshot_behind_it() -> None:
    """Nothing of a book that missed a diff is published."""
    mirror = MirrorBook(MessageForms("binance", "BTCUSDT"), 1, 100, sequence=1)
    mirror.on_diff(DepthDiff("BTCUSDT", 1, 5, [["9", "1"]], [["11", "1"]], 5), 5)
    mirror.on_snapshot(DepthSnapshot("BTCUSDT", 5, [["9", "1"]], [["11", "1"]], ""), 100, 5)
    assert mirror.take() is not None
    assert mirror.on_unreadable(6, 6) == [Gap(6, 6, "unreadable_number"), SnapshotNeeded("unreadable_number")]
    mirror.on_diff(DepthDiff("BTCUSDT", 7, 7, [["9", "2"]], [], 7), 7)
    mirror.snapshot_due = True
    assert mirror.take() is None
    mirror.on_snapshot(DepthSnapshot("BTCUSDT", 6, [["9", "1"]], [["11", "3"]], ""), 100, 8)
    message = mirror.take()
    assert message is not None
    body = orjson.loads(message.data)
    assert (message.kind, body["last_update_id"], body["bids"], body["asks"]) == ("snapshot", 7, [["9", "2"]], [["11", "3"]])

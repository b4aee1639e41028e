"""The running book against the venue's best prices: every common update id, what differs, and how often that is said."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from extract_process.book.local_book import LocalBook
from extract_process.book.sync import SnapshotNeeded
from extract_process.book.top_check import MOST_WAITING, SAID_AFTER, TopCounts, TopDiffers, TopsEqual
from extract_process.book.verification import Proven
from extract_process.live.event_log import EventLog
from extract_process.live.monitor import MonitorRules, StreamMonitor
from extract_process.live.requests import SnapshotRequest
from extract_process.records import BookTicker, DepthDiff, DepthSnapshot, Levels, StreamEvent, Ticker, top_of
from extract_process.venues import venue_named

BIDS, ASKS = [["99.00", "1.0"], ["98.00", "2"]], [["101.00", "3"], ["102.00", "4"]]


def top(update_id: int, bid: str = "99", bid_quantity: str = "1", ask: str = "101", ask_quantity: str = "3") -> BookTicker:
    return BookTicker("BTCUSDT", update_id, bid, bid_quantity, ask, ask_quantity)


def diff(number: int, bids: Levels = (), asks: Levels = ()) -> DepthDiff:
    return DepthDiff("BTCUSDT", number, number, bids, asks, number)


@pytest.fixture
def counts() -> TopCounts:
    return TopCounts()


@pytest.fixture
def book(counts: TopCounts) -> LocalBook:
    """At update 10, from a snapshot of two levels a side."""
    made = LocalBook(tops=counts)
    made.on_diff(diff(10))
    made.on_snapshot(DepthSnapshot("BTCUSDT", 10, BIDS, ASKS, "start"), 1_000)
    return made


def test_best_prices_are_compared_as_numbers_when_the_book_is_there_before_or_after_them(
    book: LocalBook, counts: TopCounts
) -> None:
    assert book.on_top(top(10)) == []
    assert (counts.equal, counts.different) == (1, 0)
    assert book.on_top(top(12, "99.50", "7")) == []
    assert counts.equal == 1, "the book has yet to come there"
    book.on_diff(diff(11))
    assert book.on_diff(diff(12, bids=[["99.5", "7.00"]])) == []
    assert (counts.equal, counts.different) == (2, 0)


def test_ids_that_the_diffs_jump_over_and_older_ones_say_nothing(book: LocalBook, counts: TopCounts) -> None:
    book.on_top(top(10))
    for number in (9, 11, 12):
        book.on_top(top(number, "1"))
    book.on_diff(DepthDiff("BTCUSDT", 11, 13, [], [], 13))
    book.on_top(top(12, "1"))
    assert (counts.equal, counts.different) == (1, 0)


def test_best_prices_that_come_after_the_book_has_moved_on_are_compared_with_what_it_was(
    book: LocalBook, counts: TopCounts
) -> None:
    """KuCoin sends diffs at once and tickers every 100 ms."""
    book.on_top(top(10))
    for number in range(11, 15):
        book.on_diff(diff(number, bids=[[f"99.{number}", "1"]]))
    assert book.on_top(top(12, "99.12")) == []
    assert (counts.equal, counts.different) == (2, 0)
    assert [type(finding) for finding in book.on_top(top(13, "99.14"))] == [TopDiffers, SnapshotNeeded]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (top(11, bid="98.9"), "bid: venue 1 at 98.9, here 1.0 at 99.00000000"),
        (top(11, ask_quantity="2"), "ask: venue 2 at 101, here 3 at 101.00000000"),
        (top(11, bid="0", bid_quantity="0"), "bid: venue 0 at 0, here 1.0 at 99.00000000"),
    ],
)
def test_what_differs_is_named_and_leads_to_a_proof_at_once(
    sent: BookTicker, words: str, book: LocalBook, counts: TopCounts
) -> None:
    book.on_top(sent)
    assert book.on_diff(diff(11)) == [TopDiffers(11, words), SnapshotNeeded("proof")]
    assert (counts.equal, counts.different) == (0, 1)
    assert book.is_synced, "the snapshot decides which of the two is wrong"


def test_an_empty_side_is_a_price_of_zero(counts: TopCounts) -> None:
    book = LocalBook(tops=counts)
    book.on_diff(diff(10))
    book.on_snapshot(DepthSnapshot("BTCUSDT", 10, [], ASKS, "start"), 1_000)
    assert book.on_top(top(10, "0.00000000", "0.00000000")) == []
    assert counts.equal == 1
    book.on_diff(diff(11, bids=[["99", "1"]]))
    assert [type(finding) for finding in book.on_top(top(11, "0", "0"))] == [TopDiffers, SnapshotNeeded]


def test_a_level_that_was_lost_long_before_the_first_best_price_is_found(book: LocalBook) -> None:
    """The book was kept as text until somebody looked."""
    book.on_diff(diff(11, bids=[["99.00", "0"]]))
    (finding, _) = book.on_top(top(11))
    assert isinstance(finding, TopDiffers)
    assert finding.words == "bid: venue 1 at 99, here 2 at 98.00000000"


def test_a_book_that_stays_wrong_is_said_once_and_again_only_after_many_comparisons(book: LocalBook, counts: TopCounts) -> None:
    said = []
    for number in range(11, 11 + SAID_AFTER + 1):
        book.on_top(top(number, bid="98"))
        said += [finding.update_id for finding in book.on_diff(diff(number)) if isinstance(finding, TopDiffers)]
    assert said == [11, 11 + SAID_AFTER]
    assert counts.different == SAID_AFTER + 1


def test_many_equal_ones_in_a_row_are_one_event(book: LocalBook) -> None:
    said = []
    for number in range(11, 11 + 2 * SAID_AFTER):
        book.on_top(top(number))
        said += book.on_diff(diff(number))
    assert said == [TopsEqual(11, 10 + SAID_AFTER, SAID_AFTER), TopsEqual(11 + SAID_AFTER, 10 + 2 * SAID_AFTER, SAID_AFTER)]


def test_a_book_without_a_snapshot_a_price_beyond_it_and_a_lost_book_prove_nothing(counts: TopCounts) -> None:
    book = LocalBook(tops=counts)
    assert book.on_top(top(10)) == []
    book.on_diff(diff(10))
    assert book.on_top(top(10)) == []
    bids = [[f"{99 - number}.00", "1"] for number in range(20)]
    book.on_snapshot(DepthSnapshot("BTCUSDT", 10, bids, ASKS, "start"), 20)
    book.on_top(top(11, bid="5"))
    book.on_diff(diff(11, bids=[[price, "0"] for price, _ in bids[:15]]))
    assert (counts.equal, counts.different) == (0, 0), "five known levels are left before the unknown begins"
    book.on_top(top(20))
    assert any(isinstance(finding, SnapshotNeeded) for finding in book.on_diff(diff(20))), "a hole"
    assert (counts.equal, counts.different) == (0, 0)


def test_what_waits_for_a_book_that_does_not_move_is_bounded(book: LocalBook, counts: TopCounts) -> None:
    for number in range(11, 12 + MOST_WAITING):
        book.on_top(top(number, bid="1"))
    book.on_diff(diff(11))
    assert counts.different == 0, "the oldest are forgotten"
    book.on_diff(DepthDiff("BTCUSDT", 12, 11 + MOST_WAITING, [], [], 1))
    assert counts.different == 1


def test_after_a_proof_the_fresh_book_is_compared(book: LocalBook, counts: TopCounts) -> None:
    book.on_snapshot_asked(as_proof=True)
    book.on_top(top(10))
    (proven,) = book.on_snapshot(DepthSnapshot("BTCUSDT", 10, BIDS, ASKS, "proof"), 1_000)
    assert isinstance(proven, Proven)
    book.on_top(top(11, "99.7", "5"))
    assert book.on_diff(diff(11, bids=[["99.7", "5"]])) == []
    assert (counts.equal, counts.different) == (2, 0)


def monitor_of(venue: str) -> StreamMonitor:
    found = venue_named(venue)
    return StreamMonitor(venue, "main", {}, MonitorRules(found.sparse_channels, found.settle_seconds, 5_000, found.top_channel))


def test_the_monitor_says_mismatch_in_the_channel_of_the_best_prices_and_asks_for_a_small_proof() -> None:
    monitor = monitor_of("binance")
    monitor.on_messages([diff(10)], 1)
    monitor.on_snapshot(DepthSnapshot("BTCUSDT", 10, BIDS, ASKS, "start"), 5_000, 2)
    findings = monitor.on_messages([top(11, bid="98.5"), diff(11)], 3)
    (event,) = findings.events
    assert (event.event, event.channel, event.symbol) == ("mismatch", "book_tickers", "BTCUSDT")
    assert (event.from_update_id, event.to_update_id, event.started_at) == (11, 11, 3)
    assert event.detail.startswith("bid: venue 1 at 98.5, here ")
    assert findings.requests == [SnapshotRequest("BTCUSDT", "proof", 1_000)]
    assert (monitor.tops.equal, monitor.tops.different) == (0, 1)


def test_kucoins_ids_of_best_prices_are_times_and_its_tickers_have_the_books_id() -> None:
    monitor = monitor_of("kucoin")
    monitor.on_messages([diff(10)], 1)
    monitor.on_snapshot(DepthSnapshot("BTCUSDT", 10, BIDS, ASKS, "start"), 100, 2)
    assert monitor.on_messages([top(10, bid="5")], 3).events == []
    assert monitor.tops == TopCounts()
    ticker = Ticker("BTCUSDT", 1, None, None, None, "100", None, None, "99", "1", "101", "3", 10)
    assert monitor.on_messages([ticker, ticker._replace(update_id=None), ticker._replace(best_ask_price=None)], 3).events == []
    assert monitor.tops == TopCounts(equal=1)
    (event,) = monitor.on_messages([ticker._replace(best_bid_quantity="7")], 3).events
    assert (event.event, event.channel) == ("mismatch", "ticker")
    assert top_of(ticker._replace(best_bid_price=None)) is None


def test_mismatches_of_best_prices_are_counted_once_there_are_many_and_those_of_proofs_never() -> None:
    log = EventLog()

    def mismatch(channel: str) -> StreamEvent:
        return StreamEvent("binance", "A", channel, "main", "mismatch", 1, 1, 1, None, "", "")

    assert sum(log.is_recorded(mismatch("book_tickers")) for _ in range(100)) == 20
    assert all(log.is_recorded(mismatch("depth")) for _ in range(100))


@pytest.mark.parametrize(
    ("venue", "recording", "path", "equal"),
    [
        ("binance", "binance_session_BTCUSDT_20240808", "/api/v3/depth", 880),
        ("binance", "binance_session_4symbols_20211012", "/api/v3/depth", 26),
        ("kucoin", "kucoin_session_20210425", "/market/orderbook/level2", 548),
    ],
)
def test_every_common_update_id_of_a_recording_agrees(
    venue: str, recording: str, path: str, equal: int, shared_data: Path
) -> None:
    monitor = monitor_of(venue)
    for received, message in _recorded(shared_data / f"{recording}.jsonl.gz", venue, path):
        if isinstance(message, DepthSnapshot):
            monitor.on_snapshot(message, 1_000, received)
        else:
            findings = monitor.on_messages(message, received)
            assert [event for event in findings.events if event.event in ("gap", "mismatch")] == []
    assert monitor.tops == TopCounts(equal, 0)


def _recorded(path: Path, venue: str, rest_path: str) -> Iterator[tuple[int, Any]]:
    """The records of every frame, and the snapshots, in order of receipt."""
    parse, parse_depth = venue_named(venue).parse_frame, venue_named(venue).parse_depth
    with gzip.open(path) as lines:
        for line in map(orjson.loads, lines):
            received = line["recv_ns"] // 1_000
            if line["src"] == "ws":
                yield received, parse(orjson.dumps(line["raw"]), received)
            elif line["src"] == "rest" and rest_path in line["url"]:
                symbol = line["url"].partition("symbol=")[2].partition("&")[0]
                yield received, parse_depth(orjson.dumps(line["raw"]), symbol, "start")

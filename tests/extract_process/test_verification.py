"""BookVerification and LocalBook: a running book against fresh snapshots, aligned by update id."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.local_book import LocalBook
from extract_process.book.order_book import OrderBook, exact_number
from extract_process.book.sync import SnapshotNeeded, Synced
from extract_process.book.verification import BookVerification, BoundedBook, Mismatch, Proven, Unproven, known_book
from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.sequence import Gap


class Venue:
    """A book whose update n sets one level, and what the venue would send of it."""

    def __init__(self) -> None:
        self.update_id = 100
        self.bids = dict.fromkeys(range(1, 51), 1)
        self.asks = dict.fromkeys(range(51, 101), 1)

    def diff(self, changes: list[tuple[int, int]]) -> DepthDiff:
        """One diff with an update id a change."""
        first = self.update_id + 1
        bids: list[list[str]] = []
        asks: list[list[str]] = []
        for price, quantity in changes:
            self.update_id += 1
            side, levels = (self.bids, bids) if price <= 50 else (self.asks, asks)
            side.pop(price, None)
            if quantity:
                side[price] = quantity
            levels.append([str(price), str(quantity)])
        return DepthDiff("X", first, self.update_id, bids, asks, 0)

    def snapshot(self, levels: int = 1_000) -> DepthSnapshot:
        bids = [[str(price), str(self.bids[price])] for price in sorted(self.bids, reverse=True)[:levels]]
        asks = [[str(price), f"{self.asks[price]}.0"] for price in sorted(self.asks)[:levels]]
        return DepthSnapshot("X", self.update_id, bids, asks, "proof")


def synced(venue: Venue, levels: int = 1_000) -> LocalBook:
    watch = LocalBook()
    assert watch.on_diff(venue.diff([(1, 1)])) == [SnapshotNeeded("start")]
    watch.on_snapshot_asked(as_proof=False)
    assert watch.on_snapshot(venue.snapshot(levels), levels) == [Synced(venue.update_id)]
    return watch


def test_a_right_book_is_proven_at_once_when_both_are_at_the_same_update() -> None:
    venue = Venue()
    watch = synced(venue)
    watch.on_snapshot_asked(as_proof=True)
    watch.on_diff(venue.diff([(50, 7), (51, 0)]))

    assert watch.on_snapshot(venue.snapshot(), 1_000) == [Proven(venue.update_id, 99)]


def test_a_snapshot_ahead_of_the_stream_waits_for_it() -> None:
    venue = Venue()
    watch = synced(venue)
    watch.on_snapshot_asked(as_proof=True)
    early, late = venue.diff([(50, 7)]), venue.diff([(49, 3)])
    assert watch.on_snapshot(venue.snapshot(), 1_000) == []
    assert watch.on_diff(early) == []
    assert watch.on_diff(late) == [Proven(venue.update_id, 100)]


def test_a_snapshot_behind_the_stream_is_moved_forward() -> None:
    venue = Venue()
    watch = synced(venue)
    watch.on_snapshot_asked(as_proof=True)
    watch.on_diff(venue.diff([(50, 7)]))
    old = venue.snapshot()
    watch.on_diff(venue.diff([(50, 0), (52, 9)]))
    assert watch.on_snapshot(old, 1_000) == [Proven(venue.update_id, 99)]


def test_a_snapshot_in_the_middle_of_a_diff_is_moved_to_its_end() -> None:
    venue = Venue()
    watch = synced(venue)
    watch.on_snapshot_asked(as_proof=True)
    middle = venue.diff([(50, 7)])
    snapshot = venue.snapshot()
    end = venue.diff([(52, 9)])
    whole = DepthDiff("X", middle.first_update_id, end.last_update_id, middle.bids, end.asks, 0)
    watch.on_diff(whole)
    assert watch.on_snapshot(snapshot, 1_000) == [Proven(venue.update_id, 100)]


def test_a_flipped_level_is_a_mismatch_and_the_book_starts_over() -> None:
    venue = Venue()
    watch = synced(venue)
    true = venue.diff([(50, 7)])
    watch.on_diff(true._replace(bids=[["50", "70"]]))
    watch.on_snapshot_asked(as_proof=True)
    mismatch, needed = watch.on_snapshot(venue.snapshot(), 1_000)

    assert mismatch == Mismatch(venue.update_id, 1, "bid 50.00000000: venue 7, here 70")
    assert needed == SnapshotNeeded("mismatch")
    assert not watch.is_synced
    assert watch.on_diff(venue.diff([(3, 3)])) == []
    assert watch.on_snapshot(venue.snapshot(), 1_000) == [Synced(venue.update_id)]


def test_levels_beyond_what_a_snapshot_reached_prove_nothing() -> None:
    venue = Venue()
    watch = synced(venue, levels=10)  # bids 50..41, asks 51..60
    watch.on_diff(venue.diff([(price, 0) for price in range(46, 51)]))
    watch.on_diff(venue.diff([(30, 5)]))
    watch.on_snapshot_asked(as_proof=True)
    assert watch.on_snapshot(venue.snapshot(10), 10) == [Proven(venue.update_id, 5 + 10)]


def test_a_gap_ends_a_proof_and_its_snapshot_repairs_the_book() -> None:
    venue = Venue()
    watch = synced(venue)
    watch.on_snapshot_asked(as_proof=True)
    venue.diff([(50, 7)])  # lost
    found = watch.on_diff(venue.diff([(49, 3)]))
    assert found == [Gap(102, 102, "sequence"), SnapshotNeeded("gap")]
    assert watch.on_snapshot(venue.snapshot(), 1_000) == [Synced(venue.update_id)]
    watch.on_snapshot_asked(as_proof=True)
    assert watch.on_snapshot(venue.snapshot(), 1_000) == [Proven(venue.update_id, 100)]


def test_a_snapshot_with_fewer_levels_than_asked_for_is_the_whole_side() -> None:
    book = known_book(Venue().snapshot(), 1_000)
    assert (book.lowest_bid, book.highest_ask) == (None, None)
    assert known_book(Venue().snapshot(10), 10).lowest_bid == 41 * 10**18


_changes = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 3)), min_size=1, max_size=4)


@given(st.lists(_changes, min_size=1, max_size=20), st.data())
def test_a_book_that_took_every_diff_is_always_proven(batches: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    venue = Venue()
    watch = synced(venue)
    asked = data.draw(st.integers(0, len(batches) - 1))
    made = data.draw(st.integers(asked, len(batches) - 1))
    answered = data.draw(st.integers(asked, len(batches)))
    diffs, snapshot, found = [], venue.snapshot(), []
    for number, batch in enumerate(batches):
        diffs.append(venue.diff(batch))
        if number == made:
            snapshot = venue.snapshot()
    for number, diff in enumerate(diffs):
        if number == asked:
            watch.on_snapshot_asked(as_proof=True)
        if number == answered:
            found += watch.on_snapshot(snapshot, 1_000)
        found += watch.on_diff(diff)
    if answered == len(batches):
        found += watch.on_snapshot(snapshot, 1_000)
    assert [type(finding) for finding in found] == [Proven]


@pytest.mark.parametrize("quantity", ["1", "1.0", "1.000000"])
def test_quantities_are_compared_as_numbers(quantity: str) -> None:
    one = known_book(DepthSnapshot("X", 1, [["5", quantity]], [], ""), 5)
    other = known_book(DepthSnapshot("X", 1, [["5.00", "1.00"]], [], ""), 5)
    assert one.differences(other) == (1, [])
    assert Decimal(quantity) == 1


def test_a_book_cut_to_its_nearest_levels_knows_no_more_than_it_has() -> None:
    bids, asks = [[str(price), "1"] for price in range(10, 0, -1)], [[str(price), "1"] for price in range(11, 16)]
    whole = BoundedBook(OrderBook(bids, asks), None, exact_number("14"))

    cut = whole.nearest(4)

    assert [price // 10**18 for price in sorted(cut.book.bids)] == [7, 8, 9, 10]
    assert [price // 10**18 for price in sorted(cut.book.asks)] == [11, 12, 13, 14]  # 15 was beyond the border
    assert (cut.lowest_bid, cut.highest_ask) == (exact_number("7"), exact_number("14"))


@pytest.mark.parametrize(("fresh_id", "is_ahead"), [(5_000, True), (5, False)])
def test_a_proof_that_never_concludes_says_so(fresh_id: int, is_ahead: bool) -> None:
    """The answer is of another numbering, or of a host that stays behind."""
    running = known_book(DepthSnapshot("BTCUSDT", 10, [["9", "1"]], [["11", "1"]], ""), 5)
    proof = BookVerification()
    fresh = known_book(DepthSnapshot("BTCUSDT", fresh_id, [["9", "1"]], [["11", "1"]], ""), 5)
    assert proof.on_snapshot(fresh, fresh_id, running, 10) is None
    verdicts = [proof.on_diff(DepthDiff("BTCUSDT", number, number, [], [], 0), running) for number in range(11, 612)]
    assert verdicts[:-1] == [None] * 600
    assert verdicts[-1] == Unproven(611, fresh_id)
    assert verdicts[-1].is_ahead is is_ahead

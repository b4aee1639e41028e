"""BookSync against tables of the venue's rules, and against a naive model over random losses, repeats and snapshots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.sync import (
    KEPT_WAITING,
    MOST_BEHIND_BOOK,
    MOST_KEPT_LEVELS,
    Apply,
    BookSync,
    Decision,
    SnapshotNeeded,
    SyncDelayed,
    Synced,
)
from extract_process.records import DepthDiff
from extract_process.sequence import Gap, Healed, NewNumbering


def diff(first: int, last: int) -> DepthDiff:
    return DepthDiff("BTCUSDT", first, last, [], [], 0)


def test_first_diff_asks_for_a_snapshot_once() -> None:
    sync = BookSync()

    assert sync.on_diff(diff(101, 105)) == [SnapshotNeeded("start")]
    assert sync.on_diff(diff(106, 110)) == []


@pytest.mark.parametrize(
    ("snapshot_id", "expected"),
    [
        (99, [SnapshotNeeded("snapshot_too_old")]),
        (100, [Synced(100), Apply(diff(101, 105)), Apply(diff(106, 110))]),  # U == L + 1: exactly at a diff's border
        (103, [Synced(103), Apply(diff(101, 105)), Apply(diff(106, 110))]),
        (105, [Synced(105), Apply(diff(106, 110))]),
        (110, [Synced(110)]),
        (125, [Synced(125)]),  # newer than all that came
    ],
)
def test_a_snapshot_fits_where_the_venue_says_so(snapshot_id: int, expected: list[Decision]) -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_diff(diff(106, 110))

    assert sync.on_snapshot(snapshot_id) == expected


def test_a_diff_after_a_newer_snapshot_is_no_gap_and_is_applied_when_it_passes_it() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(112)

    assert sync.on_diff(diff(106, 110)) == []
    assert sync.on_diff(diff(111, 115)) == [Apply(diff(111, 115))]


def test_a_hole_is_a_gap_with_both_ends_and_asks_for_a_snapshot() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(105)

    assert sync.on_diff(diff(108, 110)) == [Gap(106, 107, "sequence"), SnapshotNeeded("gap")]
    assert sync.book_id is None


def test_a_hole_that_a_snapshot_covers_is_a_gap_and_leaves_the_book_right() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(120)

    assert sync.on_diff(diff(115, 125)) == [Gap(106, 114, "sequence"), Apply(diff(115, 125))]


def test_a_hole_after_a_disconnect_is_the_connections() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.ids.on_break("disconnect")

    assert sync.on_diff(diff(111, 112)) == [Gap(106, 110, "disconnect")]


def test_an_overlapping_connection_that_goes_on_without_a_hole_changes_nothing() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(105)
    sync.ids.on_break("disconnect")

    assert sync.on_diff(diff(101, 105)) == []
    assert sync.on_diff(diff(104, 108)) == [Apply(diff(104, 108))]


def test_what_was_missed_while_the_process_was_down_is_a_gap() -> None:
    assert BookSync(last_update_id=90).on_diff(diff(101, 105)) == [Gap(91, 100, "restart"), SnapshotNeeded("start")]


def test_a_wrong_book_starts_over() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(105)

    assert sync.start_over("mismatch") == [SnapshotNeeded("mismatch")]
    assert sync.on_diff(diff(106, 107)) == []
    assert sync.on_snapshot(106) == [Synced(106), Apply(diff(106, 107))]


def test_what_comes_too_late_heals_its_gap_and_leaves_the_book_to_the_snapshot() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 105))
    sync.on_snapshot(105)
    sync.on_diff(diff(108, 110))

    assert sync.on_diff(diff(106, 107)) == [Healed(106, 107)]
    assert sync.on_snapshot(108) == [Synced(108), Apply(diff(108, 110))]


def test_few_diffs_are_kept_until_the_snapshot_is_asked_for_and_all_of_minutes_from_then_on() -> None:
    sync = BookSync()
    for number in range(1, 101):
        sync.on_diff(diff(number, number))
    assert sync.on_snapshot(100 - KEPT_WAITING - 1) == [SnapshotNeeded("snapshot_too_old")]

    sync.on_snapshot_asked()
    for number in range(101, 3_001):
        sync.on_diff(diff(number, number))
    decisions = sync.on_snapshot(101)
    assert len(decisions) == 1 + 3_000 - 101
    assert sync.book_id == 3_000


def test_a_host_that_stays_behind_the_stream_starts_the_book_all_the_same() -> None:
    """Every answer is the book of 60 diffs before, and diffs go on coming between request and answer."""
    sync, said, number, requests = BookSync(), list[Decision](), 1_000, 0
    found = sync.on_diff(diff(number, number))
    while SnapshotNeeded("start") in found or SnapshotNeeded("snapshot_too_old") in found:
        requests += 1
        sync.on_snapshot_asked()
        for _ in range(15):
            number += 1
            sync.on_diff(diff(number, number))
        found = sync.on_snapshot(number - 60)
        said += [decision for decision in found if isinstance(decision, SyncDelayed)]
        assert requests < 10
    assert sync.book_id == number
    assert requests == 4
    assert said == [SyncDelayed(1_045 - 60, 1_000)], "said once"


def test_what_waits_is_bounded_by_minutes_and_by_levels() -> None:
    for step_us, levels, kept in ((1_000_000, 1, 301), (1, 999, MOST_KEPT_LEVELS // 1_000)):
        sync = BookSync()
        sync.on_diff(DepthDiff("BTCUSDT", 1, 1, [], [], 0))
        sync.on_snapshot_asked()
        changed = [["1", "1"]] * levels
        for number in range(2, 1_002):
            sync.on_diff(DepthDiff("BTCUSDT", number, number, changed, [], number * step_us))
        assert sync.on_snapshot(1_001 - kept - 1)[-1] == SnapshotNeeded("snapshot_too_old")
        assert sync.on_snapshot(1_001 - kept)[0] == Synced(1_001 - kept)
        assert sync.book_id == 1_001


PRICES = 7  # update id n sets level n % PRICES to n


def _true_book(update_id: int) -> dict[int, int]:
    return {n % PRICES: n for n in range(max(1, update_id - PRICES + 1), update_id + 1)}


class _Model:
    """A book fed only by the decisions, and every missing id by the gaps."""

    def __init__(self) -> None:
        self.sync = BookSync()
        self.book: dict[int, int] | None = None
        self.missing: set[int] = set()
        self.is_waiting = False
        self.healed: set[int] = set()

    def diff(self, first: int, last: int) -> None:
        self._take(self.sync.on_diff(diff(first, last)))

    def snapshot(self, update_id: int) -> None:
        self.is_waiting = False
        self._take(self.sync.on_snapshot(update_id))

    def _take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Gap(first, last, _):
                    self.missing |= set(range(first, last + 1))
                case Healed(first, last):
                    self.healed |= set(range(first, last + 1))
                case SnapshotNeeded():
                    assert not self.is_waiting
                    self.book, self.is_waiting = None, True
                case Synced(update_id):
                    self.book = _true_book(update_id)
                case Apply(DepthDiff(_, first, last)):
                    assert self.book is not None
                    self.book |= {n % PRICES: n for n in range(max(first, last - PRICES + 1), last + 1)}


_steps = st.lists(st.sampled_from(["deliver", "drop", "repeat", "snapshot", "old_snapshot", "disconnect"]), max_size=60)


@given(steps=_steps, sizes=st.lists(st.integers(1, 5), min_size=60, max_size=60))
def test_the_book_is_right_whenever_it_claims_to_be_and_gaps_are_what_was_lost(steps: list[str], sizes: list[int]) -> None:
    model, now, delivered, lost = _Model(), 0, [], set()
    for step, size in zip(steps, sizes, strict=False):
        if step in ("deliver", "drop"):
            first, now = now + 1, now + size
            if step == "deliver":
                delivered.append((first, now))
                model.diff(first, now)
            else:
                lost |= set(range(first, now + 1))
        elif step == "repeat" and delivered:
            model.diff(*delivered[-1])
        elif step.endswith("snapshot") and delivered:
            model.snapshot(now if step == "snapshot" else max(1, now - 8))
        elif step == "disconnect":
            model.sync.ids.on_break("disconnect")
        if model.sync.book_id is not None:
            assert model.book == _true_book(model.sync.book_id)

    first_seen, last_seen = (delivered[0][0], delivered[-1][1]) if delivered else (0, 0)
    assert model.missing == {n for n in lost if first_seen < n < last_seen}
    if delivered and model.sync.book_id is None:  # never stuck: a fresh snapshot always helps
        model.snapshot(now)
        assert model.sync.book_id == now
        assert model.book == _true_book(now)


def test_a_snapshot_of_another_numbering_does_not_freeze_the_book() -> None:
    """It is far ahead of the stream: after a minute of diffs that it has already, another one is asked for."""
    sync = BookSync()
    sync.on_diff(diff(1, 1))
    sync.on_snapshot_asked()
    assert sync.on_snapshot(1_000_000) == [Synced(1_000_000)]
    found = [(number, decision) for number in range(2, 1_000) for decision in sync.on_diff(diff(number, number))]
    assert found == [(MOST_BEHIND_BOOK + 2, SnapshotNeeded("snapshot_ahead"))]
    assert sync.on_snapshot(990)[0] == Synced(990)
    assert sync.book_id == 999


def test_an_answer_from_before_the_new_numbering_is_no_start_of_its_book() -> None:
    """A proof was under way when the ids began anew; its answer comes before the one that counts."""
    sync = BookSync()
    for number in (101, 102, 103):
        sync.on_diff(diff(number, number))
    sync.on_snapshot(102)
    for number in (1, 2, 3):
        sync.on_diff(diff(number, number))
    assert sync.on_snapshot(103) == [SnapshotNeeded("snapshot_too_old")]
    assert sync.book_id is None
    assert sync.on_snapshot(3) == [Synced(3)]


def test_a_new_numbering_asks_for_a_new_book() -> None:
    sync = BookSync()
    sync.on_diff(diff(101, 110))
    sync.on_snapshot(105)
    assert [sync.on_diff(diff(number, number)) for number in (1, 2)] == [[], []]
    assert sync.on_diff(diff(3, 3)) == [NewNumbering(1, 3, before=110), SnapshotNeeded("new_numbering")]
    assert sync.on_diff(diff(4, 4)) == []
    assert sync.on_snapshot(3) == [Synced(3), Apply(diff(4, 4))]

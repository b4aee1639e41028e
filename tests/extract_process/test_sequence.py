"""SequenceTracker against tables, and against a naive set over random losses, repeats and late messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.ranges import Range, grid_of
from extract_process.sequence import MOST_JUMP, MOST_SKEW_US, Gap, Healed, Implausible, NewNumbering, SequenceTracker


def test_ids_that_follow_each_other_say_nothing() -> None:
    ids = SequenceTracker()
    assert [ids.on_ids(number, number) for number in (5, 6, 7)] == [[], [], []]
    assert ids.last_id == 7


def test_a_hole_is_a_gap_with_both_ends_and_what_comes_late_heals_it() -> None:
    ids = SequenceTracker()
    ids.on_ids(5, 5)

    assert ids.on_ids(9, 9) == [Gap(6, 8, "sequence")]
    assert ids.on_ids(7, 7) == [Healed(7, 7)]
    assert ids.on_ids(1, 20) == []  # goes on from 9, whatever it repeats
    assert ids.last_id == 20


def test_one_late_message_can_heal_several_holes() -> None:
    ids = SequenceTracker()
    for number in (1, 3, 5):
        ids.on_ids(number, number)
    assert ids.on_ids(1, 5) == [Healed(2, 2), Healed(4, 4)]


def test_the_cause_of_a_break_is_that_of_the_next_hole_only() -> None:
    ids = SequenceTracker()
    ids.on_ids(1, 1)
    ids.on_break("disconnect")
    assert ids.on_ids(3, 3) == [Gap(2, 2, "disconnect")]
    assert ids.on_ids(5, 5) == [Gap(4, 4, "sequence")]

    ids.on_break("disconnect")
    ids.on_ids(6, 6)  # nothing was missed: a later hole is not the connection's fault
    assert ids.on_ids(8, 8) == [Gap(7, 7, "sequence")]


def test_what_was_missed_while_the_process_was_down_is_a_gap() -> None:
    assert SequenceTracker(last_id=10).on_ids(15, 15) == [Gap(11, 14, "restart")]
    assert SequenceTracker(last_id=10).on_ids(11, 11) == []
    assert SequenceTracker(last_id=10).on_ids(8, 12) == []


def test_ids_of_klines_are_open_times() -> None:
    minute = 60_000_000
    ids = SequenceTracker(grid=grid_of("1m"))
    ids.on_ids(0, 0)
    assert ids.on_ids(minute, minute) == []
    assert ids.on_ids(4 * minute, 4 * minute) == [Gap(2 * minute, 3 * minute, "sequence")]


@given(st.lists(st.tuples(st.sampled_from(["deliver", "lose", "late"]), st.integers(1, 4)), max_size=60))
def test_gaps_less_what_was_healed_is_what_never_came(steps: list[tuple[str, int]]) -> None:
    ids, now, lost, missing, came = SequenceTracker(), 0, list[tuple[int, int]](), set[int](), set[int]()
    first_delivered = 0
    for step, size in steps:
        if step == "late":
            if not lost or not came:
                continue
            span = lost.pop(0)
        else:
            span, now = (now + 1, now + size), now + size
            if step == "lose":
                if came:  # ids from before the first one may be those of a new numbering
                    lost.append(span)
                continue
        came |= set(range(span[0], span[1] + 1))
        first_delivered = first_delivered or span[0]
        for finding in ids.on_ids(*span):
            assert isinstance(finding, Gap | Healed)
            touched = set(range(finding.from_id, finding.to_id + 1))
            assert touched.isdisjoint(missing) if isinstance(finding, Gap) else touched <= missing
            missing ^= touched
    if came:
        assert missing == {number for number in range(first_delivered, max(came) + 1) if number not in came}


def test_sparse_ids_may_jump_while_nothing_interrupts_them() -> None:
    ids = SequenceTracker(sparse=True)
    assert [ids.on_ids(number, number) for number in (10, 13, 14, 40)] == [[], [], [], []]
    ids.on_break("disconnect")
    assert ids.on_ids(47, 47) == [Gap(41, 46, "disconnect")]
    assert ids.on_ids(52, 52) == []
    assert ids.on_healed(43, 46) == [Healed(43, 46)]


def test_a_sparse_stream_that_begins_with_what_is_here_has_lost_nothing() -> None:
    ids = SequenceTracker(sparse=True)
    ids.on_ids(10, 10)
    ids.on_break("disconnect")
    assert ids.on_ids(10, 10) == []
    assert ids.on_ids(15, 15) == []


def test_a_restart_of_a_sparse_stream_is_a_gap_unless_the_next_id_follows() -> None:
    assert SequenceTracker(last_id=10, sparse=True).on_ids(15, 15) == [Gap(11, 14, "restart")]
    assert SequenceTracker(last_id=10, sparse=True).on_ids(11, 11) == []


def test_an_answer_that_heals_does_not_hide_an_interruption() -> None:
    ids = SequenceTracker(sparse=True)
    ids.on_ids(10, 10)
    ids.on_break("disconnect")
    assert ids.on_ids(20, 20) == [Gap(11, 19, "disconnect")]
    ids.on_break("disconnect")
    assert ids.on_healed(11, 19) == [Healed(11, 19)]
    assert ids.on_ids(30, 30) == [Gap(21, 29, "disconnect")]


def test_a_running_kline_tells_once_which_are_over() -> None:
    minute = 60_000_000
    ids = SequenceTracker(grid=grid_of("1m"))
    assert ids.on_running(5 * minute) is None
    assert ids.on_running(7 * minute) == Range(5 * minute, 6 * minute)
    assert ids.on_running(7 * minute) is None
    assert ids.on_healed(5 * minute, 5 * minute) == []
    ids.on_absent(6 * minute)
    assert ids.on_running(8 * minute) == Range(7 * minute, 7 * minute)
    assert ids.last_id == 6 * minute


def test_a_restart_asks_for_the_klines_that_ended_meanwhile() -> None:
    minute = 60_000_000
    ids = SequenceTracker(last_id=3 * minute, grid=grid_of("1m"))
    assert ids.on_running(6 * minute) == Range(4 * minute, 5 * minute)


def told(ids: SequenceTracker, *spans: tuple[int, int], at: int = 0) -> list[object]:
    return [finding for first, last in spans for finding in ids.on_ids(first, last, at)]


def test_rising_ids_from_before_all_that_was_seen_are_a_new_numbering() -> None:
    ids = SequenceTracker()
    assert told(ids, (101, 138), (139, 139), (1, 2), (3, 4)) == []
    assert told(ids, (10, 11)) == [NewNumbering(1, 11, before=139), Gap(5, 9, "sequence")]
    assert told(ids, (12, 12), (15, 15), (13, 14)) == [Gap(13, 14, "sequence"), Healed(13, 14)]
    assert ids.last_id == 15


def test_ids_below_the_last_are_a_new_numbering_only_if_they_are_younger() -> None:
    """In an overlap the second connection repeats what the first has delivered, as often as it likes."""
    ids = SequenceTracker()
    for number in range(1, 100):
        ids.on_ids(number, number, number)
    for number in range(1, 100):
        assert ids.on_ids(number, number, number) == []
    assert told(ids, (1, 1), (2, 2), at=99 + MOST_SKEW_US) == []
    assert ids.on_ids(3, 3, 100 + MOST_SKEW_US) == [NewNumbering(1, 3, before=99)]


@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_connection_that_stamps_messages_itself_begins_no_numbering(is_sparse: bool) -> None:
    """It is behind, and all that it repeats is younger than the newest message of the other one."""
    ids = SequenceTracker(sparse=is_sparse)
    for number in range(1, 1_001):
        ids.on_ids(number, number, number)
    for number in range(900, 1_001):
        assert ids.on_ids(number, number, number + 2_000_000) == []
    assert ids.on_ids(1_001, 1_001, 2_001_001) == []
    assert ids.span == (1, 1_001)


def test_a_numbering_that_begins_anew_at_once_is_told_later_with_all_its_holes() -> None:
    """Younger ids alone prove nothing for some seconds; what was missing meanwhile is a gap all the same."""
    ids = SequenceTracker()
    assert told(ids, *[(number, number) for number in range(1, 10_001)], at=1) == []
    second = 1_000_000
    for number in range(1, 10):
        if number != 4:
            assert ids.on_ids(number, number, 1 + number * second) == []
    assert ids.on_ids(12, 12, 12 * second) == [
        NewNumbering(1, 12, before=10_000), Gap(4, 4, "sequence"), Gap(10, 11, "sequence"),
    ]  # fmt: skip
    assert told(ids, (13, 13), (4, 4), at=13 * second) == [Healed(4, 4)]


def test_a_connection_that_is_behind_does_not_bring_the_old_numbering_back() -> None:
    ids = SequenceTracker()
    assert told(ids, (10**9, 10**9 + 50), (1, 1), (2, 2), (3, 3)) == [NewNumbering(1, 3, before=10**9 + 50)]
    assert told(ids, *[(10**9 + number, 10**9 + number) for number in range(40, 51)]) == []
    assert told(ids, (4, 4), (6, 6)) == [Gap(5, 5, "sequence")]
    assert ids.span == (1, 6)


def test_a_new_numbering_that_grows_into_the_old_one_has_holes_like_any_other() -> None:
    ids = SequenceTracker()
    assert told(ids, *[(number, number) for number in range(100, 141)], at=1) == []
    assert told(ids, (1, 1), (2, 2), (3, 99), at=2) == [NewNumbering(1, 99, before=140)]
    assert told(ids, (100, 104), (107, 107), at=3) == [Gap(105, 106, "sequence")]
    assert told(ids, (105, 106), at=4) == [Healed(105, 106)]


def test_what_is_late_by_chance_is_no_evidence() -> None:
    ids = SequenceTracker()
    assert told(ids, (100, 100), (1, 1), (2, 2), (101, 101), (3, 3), (4, 4), (102, 102)) == []
    assert told(ids, (4, 4), (3, 3), (2, 2), (1, 1)) == [], "falling ids are none either"
    assert ids.last_id == 102


def test_one_absurd_id_decides_nothing_and_three_are_a_new_numbering() -> None:
    ids = SequenceTracker()
    most = 2**64 - 1
    assert told(ids, (101, 102), (most, most)) == [Implausible(most, most, before=102)]
    assert told(ids, (103, 103), (104, 104)) == []
    assert told(ids, (most - 2, most - 2), (105, 105), (most - 1, most - 1)) == [
        Implausible(most - 2, most - 2, before=104),
        Implausible(most - 1, most - 1, before=105),
    ]
    assert ids.on_ids(106, most, 0) == [Implausible(106, most, before=105)], "nor one that begins where it should"
    assert ids.last_id == 105
    far = 10**15
    assert told(ids, (far, far), (far + 1, far + 1)) == [Implausible(far, far, 105), Implausible(far + 1, far + 1, 105)]
    assert told(ids, (far + 2, far + 2)) == [NewNumbering(far, far + 2, before=105)]
    assert told(ids, (far + 4, far + 4)) == [Gap(far + 3, far + 3, "sequence")]


def test_a_long_pause_allows_a_long_jump() -> None:
    day = 24 * 3_600_000_000
    ids = SequenceTracker(10, last_at=1_000)
    assert ids.on_ids(10 + MOST_JUMP + day, 10 + MOST_JUMP + day, 1_000 + day) == [Gap(11, 9 + MOST_JUMP + day, "restart")]
    ids = SequenceTracker(10, last_at=1_000)
    assert isinstance(ids.on_ids(10 + MOST_JUMP + day, 10 + MOST_JUMP + day, 2_000)[0], Implausible)


def test_ids_that_begin_anew_while_the_process_was_down_are_no_gap() -> None:
    ids = SequenceTracker(1_000_000)
    assert told(ids, (1, 1), (2, 2), (8, 8)) == [NewNumbering(1, 8, before=1_000_000), Gap(3, 7, "sequence")]

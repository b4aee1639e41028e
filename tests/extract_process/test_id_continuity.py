"""IdContinuity against tables, and against a naive set over random losses, repeats and late messages."""

from hypothesis import given
from hypothesis import strategies as st

from extract_process.id_continuity import Gap, Healed, IdContinuity
from extract_process.kline_grid import Range, grid_of


def test_ids_that_follow_each_other_say_nothing() -> None:
    ids = IdContinuity()
    assert [ids.on_ids(number, number) for number in (5, 6, 7)] == [[], [], []]
    assert ids.last_id == 7


def test_a_hole_is_a_gap_with_both_ends_and_what_comes_late_heals_it() -> None:
    ids = IdContinuity()
    ids.on_ids(5, 5)

    assert ids.on_ids(9, 9) == [Gap(6, 8, "sequence")]
    assert ids.on_ids(7, 7) == [Healed(7, 7)]
    assert ids.on_ids(1, 20) == []  # goes on from 9, whatever it repeats
    assert ids.last_id == 20


def test_one_late_message_can_heal_several_holes() -> None:
    ids = IdContinuity()
    for number in (1, 3, 5):
        ids.on_ids(number, number)
    assert ids.on_ids(1, 5) == [Healed(2, 2), Healed(4, 4)]


def test_the_cause_of_a_break_is_that_of_the_next_hole_only() -> None:
    ids = IdContinuity()
    ids.on_ids(1, 1)
    ids.on_break("disconnect")
    assert ids.on_ids(3, 3) == [Gap(2, 2, "disconnect")]
    assert ids.on_ids(5, 5) == [Gap(4, 4, "sequence")]

    ids.on_break("disconnect")
    ids.on_ids(6, 6)  # nothing was missed: a later hole is not the connection's fault
    assert ids.on_ids(8, 8) == [Gap(7, 7, "sequence")]


def test_what_was_missed_while_the_process_was_down_is_a_gap() -> None:
    assert IdContinuity(last_id=10).on_ids(15, 15) == [Gap(11, 14, "restart")]
    assert IdContinuity(last_id=10).on_ids(11, 11) == []
    assert IdContinuity(last_id=10).on_ids(8, 12) == []


def test_ids_of_klines_are_open_times() -> None:
    minute = 60_000_000
    ids = IdContinuity(grid=grid_of("1m"))
    ids.on_ids(0, 0)
    assert ids.on_ids(minute, minute) == []
    assert ids.on_ids(4 * minute, 4 * minute) == [Gap(2 * minute, 3 * minute, "sequence")]


@given(st.lists(st.tuples(st.sampled_from(["deliver", "lose", "late"]), st.integers(1, 4)), max_size=60))
def test_gaps_less_what_was_healed_is_what_never_came(steps: list[tuple[str, int]]) -> None:
    ids, now, lost, missing, came = IdContinuity(), 0, list[tuple[int, int]](), set[int](), set[int]()
    first_delivered = 0
    for step, size in steps:
        if step == "late":
            if not lost or not came:
                continue
            span = lost.pop(0)
        else:
            span, now = (now + 1, now + size), now + size
            if step == "lose":
                lost.append(span)
                continue
        came |= set(range(span[0], span[1] + 1))
        first_delivered = first_delivered or span[0]
        for finding in ids.on_ids(*span):
            touched = set(range(finding.from_id, finding.to_id + 1))
            assert touched.isdisjoint(missing) if isinstance(finding, Gap) else touched <= missing
            missing ^= touched
    if came:
        assert missing == {number for number in range(first_delivered, max(came) + 1) if number not in came}


def test_sparse_ids_may_jump_while_nothing_interrupts_them() -> None:
    ids = IdContinuity(sparse=True)
    assert [ids.on_ids(number, number) for number in (10, 13, 14, 40)] == [[], [], [], []]
    ids.on_break("disconnect")
    assert ids.on_ids(47, 47) == [Gap(41, 46, "disconnect")]
    assert ids.on_ids(52, 52) == []
    assert ids.on_healed(43, 46) == [Healed(43, 46)]


def test_a_sparse_stream_that_begins_with_what_is_here_has_lost_nothing() -> None:
    ids = IdContinuity(sparse=True)
    ids.on_ids(10, 10)
    ids.on_break("disconnect")
    assert ids.on_ids(10, 10) == []
    assert ids.on_ids(15, 15) == []


def test_a_restart_of_a_sparse_stream_is_a_gap_unless_the_next_id_follows() -> None:
    assert IdContinuity(last_id=10, sparse=True).on_ids(15, 15) == [Gap(11, 14, "restart")]
    assert IdContinuity(last_id=10, sparse=True).on_ids(11, 11) == []


def test_an_answer_that_heals_does_not_hide_an_interruption() -> None:
    ids = IdContinuity(sparse=True)
    ids.on_ids(10, 10)
    ids.on_break("disconnect")
    assert ids.on_ids(20, 20) == [Gap(11, 19, "disconnect")]
    ids.on_break("disconnect")
    assert ids.on_healed(11, 19) == [Healed(11, 19)]
    assert ids.on_ids(30, 30) == [Gap(21, 29, "disconnect")]


def test_a_running_kline_tells_once_which_are_over() -> None:
    minute = 60_000_000
    ids = IdContinuity(grid=grid_of("1m"))
    assert ids.on_running(5 * minute) is None
    assert ids.on_running(7 * minute) == Range(5 * minute, 6 * minute)
    assert ids.on_running(7 * minute) is None
    assert ids.on_healed(5 * minute, 5 * minute) == []
    ids.on_absent(6 * minute)
    assert ids.on_running(8 * minute) == Range(7 * minute, 7 * minute)
    assert ids.last_id == 6 * minute


def test_a_restart_asks_for_the_klines_that_ended_meanwhile() -> None:
    minute = 60_000_000
    ids = IdContinuity(last_id=3 * minute, grid=grid_of("1m"))
    assert ids.on_running(6 * minute) == Range(4 * minute, 5 * minute)

"""CoveredIds: what is on disk as rows or gaps, and what fell out in a crash."""

from hypothesis import given
from hypothesis import strategies as st

from extract_process.live.recovery import CoveredIds
from extract_process.sequence import Gap


def test_rows_and_gaps_that_go_on_from_what_was_known_leave_no_hole() -> None:
    account = CoveredIds(last_id=10)
    account.add(11, 15)
    account.add(18, 20)
    account.add(16, 17)  # the event of a gap, written after the rows
    assert account.settle() == (20, [])


def test_a_hole_that_nobody_wrote_down_is_the_restarts() -> None:
    account = CoveredIds(last_id=10)
    account.add(13, 15)
    account.add(20, 20)
    assert account.settle() == (20, [Gap(11, 12, "restart"), Gap(16, 19, "restart")])


def test_without_anything_known_the_first_id_is_the_beginning() -> None:
    account = CoveredIds(last_id=None)
    account.add(13, 15)
    assert account.settle() == (15, [])
    assert CoveredIds(last_id=None).settle() == (None, [])


def test_what_is_older_than_what_was_known_changes_nothing() -> None:
    account = CoveredIds(last_id=10)
    account.add(3, 5)
    assert account.settle() == (10, [])


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)), max_size=30), st.integers(0, 30) | st.none())
def test_holes_are_what_no_range_holds(spans: list[tuple[int, int]], last_id: int | None) -> None:
    account, held = CoveredIds(last_id), set[int]()
    for first, size in spans:
        account.add(first, first + size)
        held |= set(range(first, first + size + 1))
    last, gaps = account.settle()

    known = held if last_id is None else held | {last_id}
    assert last == max(known, default=None)
    begin = min(held, default=0) if last_id is None else last_id
    holes = {number for number in range(begin, (last or 0) + 1) if known and number not in known}
    assert {number for gap in gaps for number in range(gap.from_id, gap.to_id + 1)} == holes

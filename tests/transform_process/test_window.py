from hypothesis import given
from hypothesis import strategies as st

from transform_process.catalog import Load, Window, cut_windows


def cut(*loads: tuple[int, int], most_rows: int = 10, start: int = 0, end: int = 100) -> list[Window]:
    return list(cut_windows([Load(*load) for load in loads], start, end, most_rows))


def test_no_loads_make_no_window() -> None:
    assert cut() == []


def test_what_fits_is_one_window_up_to_the_end() -> None:
    assert cut((5, 4), (7, 6)) == [Window(0, 100, 10)]


def test_a_window_ends_where_the_next_load_would_be_too_much() -> None:
    assert cut((5, 4), (7, 6), (8, 1)) == [Window(0, 8, 10), Window(8, 100, 1)]


def test_one_instant_stays_together_however_much_it_is() -> None:
    assert cut((5, 4), (7, 60), (9, 1)) == [Window(0, 7, 4), Window(7, 9, 60), Window(9, 100, 1)]


def test_loads_of_two_tables_at_one_instant_are_one() -> None:
    assert cut((7, 6), (5, 1), (7, 5)) == [Window(0, 7, 1), Window(7, 100, 11)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20))), st.integers(1, 40))
def test_windows_have_no_hole_and_hold_every_row_once(loads: list[tuple[int, int]], most_rows: int) -> None:
    windows = cut(*loads, most_rows=most_rows)
    assert sum(window.rows for window in windows) == sum(rows for _, rows in loads)
    edges = [0, *(window.end_us for window in windows)]
    assert [window.start_us for window in windows] == edges[:-1]
    assert not windows or edges[-1] == 100
    for window in windows:
        inside = [(load, rows) for load, rows in loads if window.start_us <= load < window.end_us]
        assert window.rows == sum(rows for _, rows in inside)
        assert window.rows <= most_rows or len({load for load, _ in inside}) == 1


def test_a_window_has_the_lost_minutes_of_its_own_loads() -> None:
    loads = [Load(5, 4), Load(5, 1, lost=1), Load(7, 8, lost=3), Load(9, 2)]
    assert list(cut_windows(loads, 0, 100, 10)) == [Window(0, 7, 5, lost=1), Window(7, 100, 10, lost=3)]

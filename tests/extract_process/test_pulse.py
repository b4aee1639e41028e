"""When heartbeats are due: often enough to say that a capture lives, and not beside every other object."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.live.pulse import Pulse


def beats(rows_at: list[float], seconds: int, *, began: float = 0.0, quiet: float = 10.0, busy: float = 120.0) -> list[float]:
    """When the heartbeats came, looked at every second."""
    pulse, beaten = Pulse(began, quiet, busy), list[float]()
    for now in range(seconds):
        others = sum(at <= now for at in rows_at)
        if pulse.is_due(began + now, others + len(beaten)):
            beaten.append(float(now))
    return beaten


def test_a_capture_that_records_nothing_else_beats_every_ten_seconds() -> None:
    assert beats([], 61) == [0, 10, 20, 30, 40, 50, 60]


def test_one_that_records_beats_often_in_its_first_minutes_and_then_every_two() -> None:
    """A restart must be seen soon: until a heartbeat comes, the last word of the process is that it stopped."""
    found = beats([at / 2 for at in range(1_200)], 600)
    assert found[:12] == [10.0 * number for number in range(12)]
    assert found[12:] == [230, 350, 470, 590]


def test_it_beats_again_once_nothing_else_is_recorded() -> None:
    assert beats([float(at) for at in range(300)], 340)[12:] == [230, 309, 319, 329, 339]


@given(
    st.lists(st.floats(0, 400), max_size=60),
    st.sampled_from([(10.0, 120.0), (1.0, 12.0), (10.0, 10.0)]),
    st.floats(0, 1e6),
)
def test_at_any_moment_there_is_a_heartbeat_or_another_row_within_twice_the_quiet_time(
    rows_at: list[float], seconds: tuple[float, float], began: float
) -> None:
    quiet, busy = seconds
    found = beats(rows_at, 400, began=began, quiet=quiet, busy=busy)
    signs = sorted([*found, *rows_at, 399.0])
    assert max(after - before for before, after in itertools.pairwise(signs)) <= 2 * quiet + 2
    assert all(after - before >= quiet - 1 for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("rows", [0, 5])
def test_the_first_look_beats(rows: int) -> None:
    assert Pulse(7.0, 10.0, 120.0).is_due(7.0, rows)

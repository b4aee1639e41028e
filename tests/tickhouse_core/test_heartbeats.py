"""What one process writes into a heartbeat's detail is what another reads from it."""

import pytest

from tickhouse_core.metrics import batch_seconds_of, heartbeat_detail


@pytest.mark.parametrize(("seconds", "read"), [(10.0, 10.0), (60, 60.0), (0.5, 0.5), (3_600, 3_600.0), (1e9, 3_600.0)])
def test_the_age_of_batches_travels_in_the_detail(seconds: float, read: float) -> None:
    assert batch_seconds_of(heartbeat_detail("0 books unsynced, 3 gaps", seconds)) == read


@pytest.mark.parametrize("detail", ["", "0 books unsynced, 0 gaps, 0 frames refused", "batches of nan s", "batches of -5 s"])
def test_a_capture_that_does_not_say_it_has_batches_of_10_s(detail: str) -> None:
    assert batch_seconds_of(detail) == 10.0

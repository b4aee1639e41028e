"""One request weight for several processes: each sees what the others took, and none waits for one that was stopped."""

import fcntl
import threading
from pathlib import Path

import pytest

from extract_process.venues.rate_limit import LONGEST_REQUEST_US, RateLimit, Tally
from extract_process.venues.weight_file import BUSY_SECONDS, SharedRateLimit
from tickhouse_core.timestamps import MINUTE_US, SECOND_US

NOON = 28_000_000 * MINUTE_US


def sharing(folder: Path, limit: int = 100, *, is_aligned: bool = True) -> SharedRateLimit:
    """As another process has it: nothing is shared but the file."""
    return SharedRateLimit(folder, "toy", "venue.test:80", limit, MINUTE_US, is_aligned=is_aligned)


def the_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    assert found.name == "toy-venue.test%3A80-weight.json"
    return found


@pytest.mark.parametrize("is_aligned", [True, False])
def test_what_one_takes_another_has_not(tmp_path: Path, is_aligned: bool) -> None:
    one, other = (sharing(tmp_path, is_aligned=is_aligned) for _ in range(2))
    assert one.take(60, NOON) == 0.0
    assert other.take(30, NOON) == 0.0
    assert one.take(10, NOON) == 60.0
    one.on_answer(60, NOON, NOON, Tally(60))
    assert other.take(10, NOON) == 60.0
    other.on_answer(30, NOON, NOON, Tally(90))
    assert (one.take(10, NOON), one.used_weight) == (60.0, 90)
    assert one.take(10, NOON + MINUTE_US) == 0.0


def test_a_limit_a_block_and_a_tally_are_for_all(tmp_path: Path) -> None:
    one, other = sharing(tmp_path), sharing(tmp_path)
    one.set_limit(1_000)
    assert other.take(500, NOON) == 0.0
    other.on_answer(500, NOON, NOON, Tally(940))  # others use the address too
    assert one.take(20, NOON) == 60.0
    other.block_until(NOON + 90 * SECOND_US)
    assert one.take(20, NOON + MINUTE_US) == 30.0
    assert one.limit == 1_000


def test_clocks_that_differ_at_the_turn_of_a_minute_lose_no_count(tmp_path: Path) -> None:
    early, late = sharing(tmp_path), sharing(tmp_path)
    turn = NOON + MINUTE_US
    for limit, now in ((early, turn - 5), (early, turn + 1)):
        assert limit.take(90, now) == 0.0
        limit.on_answer(90, now, now, None)
    assert late.take(10, turn - 1) == pytest.approx(1e-6)
    assert early.take(10, turn + 2) == pytest.approx(60, abs=1e-5)


def test_requests_of_a_process_that_died_are_given_up(tmp_path: Path) -> None:
    assert sharing(tmp_path).take(90, NOON) == 0.0
    other = sharing(tmp_path)
    assert other.take(10, NOON + MINUTE_US) > 0
    assert other.take(10, NOON + LONGEST_REQUEST_US) == 0.0


def test_a_locked_file_stops_no_process_and_loses_no_answer(tmp_path: Path) -> None:
    one = sharing(tmp_path)
    assert one.take(60, NOON) == 0.0
    with the_file(tmp_path).open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        one.on_answer(60, NOON, NOON, Tally(80))
        assert one.take(1, NOON) == BUSY_SECONDS
    assert sharing(tmp_path).take(40, NOON) == 60.0  # the 60 are under way
    assert one.take(30, NOON) == 60.0
    assert one.used_weight == 80


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"limit": 1}', b'{"limit":"x"}', b"\xff" * 100])
def test_a_file_that_is_no_state_is_replaced(tmp_path: Path, content: bytes) -> None:
    one = sharing(tmp_path)
    assert one.take(60, NOON) == 0.0
    the_file(tmp_path).write_bytes(content)
    assert one.take(40, NOON) == 60.0, "what this process knows stays"
    assert sharing(tmp_path).take(40, NOON) == 60.0


def test_without_a_file_each_counts_alone_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    one = sharing(tmp_path / "file")
    assert one.take(60, NOON) == 0.0
    one.on_answer(60, NOON, NOON, None)
    assert one.take(60, NOON) == 60.0
    assert caplog.text.count("request weight is not shared with other processes") == 1


def test_threads_that_take_at_the_same_moment_never_take_more_than_there_is(tmp_path: Path) -> None:
    taken: list[int] = []

    def run() -> None:
        limit = sharing(tmp_path, 1_000)
        while (seconds := limit.take(1, NOON)) in (0.0, BUSY_SECONDS):
            taken.extend([1] * (not seconds))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 950


def test_a_state_that_is_restored_is_the_same() -> None:
    limit, other = (RateLimit(100, MINUTE_US, is_aligned=True) for _ in range(2))
    assert limit.take(7, NOON) == 0.0
    limit.block_until(5)
    other.restore(limit.state())
    assert other.state() == limit.state()

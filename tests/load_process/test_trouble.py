import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from load_process.trouble import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, ObjectTrouble, Trouble
from tickhouse_core.lifecycle import StopRequest

AFTER_ALL_PAUSES = 2 * LONGEST_PAUSE_SECONDS
READERS = 4
ROUNDS = 50


@pytest.fixture
def trouble(caplog: pytest.LogCaptureFixture) -> Trouble:
    caplog.set_level(logging.INFO)
    stop = StopRequest()
    stop.set()  # no pauses
    return Trouble("klines-notifications", stop)


def test_it_is_said_once_and_its_end_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        trouble.wait(OSError("away"))
    assert trouble.is_going_on
    for _ in range(3):
        trouble.is_over(time.monotonic() + AFTER_ALL_PAUSES)
    assert not trouble.is_going_on
    assert [record.message for record in caplog.records] == ["waiting for it to come back", "back to normal"]


@pytest.mark.parametrize("after", [-1.0, 0.0, FIRST_PAUSE_SECONDS])
def test_what_began_before_or_soon_after_the_failure_does_not_end_it(
    after: float, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    trouble.wait(OSError("away"))
    trouble.is_over(time.monotonic() + after)
    trouble.wait(OSError("away"))
    assert trouble.is_going_on
    assert [record.message for record in caplog.records] == ["waiting for it to come back"]


def test_readers_that_fail_and_succeed_at_the_same_moment_say_it_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    at_once = threading.Barrier(READERS)

    def fails_and_succeeds() -> None:
        for _ in range(ROUNDS):
            at_once.wait(LONGEST_PAUSE_SECONDS)
            trouble.wait(OSError("away"))
            at_once.wait(LONGEST_PAUSE_SECONDS)
            trouble.is_over(math.inf)

    with ThreadPoolExecutor(READERS) as readers:
        for reader in [readers.submit(fails_and_succeeds) for _ in range(READERS)]:
            reader.result()
    assert [record.message for record in caplog.records] == ["waiting for it to come back", "back to normal"] * ROUNDS


def test_trouble_with_an_object_is_news_once_for_each_cause_until_it_is_over() -> None:
    trouble = ObjectTrouble()
    asked = [("a", "silent"), ("a", "silent"), ("a", "refused"), ("b", "silent"), ("a", "silent"), ("a", "refused")]
    assert [trouble.is_news(key, cause) for key, cause in asked] == [True, False, True, True, False, False]
    trouble.is_over("a")
    trouble.is_over("never in trouble")
    assert trouble.keys() == ["b"]
    assert trouble.is_news("a", "silent")


def test_trouble_with_very_many_objects_is_bounded() -> None:
    trouble = ObjectTrouble()
    assert all(trouble.is_news(str(number), "silent") for number in range(10_500))
    assert (len(trouble.keys()), trouble.keys()[0]) == (10_000, "500")

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tickhouse_core.backoff import Backoff, Outage

BACKOFF = Backoff(0.5, 30.0)
AFTER_ALL_PAUSES = 2 * BACKOFF.most_seconds
READERS = 4
ROUNDS = 50


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO)
    return Outage(logging.getLogger("loader"), BACKOFF, begins="waiting", ends="back to normal", queue="klines")


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10_000, 30.0)])
def test_a_pause_doubles_up_to_the_longest(failures: int, seconds: float) -> None:
    assert (BACKOFF.pause(failures), BACKOFF.pause(failures, 0.25)) == (seconds, seconds / 4)


def test_an_outage_says_how_long_to_wait_and_begins_anew_after_its_end(outage: Outage) -> None:
    assert [outage.failed(OSError("away")) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert (outage.failures, outage.why) == (3, "away")
    outage.succeeded()
    assert (outage.failures, outage.why) == (0, "")
    assert outage.failed(OSError("away")) == 0.5


def test_a_line_has_the_fields_of_the_outage_and_of_the_failure(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    outage.failed(OSError("away"), dataset="trades")
    outage.succeeded()
    begin, end = (record.__dict__ for record in caplog.records)
    assert (begin["name"], begin["queue"], begin["dataset"], begin["why"]) == ("loader", "klines", "trades", "away")
    assert (end["queue"], end["after_tries"]) == ("klines", 1)


def test_it_is_said_once_and_its_end_once(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        outage.failed(OSError("away"))
    assert outage.is_going_on
    for _ in range(3):
        outage.succeeded(time.monotonic() + AFTER_ALL_PAUSES)
    assert not outage.is_going_on
    assert [record.message for record in caplog.records] == ["waiting", "back to normal"]


def test_every_cause_is_said_once_in_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(logging.getLogger("uploader"), BACKOFF, begins="away", ends="back", level=logging.ERROR)
    for _ in range(2):
        for cause in ("refused", "no room", "refused"):
            outage.failed(OSError(cause), cause)
        outage.succeeded()
    lines = [(record.levelname, vars(record)["why"]) for record in caplog.records if record.message == "away"]
    assert lines == [("ERROR", "refused"), ("ERROR", "no room")] * 2


@pytest.mark.parametrize("after", [-1.0, 0.0, BACKOFF.first_seconds])
def test_what_began_before_or_soon_after_the_failure_does_not_end_it(
    after: float, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    outage.failed(OSError("away"))
    outage.succeeded(time.monotonic() + after)
    outage.failed(OSError("away"))
    assert outage.is_going_on
    assert [record.message for record in caplog.records] == ["waiting"]


def test_readers_that_fail_and_succeed_at_the_same_moment_say_it_once(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    at_once = threading.Barrier(READERS)

    def fails_and_succeeds() -> None:
        for _ in range(ROUNDS):
            at_once.wait(BACKOFF.most_seconds)
            outage.failed(OSError("away"))
            at_once.wait(BACKOFF.most_seconds)
            outage.succeeded()

    with ThreadPoolExecutor(READERS) as readers:
        for reader in [readers.submit(fails_and_succeeds) for _ in range(READERS)]:
            reader.result()
    assert [record.message for record in caplog.records] == ["waiting", "back to normal"] * ROUNDS

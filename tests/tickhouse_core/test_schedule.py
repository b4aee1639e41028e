"""Work in passes: until the stop, through outages, earlier again where something was left, and not at all where it is off."""

import logging
import math

import pytest

from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.command_line import pause_seconds
from tickhouse_core.errors import Interrupted, LakeUnavailable, UsageError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.schedule import Retries, Schedule, WorkLeft

DAY = 86_400.0


class WaitingStop(StopRequest):
    """Notes how long it was to wait, and does not; set after so many waits."""

    def __init__(self, most_waits: int) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._most = most_waits

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        if len(self.waited) == self._most:
            self.set()
        return self.is_set()


def scheduled(stop: StopRequest, every_seconds: float | None = DAY) -> Schedule:
    outage = Outage(logging.getLogger("tests"), Backoff(5, 300), begins="trying again", ends="at work again")
    return Schedule("worker", every_seconds, stop, Retries(outage, "left", Backoff(600, 3_600).pause))


def test_passes_follow_each_other_until_the_stop() -> None:
    stop = WaitingStop(3)
    took: list[float] = []
    schedule = scheduled(stop)
    schedule.run(lambda: True, took.append)
    assert stop.waited == [DAY] * 3
    assert schedule.passes == len(took) == 3
    assert schedule.last_pass_us > 0
    assert {sample.name: sample.value for sample in schedule.samples()} == {
        "tickhouse_worker_passes_total": 3,
        "tickhouse_worker_last_pass_timestamp_seconds": schedule.last_pass_us / 1e6,
    }


@pytest.mark.parametrize(
    "error", [LakeUnavailable("the lake does not answer"), OSError(28, "No space left on device"), ValueError("a fault of ours")]
)
def test_an_outage_is_waited_out_and_names_what_is_missing(error: Exception) -> None:
    stop = WaitingStop(3)
    schedule = scheduled(stop)

    def fail() -> bool:
        raise error

    schedule.run(fail)
    assert stop.waited == [5, 10, 20]
    assert (schedule.passes, schedule.not_ready()) == (0, [str(error)])


def test_an_outage_is_over_with_the_next_pass_that_comes_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stop, answers = WaitingStop(2), iter([LakeUnavailable("the lake does not answer"), None])
    schedule = scheduled(stop)

    def run_pass() -> bool:
        if error := next(answers):
            raise error
        return True

    schedule.run(run_pass)
    assert stop.waited == [5, DAY]
    assert (schedule.passes, schedule.not_ready()) == (1, [])
    assert [record.message for record in caplog.records] == ["trying again", "at work again"]


def test_what_is_left_is_said_once_and_tried_again_earlier(caplog: pytest.LogCaptureFixture) -> None:
    stop, answers = WaitingStop(5), iter([["a", "b"], ["b"], [], ["b"], []])
    schedule = scheduled(stop)

    def run_pass() -> bool:
        if left := next(answers):
            raise WorkLeft(left, "venues")
        return True

    schedule.run(run_pass)
    assert stop.waited == [600, 1_200, DAY, 600, DAY]
    assert [line.why for line in caplog.records if line.message == "left"] == ["a", "b", "b"]  # type: ignore[attr-defined]
    assert (schedule.passes, schedule.left, schedule.not_ready()) == (5, (), [])
    assert str(WorkLeft(["a", "b", "c"], "venues")) == "a (and 2 more venues)"


@pytest.mark.parametrize(
    ("before", "after", "is_news"),
    [
        (
            "a.zip has no room on the disk: 17 MB are free, 512 MB stay free",
            "a.zip has no room on the disk: 4 MB are free, 512 MB stay free",
            False,
        ),
        ("a.zip: incomplete (received 1,024 bytes, expected 4096)", "a.zip: incomplete (received 9 bytes, expected 4096)", False),
        ("a.zip; b.zip; and 2 more files", "a.zip; b.zip; and 12 more files", False),
        ("trades on 2026-11-02: 3 rows of 4", "trades on 2026-11-03: 3 rows of 4", True),
        ("binance: BTCUSDT-2026-11-02.zip", "binance: BTCUSDT-2026-11-03.zip", True),
        ("exit code 1", "exit code 2", True),
    ],
)
def test_what_is_left_is_the_same_with_other_counts(
    before: str, after: str, is_news: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stop, answers = WaitingStop(2), iter([before, after])

    def run_pass() -> bool:
        raise WorkLeft([next(answers)], "venues")

    schedule = scheduled(stop)
    schedule.run(run_pass)
    assert [line.why for line in caplog.records] == [before, *[after] * is_news]  # type: ignore[attr-defined]
    assert schedule.left == (after,)


def test_an_interrupted_pass_and_one_of_another_process_do_not_count() -> None:
    stop, answers = WaitingStop(2), iter([False, True])

    def run_pass() -> bool:
        if next(answers):
            raise Interrupted("stopped")
        return False

    schedule = scheduled(stop)
    schedule.run(run_pass)
    assert stop.waited == [DAY, 0]
    assert schedule.passes == 0


def test_off_waits_for_the_stop_and_makes_no_pass(caplog: pytest.LogCaptureFixture) -> None:
    """A service that ended would be started again for ever."""
    caplog.set_level("INFO")
    stop = WaitingStop(2)
    scheduled(stop, None).run(lambda: pytest.fail("a pass"))
    assert min(stop.waited) >= DAY
    assert [line for line in caplog.messages if line.startswith("off:")] == ["off: nothing is done until this process is stopped"]


@pytest.mark.parametrize("every_seconds", [math.inf, 999_999 * DAY])
def test_a_pause_is_never_longer_than_a_thread_can_wait(every_seconds: float) -> None:
    """More than 292 years, of nanoseconds in 63 bits, are an OverflowError."""
    stop = WaitingStop(1)
    scheduled(stop, every_seconds).run(lambda: True)
    assert stop.waited == [30 * DAY]


@pytest.mark.parametrize(("text", "seconds"), [("off", None), ("1s", 1.0), ("24h", DAY), ("7d", 7 * DAY)])
def test_a_pause_is_a_length_of_time_or_off(text: str, seconds: float | None) -> None:
    assert pause_seconds("--every", text) == seconds


@pytest.mark.parametrize("text", ["0h", "daily", "", "-1h", "OFF"])
def test_any_other_pause_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=rf"^--every {text!r} is no "):
        pause_seconds("--every", text)

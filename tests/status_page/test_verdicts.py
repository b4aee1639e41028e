"""From figures to colours: tables of cases, no clock."""

import pytest

from status_page.verdicts import (
    BAD,
    GOOD,
    IDLE,
    SLOW,
    LakeState,
    Recorder,
    Stage,
    gold_stage,
    is_recording,
    lake_stage,
    overall,
    recorder_stage,
    warehouse_stage,
)

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


def ago(seconds: float) -> int:
    return NOW - round(seconds * SECOND)


@pytest.mark.parametrize(
    ("seconds", "has_stopped", "verdict"),
    [(1, False, GOOD), (31, False, SLOW), (61, False, BAD), (601, False, IDLE), (1, True, IDLE)],
)
def test_a_recorder_is_judged_by_its_last_sign_of_life(seconds: float, has_stopped: bool, verdict: str) -> None:
    assert recorder_stage([Recorder("binance main", ago(seconds), has_stopped)], NOW).verdict == verdict


def test_the_most_silent_of_many_recorders_counts_and_who_left_does_not() -> None:
    recorders = [Recorder("a", ago(1), False), Recorder("b", ago(90), False), Recorder("c", ago(5_000), False)]
    stage = recorder_stage(recorders, NOW)
    assert (stage.verdict, stage.age_seconds) == (BAD, 90.0)
    assert stage.words == "b has not been heard of for 90 s"
    assert is_recording(recorders, NOW)
    assert not is_recording([Recorder("c", ago(5_000), False)], NOW)


@pytest.mark.parametrize(
    ("newest", "recording", "verdict"),
    [(2, True, GOOD), (31, True, SLOW), (61, True, BAD), (None, True, BAD), (None, False, IDLE), (5_000, False, IDLE)],
)
def test_the_lake_must_grow_while_something_is_recorded(newest: float | None, recording: bool, verdict: str) -> None:
    lake = LakeState(0 if newest is None else ago(newest), ())
    assert lake_stage(lake, recording, NOW).verdict == verdict


@pytest.mark.parametrize(
    ("waits", "last_load", "verdict"),
    [
        ((), 5, GOOD),
        ((1,), 5, GOOD),  # it came a moment ago: a loader takes its time
        ((4.5,), 6, BAD),  # nothing was loaded since it came
        ((4.5,), 2, GOOD),  # others were: it is at work
        ((11, 3), 2, SLOW),
        ((61, 3), 2, BAD),  # at work, and hopelessly behind
    ],
)
def test_a_loader_that_stands_still_is_seen_at_once_and_a_slow_one_is_given_time(
    waits: tuple[float, ...], last_load: float, verdict: str
) -> None:
    lake = LakeState(ago(1), [ago(seconds) for seconds in waits])
    assert warehouse_stage(lake, ago(last_load), ago(5), NOW).verdict == verdict


def test_an_empty_warehouse_is_idle() -> None:
    assert warehouse_stage(LakeState(0, ()), 0, 0, NOW).verdict == IDLE
    assert gold_stage(None, 0, NOW).verdict == IDLE


@pytest.mark.parametrize(
    ("watermark", "last_load", "verdict"),
    [
        (20, 1, GOOD),
        (46, 0, SLOW),
        (121, 0, BAD),
        (5_000, 4_990, GOOD),  # nothing was loaded since, so nothing is missing
        (5_000, 4_000, BAD),
        (None, 1, SLOW),
        (None, 5_000, IDLE),
    ],
)
def test_gold_is_late_only_by_loads_it_has_not_seen(watermark: float | None, last_load: float, verdict: str) -> None:
    assert gold_stage(None if watermark is None else ago(watermark), ago(last_load), NOW).verdict == verdict


def test_the_whole_is_as_bad_as_its_worst_part_and_says_which() -> None:
    good, slow, bad, idle = (Stage(name, name, 1.0, f"words of {name}") for name in (GOOD, SLOW, BAD, IDLE))
    assert overall([good, slow, bad], ["3 dead letters"]) == (BAD, "bad: words of bad")
    assert overall([good, slow], ["3 dead letters"]) == (SLOW, "3 dead letters")
    assert overall([good, slow], []) == (SLOW, "slow: words of slow")
    assert overall([good, idle], [])[0] == GOOD
    assert overall([idle, idle], [])[0] == IDLE

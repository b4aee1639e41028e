"""From figures to colours: tables of cases, no clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from status_page.health import (
    DEGRADED,
    DOWN,
    IDLE,
    OK,
    Fault,
    GoldState,
    LakeState,
    Recorder,
    Stage,
    batch_seconds_now,
    gold_stage,
    is_recording,
    lake_stage,
    overall,
    recorder_of,
    recorder_stage,
    unavailable_stage,
    warehouse_stage,
)
from status_page.remedies import Running, for_stage

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


def ago(seconds: float) -> int:
    return NOW - round(seconds * SECOND)


@pytest.mark.parametrize(
    ("seconds", "has_stopped", "verdict"),
    [(1, False, OK), (31, False, DEGRADED), (61, False, DOWN), (601, False, IDLE), (1, True, IDLE)],
)
def test_a_recorder_is_judged_by_its_last_sign_of_life(seconds: float, has_stopped: bool, verdict: str) -> None:
    assert recorder_stage([Recorder("binance main", ago(seconds), has_stopped)], NOW).verdict == verdict


def test_the_most_silent_of_many_recorders_counts_and_who_left_does_not() -> None:
    recorders = [Recorder("a", ago(1), False), Recorder("b", ago(90), False), Recorder("c", ago(5_000), False)]
    stage = recorder_stage(recorders, NOW)
    assert (stage.verdict, stage.age_seconds) == (DOWN, 90.0)
    assert stage.words == "nothing from b for 90 s"
    assert is_recording(recorders, NOW)
    assert not is_recording([Recorder("c", ago(5_000), False)], NOW)


@pytest.mark.parametrize(
    ("newest", "recording", "verdict"),
    [(2, True, OK), (31, True, DEGRADED), (61, True, DOWN), (None, True, DOWN), (None, False, IDLE), (5_000, False, IDLE)],
)
def test_the_lake_must_grow_while_something_is_recorded(newest: float | None, recording: bool, verdict: str) -> None:
    lake = LakeState(0 if newest is None else ago(newest), ())
    assert lake_stage(lake, recording, NOW).verdict == verdict


@pytest.mark.parametrize(
    ("waits", "last_load", "verdict"),
    [
        ((), 5, OK),
        ((1,), 5, OK),  # it came a moment ago: a loader takes its time
        ((4.5,), 6, DOWN),  # nothing was loaded since it came
        ((4.5,), 2, OK),  # others were: it is at work
        ((11, 3), 2, DEGRADED),
        ((61, 3), 2, DOWN),  # at work, and hopelessly behind
    ],
)
def test_a_loader_that_stands_still_is_seen_at_once_and_a_slow_one_is_given_time(
    waits: tuple[float, ...], last_load: float, verdict: str
) -> None:
    lake = LakeState(ago(1), [ago(seconds) for seconds in waits])
    assert warehouse_stage(lake, ago(last_load), ago(5), NOW).verdict == verdict


@pytest.mark.parametrize(
    ("batch_seconds", "age", "verdict"),
    [
        (2, 31, DEGRADED),
        (10, 31, DEGRADED),
        (10, 61, DOWN),
        (60, 61, OK),
        (60, 79, OK),
        (60, 81, DEGRADED),
        (60, 161, DOWN),
        (900, 700, OK),
    ],
)
def test_what_is_late_follows_the_age_of_the_batches(batch_seconds: float, age: float, verdict: str) -> None:
    """A heartbeat is as late in the warehouse as the batch it travels in, and so is the lake's newest object."""
    recorders = [Recorder("binance main", ago(age), False, batch_seconds)]
    assert recorder_stage(recorders, NOW).verdict == verdict
    assert is_recording(recorders, NOW)
    assert lake_stage(LakeState(ago(age), ()), True, NOW, batch_seconds).verdict == verdict


@pytest.mark.parametrize(
    ("batch_seconds", "since", "verdict"),
    [(10, 5, IDLE), (10, 59, IDLE), (10, 61, DOWN), (60, 59, IDLE), (60, 110, IDLE), (60, 400, DOWN)],
)
def test_a_capture_has_the_time_of_its_first_batch_before_the_lake_is_missed(
    batch_seconds: float, since: float, verdict: str
) -> None:
    assert lake_stage(LakeState(0, ()), True, NOW, batch_seconds, ago(since)).verdict == verdict


def test_what_a_recorder_answers_itself_is_not_delayed_by_its_batches() -> None:
    assert recorder_stage([Recorder("binance main", ago(31), False, 60, is_asked=True)], NOW).verdict == DEGRADED
    assert recorder_stage([Recorder("binance main", ago(61), False, 60, is_asked=True)], NOW).verdict == DOWN


def test_the_latest_recorder_is_the_one_furthest_above_what_its_batches_allow() -> None:
    patient, late = Recorder("patient", ago(70), False, 60), Recorder("late", ago(45), False, 10)
    stage = recorder_stage([patient, late], NOW)
    assert (stage.verdict, stage.words) == (DEGRADED, "the last sign of late is 45 s old")
    assert batch_seconds_now([patient, late, Recorder("gone", ago(5_000), False, 900)], NOW) == (10, 60)
    assert batch_seconds_now([], NOW) == (10, 10)


def test_gold_moves_as_seldom_as_batches_come() -> None:
    """Its watermark is that of the load before: a batch of 60 s ago is not late."""
    assert gold_stage(GoldState(ago(75), ago(1), ago(74)), NOW, 60).verdict == OK
    assert gold_stage(GoldState(ago(75), ago(1), ago(74)), NOW).verdict == DEGRADED
    assert gold_stage(GoldState(ago(97), ago(0), ago(96)), NOW, 60).verdict == DEGRADED
    assert gold_stage(GoldState(ago(172), ago(0), ago(171)), NOW, 60).verdict == DOWN


def test_an_empty_warehouse_is_idle() -> None:
    assert warehouse_stage(LakeState(0, ()), 0, 0, NOW).verdict == IDLE
    assert gold_stage(GoldState(0, 0, 0), NOW).verdict == IDLE


@pytest.mark.parametrize(
    ("watermark", "last_load", "untaken", "verdict"),
    [
        (20, 1, 12, OK),
        (47, 0, 46, DEGRADED),
        (122, 0, 121, DOWN),
        (5_000, 4_990, None, OK),  # nothing was loaded since, so nothing is missing
        (5_000, 4_998, 4_998, OK),  # its rows are in gold: the ledger was written after them
        (5_000, 4_000, 4_200, DOWN),
        (5_000, 1, 3, OK),  # after a pause: what was loaded 3 s ago is not late
        (5_000, 1, 60, DEGRADED),
        (None, 1, 1, IDLE),  # the first minute of a new folder
        (None, 1, 44, IDLE),
        (None, 1, 46, DEGRADED),
        (None, 5_000, 5_000, IDLE),
    ],
)
def test_gold_is_late_only_by_loads_it_has_not_seen(
    watermark: float | None, last_load: float, untaken: float | None, verdict: str
) -> None:
    gold = GoldState(*(0 if seconds is None else ago(seconds) for seconds in (watermark, last_load, untaken)))
    assert gold_stage(gold, NOW).verdict == verdict


def test_the_whole_is_as_bad_as_its_worst_part_and_says_which() -> None:
    ok, degraded, down, idle = (Stage(name, name, 1.0, f"words of {name}") for name in (OK, DEGRADED, DOWN, IDLE))
    assert overall([ok, degraded, down], ["3 dead letters"]) == (DOWN, "down: words of down")
    assert overall([ok, degraded], ["3 dead letters"]) == (DEGRADED, "3 dead letters")
    assert overall([ok, degraded], []) == (DEGRADED, "degraded: words of degraded")
    assert overall([ok, idle], [])[0] == OK
    assert overall([idle, idle], [])[0] == IDLE


def test_without_a_lake_to_look_at_heartbeats_may_be_as_rare_as_a_busy_captures() -> None:
    def verdict(age: float, lake: LakeState | None) -> str:
        return recorder_stage([recorder_of("binance", "main", ago(age), False, 10.0, lake)], NOW).verdict

    assert [verdict(130, None), verdict(150, None), verdict(300, None)] == [OK, DEGRADED, DOWN]
    assert verdict(130, LakeState(0, ())) == DOWN


AGES = st.one_of(st.none(), st.floats(0, 2_000))


@given(
    beats=st.lists(st.tuples(AGES, st.booleans()), max_size=3),
    lake=AGES,
    waiting=st.lists(st.floats(0, 200), max_size=3),
    rest=st.tuples(AGES, AGES, AGES, AGES),
)
def test_what_is_late_or_in_trouble_has_a_fault_and_every_fault_a_command(
    beats: list[tuple[float | None, bool]], lake: float | None, waiting: list[float], rest: tuple[float | None, ...]
) -> None:
    def at(age: float | None) -> int:
        return 0 if age is None else ago(age)

    recorders = [Recorder("a", at(age), has_stopped) for age, has_stopped in beats]
    state = LakeState(at(lake), sorted(map(ago, waiting)))
    watermark, loaded, untaken, event = map(at, rest)
    for stage in (
        recorder_stage(recorders, NOW),
        lake_stage(state, is_recording(recorders, NOW), NOW),
        warehouse_stage(state, loaded, event, NOW),
        gold_stage(GoldState(watermark, loaded, untaken), NOW),
        unavailable_stage("lake", "no answer", Fault.LAKE_UNAVAILABLE),
    ):
        assert stage.verdict in (OK, IDLE) or stage.fault is not None
    for running in (Running(), Running(is_compose=True), Running(folder="data"), Running(folder="data", records_here=True)):
        assert all(for_stage(running, fault, "loader") for fault in Fault)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 object waits, the oldest for 2 s"),
        (2, "2 objects wait, the oldest for 2 s"),
        (1_200, "1,200 objects wait, the oldest for 2 s"),
    ],
)
def test_objects_that_wait_are_counted_in_words(count: int, words: str) -> None:
    assert warehouse_stage(LakeState(NOW, [ago(2)] * count), NOW, NOW, NOW).words == words

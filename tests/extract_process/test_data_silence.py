"""DataSilence: busy connections that go mute are found within a minute, quiet markets never are."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, repeat
from random import Random

import pytest

from extract_process.feed.silence import LEAST_FRAMES, LEAST_MOMENTS, WINDOW_SECONDS, DataSilence

DAY = 24 * 3_600.0


def alarms(times: Iterable[float], seconds: float, silence: DataSilence | None = None) -> list[float]:
    """When it alarms, looked at each second, while data comes at these times, and until `seconds`."""
    silence = silence or DataSilence(30.0)
    silence.begin(0.0)
    now, found = 0.0, []
    for time in [*times, seconds]:
        time = min(time, seconds)
        while now + 1 < time:
            now += 1
            if silence.on_look(now):
                found.append(now)
        if time < seconds:
            silence.on_data(time)
    return found


def every(pause: float, seconds: float) -> Iterator[float]:
    return (number * pause for number in range(1, int(seconds / pause)))


def by_chance(seed: int, mean: float, burst: int, within: float) -> list[float]:
    """A day of bursts: as far apart as chance has it, each of about so many messages."""
    chance, times, now = Random(seed), [], 0.0
    while now < DAY:
        now += chance.expovariate(1 / mean)
        times.append(now)
        while chance.random() < 1 - 1 / burst:
            now += chance.expovariate(1 / within)
            times.append(now)
    return times


@pytest.mark.parametrize(
    ("mean", "burst", "within"),
    [(180, 1, 1), (300, 3, 2), (180, 15, 1), (30, 10, 0.5)],
    ids=["a trade every three minutes", "a few trades every five", "bursts every three", "bursts every half minute"],
)
def test_a_quiet_market_costs_nothing(mean: float, burst: int, within: float) -> None:
    assert [alarms(by_chance(seed, mean, burst, within), DAY) for seed in range(2)] == [[], []]


@pytest.mark.parametrize("seconds", [12.0, 3_600.0])
def test_a_busy_connection_that_goes_mute_is_found_within_a_minute(seconds: float) -> None:
    (found,) = alarms(every(0.1, seconds), seconds + 1_000)
    assert 30 <= found - seconds <= 60


def test_a_connection_with_a_message_every_minute_is_found_after_a_quarter_of_an_hour() -> None:
    (found,) = alarms(every(60, 4 * 3_600), 8 * 3_600)
    assert found - 4 * 3_600 == pytest.approx(15 * 60, abs=125)


def test_a_pause_far_beyond_the_cap_needs_four_of_its_like() -> None:
    silence = DataSilence(30.0)
    alarms(accumulate(repeat(0.1, LEAST_FRAMES)), 20, silence)
    silence.on_data(20 + 1_000)
    assert silence.limit_seconds == pytest.approx(4_000, abs=50)


def test_nothing_is_usual_before_enough_frames_at_enough_moments() -> None:
    silence = DataSilence(30.0)
    silence.begin(0.0)
    silence.on_data(0.0, LEAST_FRAMES)
    assert not silence.on_look(DAY), "one sweep through the book is one moment"
    for moment in range(1, LEAST_MOMENTS):
        assert silence.limit_seconds is None
        silence.on_data(float(moment))
    assert silence.limit_seconds == 30


def test_a_long_pause_is_forgotten_after_two_windows() -> None:
    silence = DataSilence(30.0)
    times = [*every(0.5, 100), *(200 + time for time in every(0.5, 3 * WINDOW_SECONDS))]
    alarms(times[:300], 250, silence)
    assert silence.longest_pause > 100
    alarms(times[300:], 200 + 3 * WINDOW_SECONDS, silence)
    assert silence.limit_seconds == 30


def test_an_alarm_is_told_once_and_ends_with_data_or_with_another_connection() -> None:
    silence = DataSilence(30.0)
    assert alarms(every(0.1, 100), 200, silence) != []
    assert silence.is_alarmed
    assert not silence.on_look(201)
    assert silence.on_data(202)
    assert silence.longest_pause == pytest.approx(102, abs=1), "it was a pause after all"
    assert not silence.on_look(203)

    silence = DataSilence(30.0)
    alarms(every(0.1, 100), 200, silence)
    silence.begin(201)
    assert not silence.is_alarmed
    assert not silence.on_data(230)
    assert silence.longest_pause == pytest.approx(0.1), "what another connection made up for is no usual pause"


def test_a_lost_connection_is_not_mute() -> None:
    silence = DataSilence(30.0)
    alarms(every(0.1, 100), 110, silence)
    silence.end()
    assert not silence.on_look(DAY)
    silence.begin(DAY)
    assert not silence.on_look(DAY + 29)
    assert silence.on_look(DAY + 30), "what is usual is kept"

"""What days of bulk files say of the time beside them, and what is missing in them: `is_complete` of days and of their parts."""

from pathlib import Path

import pytest
from tests.extract_process.test_trade_days import DAY, FOURTH, NEXT, THIRD, Lake

from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, parse_instant

MIDNIGHT = parse_instant(NEXT)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Of the second day the file has the ids 200 to 299. A capture recorded up to 19 and from 400 on, two days later."""
    lake = Lake(tmp_path)
    lake.files.put(NEXT, range(200, 300))
    lake.capture(range(10, 20), MIDNIGHT - 2 * HOUR_US)
    lake.capture(range(400, 410), MIDNIGHT + DAY_US + 2 * HOUR_US)
    return lake


@pytest.mark.parametrize("is_told_later", [False, True], ids=["before the file", "after the file"])
def test_gap_that_reaches_out_of_a_day_is_none_of_it(lake: Lake, is_told_later: bool) -> None:
    """Of four days, of which one file is read: the gap is told when the capture starts again, whenever that is."""
    for is_later in (False, True):
        if is_later is is_told_later:
            lake.gap(20, 399, MIDNIGHT - 2 * HOUR_US + 9 * MINUTE_US, MIDNIGHT + DAY_US + 2 * HOUR_US)
        else:
            lake.record(NEXT, THIRD)
    day = lake.rows(NEXT, THIRD)
    assert [gap["is_open"] for gap in day.gaps.to_pylist()] == [False]
    assert (day.is_complete, day.coverage["coverage"].to_pylist()) == (True, [1.0])
    assert lake.rows("2024-03-10T11:00", "2024-03-10T12:00").is_complete
    for start, end in ((DAY, NEXT), (DAY, THIRD), (NEXT, FOURTH), (THIRD, FOURTH), (DAY, FOURTH)):
        assert not lake.rows(start, end).is_complete, (start, end)


def test_gap_in_the_night_before_a_day_is_none_of_it(lake: Lake) -> None:
    lake.capture([150], MIDNIGHT - 20_000_000)
    lake.gap(151, 250, MIDNIGHT - 20_000_000, MIDNIGHT + HOUR_US)
    lake.record(NEXT, THIRD)
    assert lake.rows(NEXT, THIRD).is_complete
    assert not lake.rows("2024-03-09T23:59", THIRD).is_complete


def test_ids_that_a_file_lacks_are_missing_in_their_day_alone(lake: Lake) -> None:
    lake.files.put(NEXT, [number for number in range(200, 300) if number != 250])
    lake.gap(20, 399, MIDNIGHT - 2 * HOUR_US + 9 * MINUTE_US, MIDNIGHT + DAY_US + 2 * HOUR_US)
    lake.record(NEXT, THIRD)
    assert not lake.rows(NEXT, THIRD).is_complete
    assert lake.rows(NEXT, "2024-03-10T00:30").is_complete


def test_ids_that_two_files_lack_at_midnight_are_missing_in_both_days(lake: Lake) -> None:
    lake.files.put(DAY, range(20, 190))
    lake.record(DAY, THIRD)
    for start, end in ((DAY, NEXT), (NEXT, THIRD), (DAY, THIRD)):
        assert not lake.rows(start, end).is_complete, (start, end)


def test_day_beside_one_without_a_file_is_complete(lake: Lake) -> None:
    lake.record(DAY, FOURTH)
    assert [lake.rows(start, end).is_complete for start, end in ((DAY, NEXT), (NEXT, THIRD), (THIRD, FOURTH))] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("is_end", [True, False], ids=["its end", "its beginning"])
def test_file_that_lacks_a_part_of_its_day_does_not_hide_what_a_capture_missed_there(
    is_end: bool, is_told: bool, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    if is_end:  # the file has what was until 01:39, a capture what was from noon to 12:09, and from 14:00 on
        lake.files.put(NEXT, range(200, 300))
        lake.capture(range(300, 310), MIDNIGHT + 12 * HOUR_US)
        lake.capture(range(400, 500), MIDNIGHT + 14 * HOUR_US)
        gap = (310, 399, MIDNIGHT + 12 * HOUR_US + 9 * MINUTE_US, MIDNIGHT + 14 * HOUR_US)
    else:  # the capture has what was until 00:09, the file what was from noon on
        lake.capture(range(100, 110), MIDNIGHT)
        lake.files.put(NEXT, range(200, 300), began=MIDNIGHT + 12 * HOUR_US)
        gap = (110, 199, MIDNIGHT + 9 * MINUTE_US, MIDNIGHT + 12 * HOUR_US)
    if is_told:
        lake.gap(*gap)
    lake.record(NEXT, THIRD)
    day = lake.rows(NEXT, THIRD)
    assert not day.is_complete
    assert [one["is_open"] for one in day.gaps.to_pylist() if one["instance"] == "a1"] == [True] * is_told
    if is_told:
        hour = "2024-03-09T12" if is_end else "2024-03-09T05"
        assert not lake.rows(f"{hour}:30", f"{hour}:40").is_complete


@pytest.mark.parametrize("is_end", [True, False], ids=["its end", "its beginning"])
def test_gap_that_a_capture_had_at_an_id_beyond_the_file_is_of_the_day_however_far_it_reaches(
    is_end: bool, tmp_path: Path
) -> None:
    """In hours without a row too."""
    lake = Lake(tmp_path)
    if is_end:
        lake.files.put(NEXT, range(200, 300))
        lake.capture(range(300, 310), MIDNIGHT + 3 * HOUR_US)
        lake.gap(310, 899, MIDNIGHT + 3 * HOUR_US + 9 * MINUTE_US, MIDNIGHT + DAY_US + 2 * HOUR_US)
    else:
        lake.files.put(NEXT, range(200, 300), began=MIDNIGHT + 12 * HOUR_US)
        lake.gap(20, 149, MIDNIGHT - 2 * HOUR_US, MIDNIGHT + 9 * HOUR_US)
        lake.capture(range(150, 160), MIDNIGHT + 9 * HOUR_US)
    lake.record(NEXT, THIRD)
    for start, end in ((NEXT, THIRD), ("2024-03-09T05:00", "2024-03-09T06:00"), ("2024-03-09T07:00", "2024-03-09T07:10")):
        assert not lake.rows(start, end).is_complete, start

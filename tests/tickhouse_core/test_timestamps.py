from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse_core.timestamps import format_instant, from_datetime, now_us, parse_instant, to_datetime, unit_to_us

INSTANTS = st.integers(from_datetime(datetime(1, 1, 1)), from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999_999)))


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("1970-01-01", 0),
        ("2024-01-01", 1_704_067_200_000_000),
        ("2024-01-01T12:30", 1_704_112_200_000_000),
        ("2024-01-01T12:30:00.000001Z", 1_704_112_200_000_001),
        ("2024-01-01T02:00:00+02:00", 1_704_067_200_000_000),
        ("1969-12-31T23:59:59", -1_000_000),
    ],
)
def test_an_instant_is_read_as_utc_unless_it_says_otherwise(text: str, instant_us: int) -> None:
    assert parse_instant(text) == instant_us


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "2024-02-30", "1704067200"])
def test_what_is_no_instant_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


@pytest.mark.parametrize(
    ("instant_us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_704_067_200_000_000, "2024-01-01T00:00:00Z"),
        (1_704_067_200_000_001, "2024-01-01T00:00:00.000001Z"),
        (1_704_067_199_999_000, "2023-12-31T23:59:59.999000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_an_instant_is_written_with_a_z_and_a_fraction_only_where_it_has_one(instant_us: int, text: str) -> None:
    assert format_instant(instant_us) == text


@given(INSTANTS)
def test_no_microsecond_is_lost_on_the_way_through_text(instant_us: int) -> None:
    assert parse_instant(format_instant(instant_us)) == instant_us


@given(INSTANTS)
def test_no_microsecond_is_lost_on_the_way_through_datetime(instant_us: int) -> None:
    assert from_datetime(to_datetime(instant_us)) == instant_us


def test_a_naive_datetime_is_utc_and_an_aware_one_is_converted() -> None:
    assert from_datetime(datetime(2024, 1, 1)) == 1_704_067_200_000_000
    assert from_datetime(datetime(2024, 1, 1, tzinfo=UTC)) == 1_704_067_200_000_000
    assert from_datetime(datetime(2024, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))) == 1_704_067_200_000_000


@pytest.mark.parametrize(
    ("given_instant", "instant_us"),
    [
        (1_704_067_200_000, 1_704_067_200_000_000),
        (1_735_689_600_000_000, 1_735_689_600_000_000),
        (99_999_999_999_999, 99_999_999_999_999_000),
        (100_000_000_000_000, 100_000_000_000_000),
        (0, 0),
    ],
)
def test_milliseconds_and_microseconds_are_told_apart_by_magnitude(given_instant: int, instant_us: int) -> None:
    assert unit_to_us(given_instant) == instant_us


@given(st.integers(1_483_228_800_000, 4_102_444_800_000))
def test_an_instant_from_2017_to_2100_is_the_same_in_either_unit(instant_ms: int) -> None:
    assert unit_to_us(instant_ms) == unit_to_us(instant_ms * 1_000) == instant_ms * 1_000


def test_the_clock_counts_microseconds_since_the_epoch() -> None:
    before = datetime.now(UTC)
    instant = to_datetime(now_us())
    assert before - timedelta(seconds=1) <= instant <= datetime.now(UTC) + timedelta(seconds=1)

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.ranges import Grid, Range, grid_of, month_of
from tickhouse_core.timestamps import parse_instant

INTERVALS = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
INSTANTS = st.integers(parse_instant("2010-01-01"), parse_instant("2035-01-01"))
GRIDS = st.one_of(
    st.sampled_from(INTERVALS).map(grid_of),
    INSTANTS.map(lambda instant: grid_of("3d").with_phase_of(instant)),
    st.builds(Grid, st.integers(1, 10**12), st.integers(0, 10**12)),
)


def at(*texts: str) -> list[int]:
    return [parse_instant(text) for text in texts]


def span(first: str, last: str) -> Range:
    return Range(parse_instant(first), parse_instant(last))


def open_times(grid: Grid, span: Range) -> list[int]:
    """The naive model of a range: every open time it holds, one by one."""
    found = [span.first]
    while found[-1] < span.last:
        found.append(grid.after(found[-1]))
    assert found[-1] == span.last
    return found


@st.composite
def grids_with_ranges(draw: st.DrawFn) -> tuple[Grid, Range, list[Range]]:
    """A grid, a range of up to 40 open times on it, and up to five ranges around and inside."""
    grid = draw(GRIDS)
    origin = grid.floor(draw(INSTANTS))
    wanted = Range(grid.after(origin, 10), grid.after(origin, 10 + draw(st.integers(0, 39))))
    starts = st.tuples(st.integers(0, 60), st.integers(0, 20))
    others = [
        Range(grid.after(origin, first), grid.after(origin, first + more)) for first, more in draw(st.lists(starts, max_size=5))
    ]
    return grid, wanted, others


@pytest.mark.parametrize(
    ("interval", "instant", "floor", "ceiling"),
    [
        ("1s", "2024-02-29T12:34:56.789", "2024-02-29T12:34:56", "2024-02-29T12:34:57"),
        ("1m", "2024-02-29T12:34:56", "2024-02-29T12:34", "2024-02-29T12:35"),
        ("1m", "2024-02-29T12:34", "2024-02-29T12:34", "2024-02-29T12:34"),
        ("30m", "2024-02-29T12:34:56", "2024-02-29T12:30", "2024-02-29T13:00"),
        ("4h", "2024-02-29T23:59:59.999999", "2024-02-29T20:00", "2024-03-01T00:00"),
        ("12h", "2024-02-29T11:00", "2024-02-29T00:00", "2024-02-29T12:00"),
        ("1d", "2024-02-29T11:00", "2024-02-29", "2024-03-01"),
        ("1w", "2024-02-29T11:00", "2024-02-26", "2024-03-04"),
        ("1w", "2024-02-26", "2024-02-26", "2024-02-26"),
        ("1M", "2024-02-29T11:00", "2024-02-01", "2024-03-01"),
        ("1M", "2024-12-31T23:59:59.999999", "2024-12-01", "2025-01-01"),
        ("1M", "2024-12-01", "2024-12-01", "2024-12-01"),
        ("1M", "1969-12-31T23:00", "1969-12-01", "1970-01-01"),
        ("1d", "1969-12-31T23:00", "1969-12-31", "1970-01-01"),
    ],
)
def test_an_instant_lies_between_two_open_times(interval: str, instant: str, floor: str, ceiling: str) -> None:
    grid = grid_of(interval)
    assert [grid.floor(parse_instant(instant)), grid.ceiling(parse_instant(instant))] == at(floor, ceiling)


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_of_the_venue_has_a_grid_on_which_new_year_2024_lies_or_is_bracketed(interval: str) -> None:
    grid, new_year = grid_of(interval), parse_instant("2024-01-01")  # a Monday
    assert grid.floor(new_year) <= new_year < grid.after(grid.floor(new_year))
    assert interval == "3d" or grid.floor(new_year) == new_year


def test_three_day_klines_take_their_phase_from_the_venues_first_row() -> None:
    first = parse_instant("2017-08-17")
    grid = grid_of("3d").with_phase_of(first)
    assert grid.floor(parse_instant("2017-08-19T23:59")) == first
    assert grid.floor(parse_instant("2017-08-20")) == parse_instant("2017-08-20")
    assert grid.floor(parse_instant("2017-08-16")) == parse_instant("2017-08-14")


def test_months_have_no_phase_to_learn() -> None:
    assert grid_of("1M").with_phase_of(parse_instant("2017-08-17")) == grid_of("1M")


@given(GRIDS, INSTANTS)
def test_floor_and_ceiling_are_the_nearest_open_times(grid: Grid, instant: int) -> None:
    floor, ceiling = grid.floor(instant), grid.ceiling(instant)
    assert floor <= instant <= ceiling
    assert grid.floor(floor) == floor == grid.ceiling(floor)
    assert ceiling == (floor if floor == instant else grid.after(floor))
    assert grid.floor(grid.after(floor) - 1) == floor


@given(GRIDS, INSTANTS, st.integers(-50, 50))
def test_steps_forward_and_back_cancel_out(grid: Grid, instant: int, steps: int) -> None:
    open_time = grid.floor(instant)
    assert grid.after(grid.after(open_time, steps), -steps) == open_time
    assert grid.before(grid.after(open_time)) == open_time
    assert grid.after(open_time, 0) == open_time


@pytest.mark.parametrize(
    ("interval", "first", "last", "count"),
    [
        ("1m", "2024-02-01", "2024-02-29T23:59", 41_760),
        ("1s", "2024-02-28", "2024-02-29T23:59:59", 172_800),
        ("1w", "2024-01-01", "2024-12-30", 53),
        ("1M", "2023-11-01", "2024-02-01", 4),
        ("1M", "2024-02-01", "2024-02-01", 1),
        ("1d", "2024-02-28", "2024-03-01", 3),
    ],
)
def test_a_range_knows_how_many_klines_it_holds(interval: str, first: str, last: str, count: int) -> None:
    assert grid_of(interval).count(span(first, last)) == count


@given(grids_with_ranges())
def test_a_count_is_the_number_of_open_times(case: tuple[Grid, Range, list[Range]]) -> None:
    grid, wanted, _ = case
    assert grid.count(wanted) == len(open_times(grid, wanted))


def test_a_hole_in_the_middle_is_missing() -> None:
    grid = grid_of("1h")
    covered = [span("2024-01-01T04:00", "2024-01-01T09:00"), span("2023-12-31T20:00", "2024-01-01T01:00")]
    assert grid.missing(span("2024-01-01T00:00", "2024-01-01T08:00"), covered) == [span("2024-01-01T02:00", "2024-01-01T03:00")]


def test_where_nothing_is_covered_everything_is_missing() -> None:
    wanted = span("2024-01-01", "2024-03-01")
    assert grid_of("1M").missing(wanted, []) == [wanted]


@given(grids_with_ranges())
def test_what_is_missing_and_what_is_covered_make_up_what_is_wanted(case: tuple[Grid, Range, list[Range]]) -> None:
    grid, wanted, covered = case
    modelled = set(open_times(grid, wanted)) - {time for each in covered for time in open_times(grid, each)}
    holes = grid.missing(wanted, covered)
    assert [time for hole in holes for time in open_times(grid, hole)] == sorted(modelled)
    assert holes == grid.ranges_of(sorted(modelled))  # and the ranges are as long as they can be


@given(grids_with_ranges())
def test_joined_ranges_hold_the_same_open_times_in_the_fewest_ranges(case: tuple[Grid, Range, list[Range]]) -> None:
    grid, wanted, others = case
    modelled = {time for each in [wanted, *others] for time in open_times(grid, each)}
    joined = grid.joined([wanted, *others])
    assert [time for each in joined for time in open_times(grid, each)] == sorted(modelled)
    assert joined == grid.ranges_of(sorted(modelled))
    assert grid.joined(reversed(joined)) == joined


@given(grids_with_ranges(), st.integers(0, 5))
def test_ranges_without_others_are_the_difference_of_the_sets(case: tuple[Grid, Range, list[Range]], cut: int) -> None:
    grid, wanted, others = case
    kept, taken = [wanted, *others[:cut]], others[cut:]
    modelled = {time for each in kept for time in open_times(grid, each)} - {
        time for each in taken for time in open_times(grid, each)
    }
    assert [time for each in grid.without(kept, taken) for time in open_times(grid, each)] == sorted(modelled)


@given(grids_with_ranges(), st.integers(1, 50))
def test_a_split_range_joins_to_itself_in_the_fewest_pieces(case: tuple[Grid, Range, list[Range]], most: int) -> None:
    grid, wanted, _ = case
    pieces = list(grid.split(wanted, most))
    assert grid.joined(pieces) == [wanted]
    assert sum(map(grid.count, pieces)) == grid.count(wanted)
    assert all(grid.count(piece) == most for piece in pieces[:-1])
    assert 1 <= grid.count(pieces[-1]) <= most


@given(grids_with_ranges())
def test_a_range_cut_at_months_joins_to_itself(case: tuple[Grid, Range, list[Range]]) -> None:
    grid, wanted, _ = case
    parts = list(grid.split_by_month(wanted))
    assert [time for _, part in parts for time in open_times(grid, part)] == open_times(grid, wanted)
    assert all(month_of(part.first) == month_of(part.last) == month for month, part in parts)
    assert len({month for month, _ in parts}) == len(parts)


def test_months_are_cut_where_klines_open_not_where_they_close() -> None:
    weeks = span("2024-01-22", "2024-03-04")
    assert list(grid_of("1w").split_by_month(weeks)) == [
        ("2024-01", span("2024-01-22", "2024-01-29")),
        ("2024-02", span("2024-02-05", "2024-02-26")),
        ("2024-03", span("2024-03-04", "2024-03-04")),
    ]
    days = span("2023-12-31", "2024-01-01")
    assert list(grid_of("1d").split_by_month(days)) == [
        ("2023-12", span("2023-12-31", "2023-12-31")),
        ("2024-01", span("2024-01-01", "2024-01-01")),
    ]


@pytest.mark.parametrize(
    ("interval", "times", "ranges"),
    [
        ("1h", [], []),
        ("1h", ["2024-01-01T05:00"], [("2024-01-01T05:00", "2024-01-01T05:00")]),
        ("1h", ["2024-01-01T05:30"], []),
        ("1h", ["2024-01-01T05:00", "2024-01-01T06:00"], [("2024-01-01T05:00", "2024-01-01T06:00")]),
        (
            "1h",
            ["2024-01-01T05:00", "2024-01-01T05:30", "2024-01-01T06:00", "2024-01-01T08:00"],
            [("2024-01-01T05:00", "2024-01-01T06:00"), ("2024-01-01T08:00", "2024-01-01T08:00")],
        ),
        ("1h", ["2024-01-01T05:00", "2024-01-01T05:00"], [("2024-01-01T05:00", "2024-01-01T05:00")]),
        ("1M", ["2024-01-01", "2024-02-01", "2024-04-01"], [("2024-01-01", "2024-02-01"), ("2024-04-01", "2024-04-01")]),
    ],
)
def test_open_times_are_ranges_and_those_off_the_grid_cover_nothing(
    interval: str, times: list[str], ranges: list[tuple[str, str]]
) -> None:
    assert grid_of(interval).ranges_of(at(*times)) == [span(first, last) for first, last in ranges]


@given(grids_with_ranges(), st.sets(st.integers(0, 39)), st.sets(st.integers(1, 10**6)))
def test_ranges_of_open_times_hold_exactly_those(
    case: tuple[Grid, Range, list[Range]], left_out: set[int], strays: set[int]
) -> None:
    grid, wanted, _ = case
    kept = [time for number, time in enumerate(open_times(grid, wanted)) if number not in left_out]
    off_grid = [wanted.first + stray for stray in strays if grid.floor(wanted.first + stray) != wanted.first + stray]
    ranges = grid.ranges_of(sorted(kept + off_grid))
    assert [time for each in ranges for time in open_times(grid, each)] == kept


@pytest.mark.parametrize(
    ("instant", "month"),
    [("2024-01-01", "2024-01"), ("2023-12-31T23:59:59.999999", "2023-12"), ("2024-02-29", "2024-02")],
)
def test_a_month_is_the_calendars_in_utc(instant: str, month: str) -> None:
    assert month_of(parse_instant(instant)) == month


@given(st.datetimes(datetime(2010, 1, 1), datetime(2035, 1, 1)))
def test_months_sort_as_their_names_do(instant: datetime) -> None:
    grid = grid_of("1M")
    first = grid.floor(parse_instant(instant.isoformat()))
    assert month_of(grid.before(first)) < month_of(first) < month_of(grid.after(first))

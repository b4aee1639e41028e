import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.backfill.plan import Coverage, MonthPlan, plan_months, plan_pages, proven_absent, wanted_range, why_nothing
from extract_process.ranges import Range, grid_of
from tickhouse_core.timestamps import MINUTE_US, parse_instant

HOUR = grid_of("1h")
FIVE_MINUTES = 5 * MINUTE_US


def span(first: str, last: str) -> Range:
    return Range(parse_instant(first), parse_instant(last))


JANUARY = span("2024-01-01", "2024-01-31T23:00")
FEBRUARY = span("2024-02-01", "2024-02-29T23:00")


@pytest.mark.parametrize(
    ("interval", "start", "end", "now", "wanted"),
    [
        ("1h", "2024-01-01", "2024-01-02", "2025-01-01", ("2024-01-01", "2024-01-01T23:00")),
        ("1h", "2024-01-01T00:30", "2024-01-01T02:30", "2025-01-01", ("2024-01-01T01:00", "2024-01-01T02:00")),
        ("1h", "2024-01-01", "2025-01-01", "2024-01-01T03:00", ("2024-01-01", "2024-01-01T02:00")),
        ("1h", "2024-01-01", "2025-01-01", "2024-01-01T02:59:59.999999", ("2024-01-01", "2024-01-01T01:00")),
        ("1h", "2024-01-01", "2025-01-01", "2024-01-01T00:59", None),
        ("1h", "2024-01-01T00:10", "2024-01-01T00:50", "2025-01-01", None),
        ("1h", "2024-01-01T00:00", "2024-01-01T00:01", "2025-01-01", ("2024-01-01", "2024-01-01")),
        ("1h", "2025-06-01", "2025-07-01", "2025-01-01", None),
        ("1w", "2024-01-01", "2024-02-01", "2024-01-20", ("2024-01-01", "2024-01-08")),
        ("1M", "2023-12-15", "2025-01-01", "2024-03-31", ("2024-01-01", "2024-02-01")),
    ],
)
def test_only_klines_that_begin_in_the_range_and_are_closed_are_wanted(
    interval: str, start: str, end: str, now: str, wanted: tuple[str, str] | None
) -> None:
    found = wanted_range(grid_of(interval), parse_instant(start), parse_instant(end), parse_instant(now))
    assert found == (wanted and span(*wanted))


@pytest.mark.parametrize(
    ("interval", "start", "end", "said"),
    [
        (
            "1h",
            "2026-01-01T00:01",
            "2026-01-01T00:02",
            "nothing to request: no kline is between 2026-01-01T00:01:00Z and 2026-01-01T00:02:00Z; "
            "the last one before is of 2026-01-01T00:00:00Z, the next one of 2026-01-01T01:00:00Z",
        ),
        (
            "1M",
            "2026-01-01T00:01",
            "2026-02-01",
            "nothing to request: no kline is between 2026-01-01T00:01:00Z and 2026-02-01T00:00:00Z; "
            "the last one before is of 2026-01-01T00:00:00Z, the next one of 2026-02-01T00:00:00Z",
        ),
        ("1d", "2026-01-01", None, "nothing to request yet: the kline of 2026-01-01T00:00:00Z cannot be final before {final}"),
        (
            "1d",
            "2026-01-01",
            "2026-01-02",
            "nothing to request yet: the kline of 2026-01-01T00:00:00Z cannot be final before {final}",
        ),
    ],
)
def test_range_of_which_nothing_is_wanted_has_a_reason(interval: str, start: str, end: str | None, said: str) -> None:
    final = "2026-01-02T00:00:00Z"
    until = None if end is None else parse_instant(end)
    found = why_nothing("kline", grid_of(interval), parse_instant(start), until, parse_instant("2026-01-02"))
    assert found == said.format(final=final)


def test_a_month_without_an_object_is_wanted_as_a_whole_and_is_new() -> None:
    assert plan_months(HOUR, JANUARY, {}) == [MonthPlan("2024-01", JANUARY, [JANUARY], is_new=True)]


def test_a_complete_month_is_never_asked_for_again() -> None:
    assert plan_months(HOUR, JANUARY, {"2024-01": Coverage([JANUARY])}) == []


def test_a_gap_in_the_middle_of_a_month_is_asked_for() -> None:
    present = [span("2024-01-01", "2024-01-14T22:00"), span("2024-01-15T01:00", "2024-01-31T23:00")]
    hole = span("2024-01-14T23:00", "2024-01-15T00:00")
    plans = plan_months(HOUR, JANUARY, {"2024-01": Coverage(present)})
    assert plans == [MonthPlan("2024-01", JANUARY, [hole], is_new=False)]


def test_what_the_venue_proved_not_to_have_is_not_asked_for_again() -> None:
    coverage = Coverage([span("2024-01-10", "2024-01-31T23:00")], [span("2024-01-01", "2024-01-09T23:00")])
    assert plan_months(HOUR, JANUARY, {"2024-01": coverage}) == []


def test_a_month_that_is_only_known_to_be_empty_is_new() -> None:
    coverage = Coverage([], [span("2024-01-01", "2024-01-09T23:00")])
    rest = span("2024-01-10", "2024-01-31T23:00")
    assert plan_months(HOUR, JANUARY, {"2024-01": coverage}) == [MonthPlan("2024-01", JANUARY, [rest], is_new=True)]


def test_months_come_oldest_first_and_complete_ones_do_not_appear() -> None:
    wanted = span("2023-12-31T20:00", "2024-02-01T01:00")
    plans = plan_months(HOUR, wanted, {"2024-01": Coverage([JANUARY])})
    assert [(plan.month, plan.missing) for plan in plans] == [
        ("2023-12", [span("2023-12-31T20:00", "2023-12-31T23:00")]),
        ("2024-02", [span("2024-02-01T00:00", "2024-02-01T01:00")]),
    ]


def test_the_running_month_is_refreshed_from_where_it_ends() -> None:
    wanted = span("2024-01-01", "2024-01-20T10:00")
    (plan,) = plan_months(HOUR, wanted, {"2024-01": Coverage([span("2024-01-01", "2024-01-20T07:00")])})
    assert plan.missing == [span("2024-01-20T08:00", "2024-01-20T10:00")]


def test_pages_reach_across_the_turn_of_a_month() -> None:
    assert plan_pages(HOUR, [JANUARY, FEBRUARY], 1_000) == [
        span("2024-01-01", "2024-02-11T15:00"),
        span("2024-02-11T16:00", "2024-02-29T23:00"),
    ]


def test_two_holes_are_two_pages() -> None:
    holes = [span("2024-01-03", "2024-01-03"), span("2024-01-01", "2024-01-01")]
    assert plan_pages(HOUR, holes, 1_000) == [span("2024-01-01", "2024-01-01"), span("2024-01-03", "2024-01-03")]


def test_nothing_missing_is_no_page() -> None:
    assert plan_pages(HOUR, [], 1_000) == []


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=6), st.integers(1, 100))
def test_pages_ask_for_every_missing_kline_once_and_for_nothing_else(ranges: list[tuple[int, int]], page_rows: int) -> None:
    spans = [Range(HOUR.after(JANUARY.first, first), HOUR.after(JANUARY.first, first + more)) for first, more in ranges]
    wanted = {time for each in spans for time in range(each.first, each.last + 1, HOUR.step_us)}
    pages = plan_pages(HOUR, spans, page_rows)
    assert [time for page in pages for time in range(page.first, page.last + 1, HOUR.step_us)] == sorted(wanted)
    assert all(HOUR.count(page) <= page_rows for page in pages)
    assert len(pages) == sum(-(-HOUR.count(each) // page_rows) for each in HOUR.joined(spans))


@pytest.mark.parametrize(
    ("answered", "now", "absent"),
    [
        ([], "2024-06-01", [("2024-01-01T00:00", "2024-01-01T05:00")]),
        (["2024-01-01T00:00", "2024-01-01T01:00"], "2024-06-01", [("2024-01-01T02:00", "2024-01-01T05:00")]),
        (
            ["2024-01-01T01:00", "2024-01-01T04:00"],
            "2024-06-01",
            [
                ("2024-01-01T00:00", "2024-01-01T00:00"),
                ("2024-01-01T02:00", "2024-01-01T03:00"),
                ("2024-01-01T05:00", "2024-01-01T05:00"),
            ],
        ),
        ([], "2024-01-01T06:05", [("2024-01-01T00:00", "2024-01-01T05:00")]),
        ([], "2024-01-01T06:04:59.999999", [("2024-01-01T00:00", "2024-01-01T04:00")]),
        (["2024-01-01T00:00"], "2024-01-01T02:04", []),
        ([], "2024-01-01T01:04", []),
    ],
)
def test_an_absence_is_proven_once_the_kline_can_no_longer_be_late(
    answered: list[str], now: str, absent: list[tuple[str, str]]
) -> None:
    asked = span("2024-01-01T00:00", "2024-01-01T05:00")
    found = proven_absent(HOUR, asked, [parse_instant(text) for text in answered], parse_instant(now), FIVE_MINUTES)
    assert found == [span(*each) for each in absent]


@given(st.sets(st.integers(0, 20)), st.integers(0, 30 * 60))
def test_nothing_that_was_answered_or_is_young_is_called_absent(answered: set[int], minutes: int) -> None:
    asked = Range(JANUARY.first, HOUR.after(JANUARY.first, 20))
    now = JANUARY.first + minutes * MINUTE_US
    absent = proven_absent(HOUR, asked, [HOUR.after(JANUARY.first, hour) for hour in sorted(answered)], now, FIVE_MINUTES)
    found = {time for each in absent for time in range(each.first, each.last + 1, HOUR.step_us)}
    naive = {HOUR.after(JANUARY.first, hour) for hour in range(21) if hour not in answered and (hour + 1) * 60 + 5 <= minutes}
    assert found == naive

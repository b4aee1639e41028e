from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_process.backfill.plan import Coverage
from extract_process.backfill.series import KlineSeries, OpenMonth
from extract_process.ranges import Range, grid_of
from extract_process.venues.binance.klines import parse_klines
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import parse_instant

if TYPE_CHECKING:
    from conftest import Lake


GRID = grid_of("1h")
START = parse_instant("2024-01-31T20:00")  # four hours before the turn of a month


def hour(number: int) -> int:
    return START + number * GRID.step_us


def hours(first: int, last: int) -> Range:
    return Range(hour(first), hour(last))


def klines(*numbers: int, price: str = "1.5") -> pa.Table:
    rows = [[hour(n) // 1_000, price, "2", "1", "1.5", "10", hour(n + 1) // 1_000 - 1, "15", 3, "5", "7.5", "0"] for n in numbers]
    return parse_klines(json.dumps(rows).encode(), symbol="BTCUSDT", interval="1h", receipt_time=START)


@pytest.fixture
def series(moto_lake: Lake) -> KlineSeries:
    return KlineSeries(moto_lake.store, "binance", "BTCUSDT", "1h", GRID)


def drawn(series: KlineSeries, *, partial: bool = False) -> dict[str, OpenMonth]:
    return {month.month: month for month in (series.take_partial() if partial else series.take_complete())}


def open_hours(month: OpenMonth) -> list[int]:
    return [(time.value - START) // GRID.step_us for table in month.tables for time in table["open_time"]]


def events(store: ObjectStore) -> list[dict[str, object]]:
    """Every event in the lake, in the order of its writing."""
    summaries = sorted(store.list_keys("data_sources/stream_events/"), key=lambda one: (one.last_modified, one.key))
    tables = [pq.read_table(pa.BufferReader(store.read(summary.key).body)) for summary in summaries]
    return [row for table in tables for row in table.to_pylist()]


def test_a_month_is_complete_when_its_last_answer_is_here(series: KlineSeries) -> None:
    series.expect(hours(0, 1))
    series.expect(hours(2, 3))
    series.add_answer(hours(2, 3), klines(2, 3))
    assert drawn(series) == {}
    series.add_answer(hours(0, 1), klines(0, 1))
    months = drawn(series)
    assert list(months) == ["2024-01"]
    assert open_hours(months["2024-01"]) == [2, 3, 0, 1]
    assert drawn(series) == {}  # it is the caller's now


def test_an_answer_across_the_turn_of_a_month_goes_to_both(series: KlineSeries) -> None:
    series.expect(hours(2, 5))
    series.add_answer(hours(2, 5), klines(2, 3, 4, 5))
    months = drawn(series)
    assert {name: open_hours(month) for name, month in months.items()} == {"2024-01": [2, 3], "2024-02": [4, 5]}


def test_rows_beyond_what_was_asked_are_left_out_and_those_off_the_grid_are_kept(series: KlineSeries) -> None:
    position, column = klines(1).schema.get_field_index("open_time"), klines(1).schema.field("open_time")
    half = klines(1).set_column(position, column, pa.array([hour(1) + GRID.step_us // 2], column.type))
    series.expect(hours(1, 1))
    series.add_answer(hours(1, 1), pa.concat_tables([klines(0, 1), half, klines(2)]))
    (month,) = drawn(series).values()
    assert [time.value - hour(1) for table in month.tables for time in table["open_time"]] == [0, GRID.step_us // 2]


def test_an_interrupted_run_takes_what_has_arrived(series: KlineSeries) -> None:
    series.expect(hours(0, 5))
    series.expect(hours(0, 1))
    series.add_answer(hours(0, 1), klines(0, 1))
    assert drawn(series) == {}
    assert {name: open_hours(month) for name, month in drawn(series, partial=True).items()} == {
        "2024-01": [0, 1],
        "2024-02": [],
    }
    assert drawn(series, partial=True) == {}


def test_nothing_that_arrived_is_nothing_to_land(series: KlineSeries, moto_lake: Lake) -> None:
    assert series.land(OpenMonth("2024-01", awaited=1)) is None
    assert list(moto_lake.store.list_keys("data_sources/")) == []


def test_rows_land_without_an_event_where_nothing_is_missing(series: KlineSeries, moto_lake: Lake) -> None:
    landed = series.land(OpenMonth("2024-01", tables=[klines(2, 3), klines(0, 1)]))
    assert landed is not None
    assert landed.rows == 4
    assert events(moto_lake.store) == []


def test_a_proven_absence_is_an_event_per_range(series: KlineSeries, moto_lake: Lake) -> None:
    series.add_absence([hours(0, 0), hours(1, 2)])
    (month,) = drawn(series).values()
    assert series.land(month) is not None
    (event,) = events(moto_lake.store)
    assert {name: event[name] for name in ("venue", "symbol", "channel", "event", "cause")} == {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "klines",
        "event": "gap",
        "cause": "venue_has_no_data",
    }
    assert (event["from_update_id"], event["to_update_id"]) == (hour(0), hour(2))
    assert event["detail"] == "3 klines, 2024-01-31T20:00:00Z to 2024-01-31T23:00:00Z"


def test_an_absence_across_months_is_an_event_in_each(series: KlineSeries, moto_lake: Lake) -> None:
    series.add_absence([hours(2, 5)])
    for month in drawn(series).values():
        series.land(month)
    found = [(event["event"], event["from_update_id"], event["to_update_id"]) for event in events(moto_lake.store)]
    assert found == [("gap", hour(2), hour(3)), ("gap", hour(4), hour(5))]


def test_what_is_missing_without_a_proof_is_a_gap_but_not_an_absence(series: KlineSeries, moto_lake: Lake) -> None:
    series.add_unexplained(hours(1, 1), "archive_has_no_data")
    (month,) = drawn(series).values()
    series.land(month)
    (event,) = events(moto_lake.store)
    assert (event["event"], event["cause"], event["from_update_id"]) == ("gap", "archive_has_no_data", hour(1))
    assert series.lake.read_coverage(["2024-01"]) == {"2024-01": Coverage()}, "asked for again"


def test_an_unexplained_gap_is_written_once_and_healed_in_parts(series: KlineSeries, moto_lake: Lake) -> None:
    cause = "archive_has_no_data"
    series.land(OpenMonth("2024-01", unexplained=[(hours(0, 2), cause)]))
    series.land(OpenMonth("2024-01", unexplained=[(hours(0, 3), cause)]))
    series.land(OpenMonth("2024-01", tables=[klines(1)]))
    series.land(OpenMonth("2024-01", tables=[klines(0, 3)], no_data=[hours(2, 2)]))
    told = [(event["event"], event["cause"], event["from_update_id"], event["to_update_id"]) for event in events(moto_lake.store)]
    assert told[:3] == [("gap", cause, hour(0), hour(2)), ("gap", cause, hour(3), hour(3)), ("healed", cause, hour(1), hour(1))]
    assert told[3:] == [
        ("gap", "venue_has_no_data", hour(2), hour(2)),
        ("healed", cause, hour(0), hour(0)),
        ("healed", cause, hour(3), hour(3)),
    ]
    assert series.lake.open_gaps("2024-01") == [], "nothing of it is healed twice"


def test_a_range_that_was_healed_gets_a_second_event(series: KlineSeries, moto_lake: Lake) -> None:
    series.land(OpenMonth("2024-01", no_data=[hours(0, 3)]))
    series.land(OpenMonth("2024-01", tables=[klines(1, 2)]))
    found = [(event["event"], event["from_update_id"], event["to_update_id"]) for event in events(moto_lake.store)]
    assert found == [("gap", hour(0), hour(3)), ("healed", hour(1), hour(2))]


def test_a_disagreement_is_an_event_with_every_value_of_both_sides(series: KlineSeries, moto_lake: Lake) -> None:
    series.land(OpenMonth("2024-01", tables=[klines(0, 1)]))
    landed = series.land(OpenMonth("2024-01", tables=[klines(1, 2, price="9.5")]))
    assert landed is not None
    assert landed.rows == 1
    (event,) = events(moto_lake.store)
    assert (event["event"], event["cause"], event["from_update_id"]) == ("disagreement", "rest_differs", hour(1))
    assert json.loads(str(event["detail"])) == {"open": {"in_lake": f"1.5{'0' * 17}", "offered": f"9.5{'0' * 17}"}}


def test_what_a_contract_is_worth_is_told_once_with_the_first_rows(moto_lake: Lake) -> None:
    """Gold needs it, and a lake of candles alone has no recorder that tells it."""
    series = KlineSeries(moto_lake.store, "binance-coinm", "BTCUSD_PERP", "1h", GRID, "100")
    for first in (0, 24 * 31):
        series.expect(hours(first, first))
        series.add_answer(hours(first, first), klines(first))
        for month in list(series.take_complete()):
            series.land(month)
    told = [(row["symbol"], row["channel"], row["detail"]) for row in events(moto_lake.store) if row["event"] == "contract"]
    assert told == [("BTCUSD_PERP", "", "100")]

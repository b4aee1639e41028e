"""Histories of futures in Python: what lacks between rows of a period is a hole, and where a range is recorded from and until."""

from pathlib import Path

import pyarrow as pa
import pytest
from tests.tickhouse.test_read_api import DAY, HOUR, MINUTE, SECOND, write
from tests.tickhouse.test_read_derivatives import MARKET, open_interest
from tests.transform_process.warehouse_rows import stream_event, table_of

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import FUNDING_RATES, OPEN_INTEREST, STREAM_EVENTS
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import history_month_key

LATE_US = 7_000
SETTLEMENT = 8 * HOUR


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "lake" / "data_sources").mkdir(parents=True)
    return FolderStore(tmp_path / "lake")


@pytest.fixture
def lake(store: FolderStore, tmp_path: Path) -> th.Lake:
    return th.open(tmp_path / "lake")


def rates(times: list[int]) -> pa.Table:
    said = {"funding_rate": ["0.0001"] * len(times), "mark_price": [None] * len(times)}
    return table_of(FUNDING_RATES, {**MARKET, **said, "funding_time": times, "receipt_time": [at + SECOND for at in times]})


def history(store: FolderStore, hours: list[int], period: str = "1h") -> None:
    """As the backfill lands it: all of the month in one object."""
    rows = open_interest([DAY + hour * HOUR for hour in hours], ["1"] * len(hours), period)
    store.write(history_month_key(OPEN_INTEREST, "binance", "BTCUSDT", period, "2024-08"), parquet_bytes(rows, OPEN_INTEREST))


def settled(store: FolderStore, times: list[int]) -> None:
    key = history_month_key(FUNDING_RATES, "binance", "BTCUSDT", "", "2024-08")
    store.write(key, parquet_bytes(rates(times), FUNDING_RATES))


def gap(store: FolderStore, channel: str, first: int, last: int, end: int, instance: str) -> None:
    told = stream_event(
        "gap", channel, first, last, started_us=first, ended_us=end, cause="venue_has_no_data", instance=instance
    )  # fmt: skip
    write(store, STREAM_EVENTS, told, received_us=DAY + 24 * HOUR)


def found(rows: th.Rows) -> tuple[bool, list[int]]:
    return rows.is_complete, rows.coverage.column("holes").to_pylist()


def test_hours_that_were_never_requested_are_a_hole_of_a_history(store: FolderStore, lake: th.Lake) -> None:
    history(store, [0, 1, 2, 5, 6, 7])
    assert found(lake.open_interest("BTCUSDT", DAY, DAY + 8 * HOUR, "1h", "binance")) == (False, [1])
    assert found(lake.open_interest("BTCUSDT", DAY + 3 * HOUR, DAY + 4 * HOUR, "1h", "binance"))[0] is False
    assert found(lake.open_interest("BTCUSDT", DAY, DAY + 3 * HOUR, "1h", "binance")) == (True, [0])
    assert found(lake.open_interest("BTCUSDT", DAY + 5 * HOUR, DAY + 8 * HOUR, "1h", "binance")) == (True, [0])
    assert found(lake.open_interest("BTCUSDT", DAY + 4 * HOUR + 1, DAY + 8 * HOUR, "1h", "binance")) == (True, [0])
    assert found(lake.open_interest("BTCUSDT", DAY + 5 * HOUR, DAY + 8 * HOUR + 1, "1h", "binance")) == (False, [0])


@pytest.mark.parametrize(("period", "explains"), [("1h", True), ("5m", False)])
def test_what_the_venue_does_not_have_is_no_hole_in_its_period(
    store: FolderStore, lake: th.Lake, period: str, explains: bool
) -> None:
    history(store, [0, 1, 2, 5, 6, 7])
    gap(store, "open_interest", DAY + 3 * HOUR, DAY + 4 * HOUR, DAY + 5 * HOUR, f"backfill-BTCUSDT-{period}")
    asked = lake.open_interest("BTCUSDT", DAY, DAY + 8 * HOUR, "1h", "binance")
    assert found(asked) == (explains, [0 if explains else 1])
    assert asked.gaps.num_rows == explains


def test_a_settlement_that_lacks_is_a_hole_unless_the_venue_has_none(store: FolderStore, lake: th.Lake) -> None:
    """Each is some milliseconds after its hour, now more and now fewer."""
    late = [0, 7_000, 3_000, 0, 9_000]
    times = [DAY + number * SETTLEMENT + late[number] for number in range(5)]
    settled(store, [times[number] for number in (0, 1, 3, 4)])
    asked = ("BTCUSDT", DAY, DAY + 4 * SETTLEMENT, "binance")
    assert found(lake.funding_rates(*asked)) == (False, [1])
    gap(store, "funding_rates", DAY + 2 * SETTLEMENT, DAY + 2 * SETTLEMENT, DAY + 3 * SETTLEMENT, "backfill-BTCUSDT-funding")
    assert found(lake.funding_rates(*asked)) == (True, [0])
    settled(store, times)
    assert found(lake.funding_rates(*asked)) == (True, [0])


def test_a_range_of_rates_begins_at_a_full_hour_or_between_two_settlements(store: FolderStore, lake: th.Lake) -> None:
    settled(store, [DAY + number * SETTLEMENT + LATE_US for number in range(4)])

    def covered(start: int, end: int) -> list[float]:
        return [row["coverage"] for row in lake.funding_rates("BTCUSDT", start, end, "binance").coverage.to_pylist()]

    assert covered(DAY, DAY + 3 * SETTLEMENT) == [1.0]
    assert covered(DAY + SETTLEMENT, DAY + 2 * SETTLEMENT) == [1.0]
    assert covered(DAY + HOUR, DAY + 7 * HOUR) == [1.0], "no row inside, one on both sides"
    assert covered(DAY - HOUR, DAY + HOUR) == [pytest.approx(0.5, abs=1e-4)], "nothing is known of before the first"
    assert covered(DAY + 3 * SETTLEMENT, DAY + 4 * SETTLEMENT) == [pytest.approx(0.0, abs=1e-6)], "nor of behind the last"
    assert covered(DAY + 3 * SETTLEMENT + 2 * MINUTE, DAY + 4 * SETTLEMENT) == [0.0]


def test_an_interruption_of_polls_is_a_gap_of_polls_only(store: FolderStore, lake: th.Lake) -> None:
    polled = [DAY + number * MINUTE for number in (0, 1, 2, 30, 31)]
    history(store, [0, 1, 2])
    write(store, OPEN_INTEREST, open_interest(polled, ["1"] * 5))
    told = stream_event(
        *("gap", "open_interest", polled[2] + 1, polled[3] - 1), started_us=polled[2], ended_us=polled[3], cause="missed_poll"
    )
    write(store, STREAM_EVENTS, told)
    polls = lake.open_interest("BTCUSDT", DAY, DAY + 31 * MINUTE, venue="binance")
    assert found(polls) == (False, [0])
    assert polls.gaps.select(["cause", "is_open"]).to_pylist() == [{"cause": "missed_poll", "is_open": True}]
    assert polls.coverage.column("covered_seconds").to_pylist() == [pytest.approx(3 * 60, abs=1e-3)]
    assert found(lake.open_interest("BTCUSDT", DAY, DAY + 2 * HOUR, "1h", "binance")) == (True, [0])

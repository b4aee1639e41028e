"""Health of the last day: rates from counters that begin again, holes that stay holes, percentiles, and depths of queues."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from status_page.queries import Queries
from status_page.vitals import COLUMNS, SLOT_US, QueueDepths, Vitals
from tickhouse_core.metrics import heartbeat_detail
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.timestamps import now_us, to_datetime
from tickhouse_core.warehouse import Warehouse, connect_reader

FIGURES: dict[str, int | None] = {"weight": 300, "weight_limit": 6_000, "memory_bytes": 10**8, "free_bytes": 10**10}


@pytest.fixture
def queries(warehouse_settings: WarehouseSettings, warehouse: Warehouse) -> Iterator[Queries]:
    queries = Queries(lambda: connect_reader(warehouse_settings))
    yield queries
    queries.close()


def beats(warehouse: Warehouse, started_us: int, until_us: int, a_second: int, instance: str = "main", **figures: int) -> None:
    rows = []
    for beat_us in range(started_us + 10_000_000, until_us, 10_000_000):
        seconds = (beat_us - started_us) // 1_000_000
        said = FIGURES | {"uploaded_bytes": 100 * seconds} | figures
        row: dict[str, Any] = {"venue": "binance", "process": "stream", "instance": instance, "connections": 1}
        row |= {"started_at": to_datetime(started_us), "beat_time": to_datetime(beat_us), "frames": a_second * seconds}
        row |= {"rows": 2 * a_second * seconds, "spool_bytes": 500, "detail": heartbeat_detail("0 gaps", 10.0, said)}
        rows.append(row | {"object_key": "x"})
    warehouse.insert_rows("bronze_heartbeats", rows)


def by_time(vitals: Vitals) -> dict[int, dict[str, Any]]:
    day = vitals.day()
    return {slot[0]: dict(zip(COLUMNS, slot, strict=True)) for slot in day["slots"]}


def test_rates_of_counters_that_begin_again_and_a_hole_that_stays_one(queries: Queries, warehouse: Warehouse) -> None:
    now = now_us() // SLOT_US * SLOT_US
    began = now - 300 * SLOT_US  # before the day that is shown
    beats(warehouse, began, now - 10 * SLOT_US, 50)
    again = now - 8 * SLOT_US - SLOT_US // 2  # ten minutes of nothing, then from 0
    beats(warehouse, again, now, 70)
    beats(warehouse, again, now, 5, instance="other", memory_bytes=2 * 10**8, weight=600, free_bytes=10**9)
    slots = by_time(Vitals(queries, QueueDepths()))
    assert len(slots) == 288
    before, hole, after = (slots[now - count * SLOT_US] for count in (20, 10, 3))
    assert (before["messages_per_second"], before["rows_per_second"]) == (50, 100)
    assert before["lake_bytes_per_day"] == 100 * 86_400
    assert {value for name, value in hole.items() if name != "opened"} == {None}
    assert slots[now - 9 * SLOT_US]["messages_per_second"] == slots[now - 8 * SLOT_US]["messages_per_second"] == 75
    assert (after["messages_per_second"], after["spool_bytes"]) == (75, 1_000)
    assert (after["weight_share"], after["memory_bytes"], after["free_bytes"]) == (0.1, 2 * 10**8, 10**9)


def test_a_capture_of_before_says_nothing_of_its_memory(queries: Queries, warehouse: Warehouse) -> None:
    now = now_us() // SLOT_US * SLOT_US
    row: dict[str, Any] = {"venue": "binance", "process": "stream", "instance": "main", "connections": 1, "object_key": "x"}
    row |= {"started_at": to_datetime(now - SLOT_US), "beat_time": to_datetime(now - 1_000_000), "frames": 299, "rows": 0}
    warehouse.insert_rows("bronze_heartbeats", [row | {"spool_bytes": 1, "detail": "0 gaps, batches of 10 s"}])
    slot = by_time(Vitals(queries, QueueDepths()))[now - SLOT_US]
    assert (slot["messages_per_second"], slot["spool_bytes"]) == (1, 1)
    assert {slot[name] for name in ("lake_bytes_per_day", "weight_share", "memory_bytes", "free_bytes")} == {None}


def test_lag_is_read_once_where_it_is_settled_and_again_where_it_is_young(queries: Queries, warehouse: Warehouse) -> None:
    now = now_us() // SLOT_US * SLOT_US

    def trade(at_us: int, number: int, receipt_ms: int) -> dict[str, Any]:
        at = to_datetime(at_us)
        received = at + timedelta(milliseconds=receipt_ms)
        row: dict[str, Any] = {"venue": "binance", "symbol": "BTCUSDT", "trade_id": number, "price": 1, "quantity": 1}
        row |= {"trade_time": at, "event_time": at, "receipt_time": received, "load_time": received + timedelta(seconds=2)}
        return row | {"is_buyer_maker": False, "object_key": "x"}

    old, young = now - 100 * SLOT_US, now - SLOT_US
    warehouse.insert_rows("silver_trades", [trade(old + number, number, 5 if number < 90 else 900) for number in range(100)])
    vitals = Vitals(queries, QueueDepths(), fresh_seconds=0)
    slot = by_time(vitals)[old]
    assert (slot["receipt_p50_ms"], slot["receipt_p99_ms"], slot["load_p50_ms"], slot["load_p99_ms"]) == (5, 900, 2_000, 2_000)
    warehouse.insert_rows("silver_trades", [trade(old, 500, 70), trade(young, 501, 70)])
    slots = by_time(vitals)
    assert slots[old] == slot
    assert slots[young]["receipt_p50_ms"] == 70
    often = Vitals(queries, QueueDepths(), fresh_seconds=0, anew_seconds=0)
    late = now - 50 * SLOT_US
    assert by_time(often)[late]["load_p50_ms"] is None
    warehouse.insert_rows("silver_trades", [trade(late, 600, 5)])  # a loader was behind by hours
    assert by_time(often)[late]["load_p50_ms"] == 2_000


def test_queues_are_as_deep_as_they_were_at_their_deepest() -> None:
    depths = QueueDepths()
    one = {"name": "a", "waiting": 3, "in_flight": 2, "dead": 0}
    depths.see(10 * SLOT_US, [one, one | {"dead": 4}])
    depths.see(10 * SLOT_US + 1, [one])
    depths.see(400 * SLOT_US, [])
    assert depths.slots() == {400 * SLOT_US: (0, 0)}
    depths.see(400 * SLOT_US + 9, [one, one | {"dead": 4}])
    depths.see(400 * SLOT_US + 10, [one])
    assert depths.slots() == {400 * SLOT_US: (10, 4)}

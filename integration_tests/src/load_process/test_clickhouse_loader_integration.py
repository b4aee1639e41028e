"""An object's way from the lake to the view: exact values, every version once, whatever is delivered how often."""

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.load_process.conftest import (
    FIRST_US,
    LARGE_ENOUGH,
    MANY_WINDOWS,
    RECEIVED_US,
    ClickHouseServer,
    LoaderProcess,
    assert_queues_are_empty,
    body_of,
    bronze_counts,
    copies_of_messages,
    drain,
    in_background,
    klines,
    ledger,
    load_errors,
    month_key,
    select,
    send,
    slow_down,
    table_rows,
    view_rows,
)
from tests.waiting import wait_until

from extract_process.parquet import write_events
from extract_process.records import StreamEvent
from load_process.value_checksum import value_checksum
from tickhouse_core.datasets import KLINES, STREAM_EVENTS
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.timestamps import to_datetime
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

CHINESE = "币安人生USDT"
HAND_WRITTEN_KEY = "data_sources/klines_pricing/venue=binance/symbol=A B+C/interval=1m/100% of=it&more %20.parquet"


def test_every_column_arrives_in_the_view_exactly_as_it_was_landed(localstack_lake: "Lake", any_warehouse: Warehouse) -> None:
    tables = {
        month_key("BTCUSDT"): klines(5),
        month_key(CHINESE): klines(4, symbol=CHINESE),
        month_key("NAME WITH/SPACE"): klines(2, symbol="NAME WITH/SPACE"),
        HAND_WRITTEN_KEY: klines(3, symbol="A B+C"),
    }
    for key, table in tables.items():
        localstack_lake.store.write(key, body_of(table))

    drain()

    landed = [row for table in tables.values() for row in table_rows(table)]
    assert {row["volume"] for row in landed} == {Decimal("100000000000.000000000000000001")}
    assert view_rows(any_warehouse) == sorted(landed, key=lambda row: [str(value) for value in row.values()])
    assert bronze_counts(any_warehouse) == {key: table.num_rows for key, table in sorted(tables.items())}
    assert load_errors(any_warehouse) == []  # s3:TestEvent of the provisioning included
    assert_queues_are_empty()


def test_ledger_tells_rows_etag_checksum_and_deliveries(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    etag = localstack_lake.store.write(month_key(), body_of(klines(7)))
    queue = SqsQueue(KLINES.queue)
    refused_once: list[str] = []

    def is_refused() -> bool:
        for message in queue.receive(most=10, wait_seconds=1, visibility_seconds=30):
            queue.extend_visibility([message], 0)
            refused_once.append(message.body)
        return any("Records" in body for body in refused_once)

    wait_until(is_refused)
    drain()

    [entry] = ledger(warehouse)
    assert entry == {
        "bucket": localstack_lake.store.bucket,
        "key": month_key(),
        "etag": etag,
        "dataset": "klines",
        "rows": 7,
        "checksum": value_checksum(klines(7)),
        "status": "loaded",
        "attempts": 2,
    }
    [bronze] = select(warehouse, "select distinct load_time from bronze_klines")
    [recorded] = select(warehouse, "select load_time from ops_loaded_objects")
    assert timedelta(0) <= recorded["load_time"] - bronze["load_time"] < timedelta(minutes=1)


def test_three_deliveries_of_everything_in_random_order_leave_every_version_once(
    localstack_lake: "Lake", warehouse: Warehouse
) -> None:
    symbols = [f"S{number}USDT" for number in range(8)]
    queue = SqsQueue(KLINES.queue)
    first = {symbol: klines(symbol=symbol, close="1", receipt_time=RECEIVED_US) for symbol in symbols}
    later = {symbol: klines(symbol=symbol, close="2", receipt_time=RECEIVED_US + 1) for symbol in symbols}
    for symbol in symbols:
        localstack_lake.store.write(month_key(symbol), body_of(first[symbol]))
    bodies = copies_of_messages(queue, len(symbols)) * 3
    shuffled = random.Random(3).sample(bodies, len(bodies))
    send(KLINES.queue, *shuffled)
    drain()
    assert [row["close"] for row in view_rows(warehouse)] == [Decimal(1)] * 24

    for symbol in symbols[:4]:
        localstack_lake.store.write(month_key(symbol), body_of(later[symbol]))
    newer = copies_of_messages(queue, 4) * 3
    mixed = random.Random(4).sample(bodies + newer, len(bodies + newer))
    send(KLINES.queue, *mixed)
    drain()

    assert bronze_counts(warehouse) == {month_key(symbol): 6 if symbol in symbols[:4] else 3 for symbol in symbols}
    newest = [later[symbol] if symbol in symbols[:4] else first[symbol] for symbol in symbols]
    assert view_rows(warehouse) == [row for table in newest for row in table_rows(table)]
    assert [entry["rows"] for entry in ledger(warehouse)] == [3] * 12
    assert_queues_are_empty()


def test_an_older_recording_that_arrives_last_does_not_win(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    """Of two objects with the same klines; of two versions of one object the lake's counts."""
    other_key = month_key().replace("2024-01", "stream-1")
    for key, table in (
        (month_key(), klines(close="2", receipt_time=RECEIVED_US + 1)),
        (other_key, klines(close="1", receipt_time=RECEIVED_US)),
    ):
        localstack_lake.store.write(key, body_of(table))
        drain()

    assert bronze_counts(warehouse) == {month_key(): 3, other_key: 3}
    assert [row["close"] for row in view_rows(warehouse)] == [Decimal(2)] * 3


def test_a_closed_kline_beats_an_open_one_that_was_received_later(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    key = month_key().replace("2024-01", "stream-1")
    localstack_lake.store.write(month_key(), body_of(klines(2, close="1")))
    localstack_lake.store.write(key, body_of(klines(3, close="2", closed=False, receipt_time=RECEIVED_US + 1)))

    drain()

    assert [(row["close"], row["is_closed"]) for row in view_rows(warehouse)] == [(1, True), (1, True), (2, False)]


def test_several_records_in_a_message_and_a_test_event(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    symbols = ["AUSDT", "BUSDT", "CUSDT"]
    for symbol in symbols:
        localstack_lake.store.write(month_key(symbol), body_of(klines(symbol=symbol)))
    bodies = copies_of_messages(SqsQueue(KLINES.queue), 3)
    records = [record for body in bodies for record in json.loads(body)["Records"]]
    removed = records[0] | {"eventName": "ObjectRemoved:Delete"}
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": localstack_lake.store.bucket}
    send(KLINES.queue, json.dumps({"Records": [removed, *records]}), json.dumps(test_event))

    drain()

    assert bronze_counts(warehouse) == {month_key(symbol): 3 for symbol in symbols}
    assert load_errors(warehouse) == []
    assert_queues_are_empty()


def test_stream_events_arrive_with_their_nulls(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    gap = StreamEvent("binance", CHINESE, "klines", "backfill", "gap", 1, 2**64 - 1, FIRST_US, RECEIVED_US, "disconnect", "a gap")
    connected = StreamEvent("binance", "", "trades", "a-1", "connected", None, None, RECEIVED_US, None, "", "")
    for sequence in (1, 2):  # the same events in two objects are the same events
        write_events(localstack_lake.store, [gap, connected], RECEIVED_US, sequence)

    drain()

    found = {row["event"]: row for row in view_rows(warehouse, STREAM_EVENTS.name)}
    assert len(found) == len(view_rows(warehouse, STREAM_EVENTS.name)) == 2
    assert found["gap"] == {
        "venue": "binance",
        "symbol": CHINESE,
        "channel": "klines",
        "instance": "backfill",
        "event": "gap",
        "from_update_id": 1,
        "to_update_id": 2**64 - 1,
        "started_at": to_datetime(FIRST_US),
        "ended_at": to_datetime(RECEIVED_US),
        "cause": "disconnect",
        "detail": "a gap",
    }
    assert (found["connected"]["from_update_id"], found["connected"]["ended_at"]) == (None, None)
    assert warehouse.query("select count() from bronze_stream_events") == [(4,)]
    assert_queues_are_empty()


def test_an_object_without_rows_is_loaded_once_as_nothing(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    localstack_lake.store.write(month_key(), body_of(klines(0)))

    drain()

    assert [(entry["rows"], entry["status"], entry["attempts"]) for entry in ledger(warehouse)] == [(0, "loaded", 1)]
    assert view_rows(warehouse) == []
    assert_queues_are_empty()


def test_two_loaders_on_one_queue_load_every_object_once(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    symbols = [f"S{number:02}USDT" for number in range(24)]
    for symbol in symbols:
        localstack_lake.store.write(month_key(symbol), body_of(klines(2, symbol=symbol)))
    bodies = copies_of_messages(SqsQueue(KLINES.queue), len(symbols))
    send(KLINES.queue, *(body for body in bodies for _ in range(2)))  # neighbours in the queue, so that both get the same object

    with ThreadPoolExecutor(2) as threads:
        wait_for_all(loaders := [threads.submit(drain, queues=[KLINES.queue]) for _ in range(2)])

    assert [loader.exception() for loader in loaders] == [None, None]
    assert bronze_counts(warehouse) == {month_key(symbol): 2 for symbol in symbols}
    assert warehouse.query("select count() from silver_klines final") == [(48,)]
    assert [entry["rows"] for entry in ledger(warehouse)] == [2] * 24
    assert_queues_are_empty([KLINES.queue])


def test_a_slow_load_stays_hidden_from_others_and_is_deleted_last(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    slow_down(warehouse, seconds_a_row=1)  # three seconds, three times the visibility
    localstack_lake.store.write(month_key(), body_of(klines(3)))
    queue = SqsQueue(KLINES.queue)
    send(KLINES.queue, *copies_of_messages(queue, 1))  # without the bucket's test event
    observed: set[tuple[bool, bool]] = set()
    with in_background(lambda: drain(visibility_seconds=1, queues=[KLINES.queue])) as loader:
        wait_until(lambda: queue.depth().in_flight == 1)

        def is_over() -> bool:
            is_deleted = queue.depth().is_empty  # asked first: a row that comes between the two questions is no mistake
            observed.add((bool(ledger(warehouse)), is_deleted))
            assert not any("Records" in message.body for message in queue.receive(most=10, wait_seconds=0, visibility_seconds=0))
            return loader.done()

        wait_until(is_over)

    assert observed - {(True, False)} == {(False, False), (True, True)}
    assert [entry["attempts"] for entry in ledger(warehouse)] == [1]
    assert bronze_counts(warehouse) == {month_key(): 3}
    assert_queues_are_empty([KLINES.queue])


def test_drain_waits_for_a_delivery_that_another_loader_holds(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    localstack_lake.store.write(month_key(), body_of(klines()))
    queue = SqsQueue(KLINES.queue)
    [body] = copies_of_messages(queue, 1)
    send(KLINES.queue, body)
    [held] = queue.receive(most=1, wait_seconds=5, visibility_seconds=60)

    with in_background(lambda: drain(queues=[KLINES.queue])) as loader:
        assert not wait_for_all([loader], timeout=3.5).done  # two empty polls take two seconds
        queue.extend_visibility([held], 0)  # the other loader died

    assert bronze_counts(warehouse) == {month_key(): 3}
    assert_queues_are_empty([KLINES.queue])


@pytest.mark.parametrize("away_seconds", [0, pytest.param(60, marks=pytest.mark.long)])
def test_a_server_that_goes_away_and_comes_back_gets_everything_once(
    away_seconds: float, localstack_lake: "Lake", clickhouse_server: ClickHouseServer, start_loader: Callable[..., LoaderProcess]
) -> None:
    symbols = [f"S{number:02}USDT" for number in range(100)]
    for symbol in symbols:
        localstack_lake.store.write(month_key(symbol), body_of(klines(LARGE_ENOUGH, symbol=symbol)))
    loader = start_loader("--drain", "--dataset=klines", "--visibility-seconds=1", *MANY_WINDOWS, LOG_LEVEL="DEBUG")
    loader.wait_for_line(" loaded ")
    clickhouse_server.stop()
    returns_at = time.monotonic() + away_seconds
    for _ in range(3):  # after half a second, and one more
        loader.wait_for_line("waiting for it to come back")
    while time.monotonic() < returns_at:
        loader.wait_for_line("waiting for it to come back")
    clickhouse_server.start()

    assert loader.finish() == 0
    outages = loader.count("WARNING load_process.loader: waiting for it to come back")
    assert outages in (1, 2)  # a server that stops may still answer one of the readers
    assert loader.count("INFO load_process.loader: back to normal") == outages
    warehouse = connect(clickhouse_server.settings)
    assert bronze_counts(warehouse) == {month_key(symbol): LARGE_ENOUGH for symbol in symbols}
    assert warehouse.query("select count() from silver_klines final") == [(100 * LARGE_ENOUGH,)]
    assert warehouse.query("select count() from klines") == [(100 * LARGE_ENOUGH,)]
    assert max(entry["attempts"] for entry in ledger(warehouse)) == 1  # tried again in place, hidden by the heartbeat
    assert len(ledger(warehouse)) == 100
    warehouse.close()
    assert_queues_are_empty([KLINES.queue])

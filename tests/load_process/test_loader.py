from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pyarrow as pa
import pytest
from tests.load_process.conftest import FOLDER, START, errors, klines, ledger, notification, parquet

from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions, QueueLoader
from tickhouse_core.aws import sqs_client
from tickhouse_core.errors import AccessRefused, LakeUnavailable, NotProvisioned, TickhouseError, WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import Message, MessageQueue, QueueDepth, SqsQueue
from tickhouse_core.object_store import ObjectStore, StoredObject
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

QUEUE = "klines-notifications"
DRAIN = LoaderOptions(drain=True, wait_seconds=0)


def send(*bodies: str) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)


@pytest.fixture
def connections(warehouse_settings: WarehouseSettings) -> Iterator[list[Warehouse]]:
    """What a loader needs: one reads, two insert."""
    opened = [connect(warehouse_settings) for _ in range(3)]
    yield opened
    for warehouse in opened:
        warehouse.close()


def run(
    store: ObjectStore,
    connections: list[Warehouse],
    *,
    queue: MessageQueue | None = None,
    stop: StopRequest | None = None,
    options: LoaderOptions = DRAIN,
) -> None:
    first, *others = connections
    QueueLoader(queue or SqsQueue(QUEUE), store, first, others, stop or StopRequest(), options).run()


def seen(warehouse: Warehouse) -> list[tuple[object, ...]]:
    rows = warehouse.query("select toHour(open_time), toString(close) from klines order by open_time")
    return [tuple(row) for row in rows]


def test_what_lands_in_the_lake_is_loaded_and_the_queue_is_empty(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1)))
    moto_lake.store.write(f"{FOLDER}/2024-02.parquet", parquet(klines(2)))
    run(moto_lake.store, connections)
    assert seen(warehouse) == [(0, "1.5"), (1, "1.5"), (2, "1.5")]
    assert SqsQueue(QUEUE).depth().is_empty
    assert warehouse.query("select count() from ops_load_errors") == [(0,)]  # the test event is no error


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_three_times_in_any_order_is_exact(
    seed: int, moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    bodies = []
    for number, (close, receipt_time) in enumerate([("1.5", 10), ("2.5", 30), ("9.5", 20)]):
        key = f"{FOLDER}/stream-{number}.parquet"
        etag = moto_lake.store.write(key, parquet(klines(0, 1, close=close, receipt_time=START + receipt_time)))
        bodies += [notification(moto_lake.store.bucket, key, etag)] * 3
    random.Random(seed).shuffle(bodies)
    send(*bodies)
    run(moto_lake.store, connections)
    assert seen(warehouse) == [(0, "2.5"), (1, "2.5")]
    assert warehouse.query("select count() from bronze_klines") == [(6,)]
    assert SqsQueue(QUEUE).depth().is_empty


def test_a_bad_object_is_quarantined_and_its_neighbours_are_loaded(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    moto_lake.store.write(f"{FOLDER}/b.parquet", b"a text file")
    moto_lake.store.write(f"{FOLDER}/c.parquet", parquet(klines(2)))
    run(moto_lake.store, connections)
    assert seen(warehouse) == [(0, "1.5"), (2, "1.5")]
    assert [summary.key for summary in moto_lake.store.list_keys("quarantine/")] == [
        f"quarantine/{FOLDER}/b.parquet",
        f"quarantine/{FOLDER}/b.parquet.reason.json",
    ]
    assert SqsQueue(QUEUE).depth().is_empty


def test_a_notification_of_no_new_object_leaves_a_line_and_is_deleted(
    moto_lake: Lake, connections: list[Warehouse], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bodies = ['{"Records":[]}', '{"source":"aws.s3","detail-type":"Object Restore Completed","detail":{}}']
    send(*bodies)
    run(moto_lake.store, connections)
    said = {record.__dict__["says"] for record in caplog.records if record.message == "the notification names no new object"}
    assert said >= set(bodies)
    assert SqsQueue(QUEUE).depth().is_empty


def test_a_body_that_is_no_notification_is_noted_and_deleted(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    send("hello", '{"Records":[{}]}')
    run(moto_lake.store, connections)
    assert errors(warehouse) == [("bad_notification", "dropped", 1)] * 2
    assert SqsQueue(QUEUE).depth().is_empty


class SlowInsert(Warehouse):
    """Asks for the stop while the first insert is under way."""

    stop: StopRequest

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        self.stop.set()
        super().insert_arrow(table, rows, token=token, push_again=push_again)


def slow_insert(settings: WarehouseSettings, stop: StopRequest) -> SlowInsert:
    warehouse = SlowInsert(clickhouse_connect.get_client(interface="chdb", path=str(settings.path), database=settings.database))
    warehouse.stop = stop
    return warehouse


def test_a_stop_finishes_the_batch_in_hand_and_gives_the_others_back(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    for number in range(12):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    stop = StopRequest()
    inserting = slow_insert(warehouse_settings, stop)
    options = LoaderOptions(drain=True, wait_seconds=0, limits=LoadLimits(window_messages=5))
    run(moto_lake.store, [warehouse, inserting], stop=stop, options=options)
    loaded = len(seen(warehouse))
    assert 0 < loaded < 12
    assert len(ledger(warehouse)) == loaded
    assert SqsQueue(QUEUE).depth() == QueueDepth(12 - loaded, 0, 0)  # at once, not after the visibility timeout
    run(moto_lake.store, [warehouse, warehouse])
    assert seen(warehouse) == [(number, "1.5") for number in range(12)]
    inserting.close()


class StoppingStore(S3Store):
    """Asks for the stop while the first object is read."""

    stop: StopRequest

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        self.stop.set()
        return super().read(key, most_bytes=most_bytes)


def test_a_stop_while_reading_gives_everything_back(moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]) -> None:
    for number in range(3):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    store, stop = StoppingStore(moto_lake.store.bucket), StopRequest()
    store.stop = stop
    run(store, connections, stop=stop)
    assert (seen(warehouse), ledger(warehouse)) == ([], [])
    assert SqsQueue(QUEUE).depth() == QueueDepth(3, 0, 0)
    run(moto_lake.store, connections)
    assert seen(warehouse) == [(0, "1.5"), (1, "1.5"), (2, "1.5")]


def test_a_stop_before_the_first_poll_receives_nothing(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    stop = StopRequest()
    stop.set()
    run(moto_lake.store, connections, stop=stop, options=LoaderOptions())
    assert seen(warehouse) == []
    assert SqsQueue(QUEUE).depth().in_flight == 0


class AwayStore(S3Store):
    """Not there until the loader has tried once."""

    stop: StopRequest

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        self.stop.set()
        raise LakeUnavailable("S3 answered 503")


def test_passing_trouble_leaves_the_message_for_another_delivery(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    store, stop = AwayStore(moto_lake.store.bucket), StopRequest()
    store.stop = stop
    run(store, connections, stop=stop)
    assert seen(warehouse) == []
    assert not SqsQueue(QUEUE).depth().is_empty
    run(moto_lake.store, connections)
    assert seen(warehouse) == [(0, "1.5")]
    assert warehouse.query("select status, attempts from ops_loaded_objects") == [("loaded", 2)]


class PatchyQueue(SqsQueue):
    """Fails the second time, and does not answer the first time it is asked for its depth."""

    error: type[TickhouseError] = LakeUnavailable
    received = 0
    asked = 0

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        self.received += 1
        if self.received == 2:
            raise self.error("SQS answered 503, 403, or that there is no such queue")
        return super().receive(most=most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)

    def depth(self) -> QueueDepth:
        self.asked += 1
        if self.asked == 1:
            raise LakeUnavailable("SQS answered 503")
        return super().depth()


@pytest.mark.parametrize("error", [LakeUnavailable, AccessRefused, NotProvisioned])
def test_what_was_received_before_the_queue_went_away_is_loaded(
    error: type[TickhouseError], moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]
) -> None:
    """Nobody else would see these messages as long as this loader keeps them hidden."""
    for number in range(15):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    queue = PatchyQueue(QUEUE)
    queue.error = error
    run(moto_lake.store, connections, queue=queue)
    assert queue.received > 2
    assert queue.asked > 1
    assert seen(warehouse) == [(number, "1.5") for number in range(15)]
    assert {row[4] for row in ledger(warehouse)} == {1}
    assert queue.depth().is_empty


class AwayQueue(SqsQueue):
    """Does not answer for a while, though the warehouse does."""

    received = 0

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        self.received += 1
        if self.received <= 3:
            raise LakeUnavailable("SQS answered 503")
        return super().receive(most=most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)


@pytest.mark.slow
def test_a_queue_that_is_away_is_said_once_whatever_the_warehouse_answers(
    moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    moto_lake.store.write(f"{FOLDER}/0.parquet", parquet(klines(0)))
    run(moto_lake.store, connections, queue=AwayQueue(QUEUE))
    assert seen(warehouse) == [(0, "1.5")]
    begins_and_ends = ["waiting for it to come back", "back to normal"]
    assert [record.message for record in caplog.records if record.message in begins_and_ends] == begins_and_ends


class ForgetfulLedger(Warehouse):
    """Away when the first error is to be noted."""

    noted = 0

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.noted += table == "ops_load_errors"
        if table == "ops_load_errors" and self.noted == 1:
            raise WarehouseUnavailable("TOO_MANY_PARTS")
        super().insert_rows(table, rows)


def test_a_refused_body_is_noted_when_the_warehouse_is_back_and_its_neighbours_are_loaded(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    reading = ForgetfulLedger(
        clickhouse_connect.get_client(interface="chdb", path=str(warehouse_settings.path), database=warehouse_settings.database)
    )
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    send("hello")
    run(moto_lake.store, [reading, warehouse])
    assert reading.noted == 2
    assert errors(warehouse) == [("bad_notification", "dropped", 1)]
    assert seen(warehouse) == [(0, "1.5")]
    assert SqsQueue(QUEUE).depth().is_empty
    reading.close()


def test_many_small_objects_are_few_inserts(moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]) -> None:
    for number in range(60):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    run(moto_lake.store, connections)
    assert warehouse.query("select count(), uniqExact(object_key) from bronze_klines") == [(60, 60)]
    ((batches,),) = warehouse.query("select uniqExact(batch) from ops_load_claims")
    assert batches <= 6
    assert warehouse.query("select uniqExact(load_time) from bronze_klines") == [(batches,)]


def test_an_idle_loader_begins_with_few_objects(moto_lake: Lake, warehouse: Warehouse, connections: list[Warehouse]) -> None:
    """It would receive all of them first, and read and insert nothing meanwhile."""
    for number in range(30):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    options = LoaderOptions(drain=True, wait_seconds=0, limits=LoadLimits(seconds=60, idle_messages=10))
    run(moto_lake.store, connections, options=options)
    batches = warehouse.query("select count() from ops_load_claims where state = 'claimed' group by batch order by min(time)")
    sizes = [int(count) for (count,) in batches]
    assert sizes[0] <= 10
    assert sum(sizes) == 30

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.load_process.conftest import klines, notification, parquet

from load_process.loader import LoaderOptions, QueueLoader
from pipeline.aws import sqs_client
from pipeline.errors import LakeUnavailable
from pipeline.lifecycle import StopRequest
from pipeline.message_queue import MessageQueue
from pipeline.object_store import ObjectStore, StoredObject
from pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

QUEUE = "klines-notifications"
FOLDER = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1h"
DRAIN = LoaderOptions(drain=True, wait_seconds=0)


def send(*bodies: str) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)


def drain(lake: Lake, warehouse: Warehouse) -> None:
    QueueLoader(MessageQueue(QUEUE), lake.store, warehouse, StopRequest(), DRAIN).run()


def seen(warehouse: Warehouse) -> list[tuple[object, ...]]:
    rows = warehouse.query("select toHour(open_time), toString(close) from klines order by open_time")
    return [tuple(row) for row in rows]


def test_what_lands_in_the_lake_is_loaded_and_the_queue_is_empty(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1)))
    moto_lake.store.write(f"{FOLDER}/2024-02.parquet", parquet(klines(2)))
    drain(moto_lake, warehouse)
    assert seen(warehouse) == [(0, "1.5"), (1, "1.5"), (2, "1.5")]
    assert MessageQueue(QUEUE).depth().is_empty
    assert warehouse.query("select count() from ops_load_errors") == [(0,)]  # the test event is no error


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_three_times_in_any_order_is_exact(seed: int, moto_lake: Lake, warehouse: Warehouse) -> None:
    bodies = []
    for number, (close, receipt_time) in enumerate([("1.5", 10), ("2.5", 30), ("9.5", 20)]):
        key = f"{FOLDER}/stream-{number}.parquet"
        etag = moto_lake.store.write(key, parquet(klines(0, 1, close=close, receipt_time=receipt_time)))
        bodies += [notification(moto_lake.store.bucket, key, etag)] * 3
    random.Random(seed).shuffle(bodies)
    send(*bodies)
    drain(moto_lake, warehouse)
    assert seen(warehouse) == [(0, "2.5"), (1, "2.5")]
    assert warehouse.query("select count() from bronze_klines") == [(6,)]
    assert MessageQueue(QUEUE).depth().is_empty


def test_a_bad_object_is_quarantined_and_its_neighbours_are_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    moto_lake.store.write(f"{FOLDER}/b.parquet", b"a text file")
    moto_lake.store.write(f"{FOLDER}/c.parquet", parquet(klines(2)))
    drain(moto_lake, warehouse)
    assert seen(warehouse) == [(0, "1.5"), (2, "1.5")]
    assert [summary.key for summary in moto_lake.store.list_keys("quarantine/")] == [
        f"quarantine/{FOLDER}/b.parquet",
        f"quarantine/{FOLDER}/b.parquet.reason.json",
    ]
    assert MessageQueue(QUEUE).depth().is_empty


def test_a_body_that_is_no_notification_is_noted_and_deleted(moto_lake: Lake, warehouse: Warehouse) -> None:
    send("hello", '{"Records":[{}]}')
    drain(moto_lake, warehouse)
    rows = warehouse.query("select reason, fate from ops_load_errors")
    assert [tuple(row) for row in rows] == [("bad_notification", "dropped")] * 2
    assert MessageQueue(QUEUE).depth().is_empty


class StoppingStore(ObjectStore):
    """Asks for the stop while the first object is in hand."""

    stop: StopRequest

    def read(self, key: str) -> StoredObject:
        self.stop.set()
        return super().read(key)


def test_a_stop_finishes_the_object_in_hand_and_gives_the_others_back(moto_lake: Lake, warehouse: Warehouse) -> None:
    for number in range(3):
        moto_lake.store.write(f"{FOLDER}/{number}.parquet", parquet(klines(number)))
    store, stop = StoppingStore(moto_lake.store.bucket), StopRequest()
    store.stop = stop
    QueueLoader(MessageQueue(QUEUE), store, warehouse, stop, DRAIN).run()
    assert len(seen(warehouse)) == 1
    assert MessageQueue(QUEUE).depth().visible == 2  # at once, not after the visibility timeout
    drain(moto_lake, warehouse)
    assert seen(warehouse) == [(0, "1.5"), (1, "1.5"), (2, "1.5")]


def test_a_stop_before_the_first_poll_receives_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    stop = StopRequest()
    stop.set()
    QueueLoader(MessageQueue(QUEUE), moto_lake.store, warehouse, stop, LoaderOptions()).run()
    assert seen(warehouse) == []


class AwayStore(ObjectStore):
    """Not there until the loader has tried once."""

    stop: StopRequest

    def read(self, key: str) -> StoredObject:
        self.stop.set()
        raise LakeUnavailable("S3 answered 503")


def test_passing_trouble_leaves_the_message_for_another_delivery(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/a.parquet", parquet(klines(0)))
    store, stop = AwayStore(moto_lake.store.bucket), StopRequest()
    store.stop = stop
    QueueLoader(MessageQueue(QUEUE), store, warehouse, stop, DRAIN).run()
    assert seen(warehouse) == []
    assert not MessageQueue(QUEUE).depth().is_empty
    drain(moto_lake, warehouse)
    assert seen(warehouse) == [(0, "1.5")]
    assert warehouse.query("select status, attempts from ops_loaded_objects") == [("loaded", 2)]

"""kill -9 at any moment: the next loader goes on, and every row of every object is there exactly once."""

import json
import random
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.load_process.conftest import (
    LoaderProcess,
    OwnWarehouse,
    body_of,
    copies_of_messages,
    klines,
    month_key,
    send,
    slowing_statements,
)
from tests.waiting import wait_until

from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import KLINES
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

COMMAND = ("--dataset", "klines", "--drain", "--visibility-seconds", "2")
QUEUE_NAME = KLINES.queue


@pytest.mark.heart
@pytest.mark.parametrize(("kills", "objects"), [(3, 80), pytest.param(10, 200, marks=pytest.mark.long)])
def test_kills_at_random_moments_leave_every_row_once(
    kills: int, objects: int, moto_lake: "Lake", own_warehouse: OwnWarehouse, start_loader: Callable[..., LoaderProcess]
) -> None:
    moments = random.Random(20240101)
    sizes = {f"S{number:03}USDT": moments.choice((1, 50, 5_000)) for number in range(objects)}
    etags = {
        symbol: moto_lake.store.write(month_key(symbol), body_of(klines(rows, symbol=symbol))) for symbol, rows in sizes.items()
    }
    receive_again_and_again(QUEUE_NAME)

    for _ in range(kills):
        batch_rows = moments.choice((1, 1, 6_000))  # objects come again alone and in other company
        loader = start_loader(*COMMAND, "--batch-rows", str(batch_rows))
        for _ in range(moments.randrange(5)):
            loader.wait_for_line(" loaded ")
        with pytest.raises(subprocess.TimeoutExpired):  # it must not be done: a kill that hits nothing proves nothing
            loader.process.communicate(timeout=moments.uniform(0, 0.1))
        loader.process.kill()
        assert loader.process.wait() == -signal.SIGKILL
    last = start_loader(*COMMAND)

    assert last.finish() == 0
    assert 0 < last.objects_loaded() < len(sizes), "the kills must come in the middle"
    per_object = (
        "select object_key, count(), uniqExact(open_time), sum(trade_count) from {} group by object_key order by object_key"
    )
    bronze, silver, view, entries, errors = own_warehouse.run(
        per_object.format("bronze_klines"),
        per_object.format("silver_klines final"),
        "select symbol, count() from klines group by symbol order by symbol",
        "select key, etag, rows, status from ops_loaded_objects final order by key",
        "select count() from ops_load_errors",
    )
    assert bronze == silver == [[month_key(symbol), rows, rows, rows * (rows - 1) // 2] for symbol, rows in sizes.items()]
    assert view == [[symbol, rows] for symbol, rows in sizes.items()]
    assert entries == [[month_key(symbol), etags[symbol], rows, "loaded"] for symbol, rows in sizes.items()]
    assert errors == [[0]]
    assert SqsQueue(QUEUE_NAME).depth().is_empty


def test_a_kill_in_the_middle_of_an_insert_leaves_every_row_once(
    moto_lake: "Lake", own_warehouse: OwnWarehouse, start_loader: Callable[..., LoaderProcess]
) -> None:
    own_warehouse.run(*slowing_statements(seconds_a_row=0.9))
    moto_lake.store.write(month_key(), body_of(klines(3)))
    queue = SqsQueue(QUEUE_NAME)
    send(QUEUE_NAME, *copies_of_messages(queue, 1))  # without the bucket's test event
    process = start_loader(*COMMAND).process
    wait_until(lambda: queue.depth().in_flight == 1)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)  # the insert takes 2.7 seconds
    process.kill()
    process.wait()
    last = start_loader(*COMMAND)

    assert last.finish() == 0
    assert last.count(" loaded ") == 1, "the kill must come before the ledger row"
    bronze, silver, entries = own_warehouse.run(
        "select count(), uniq(open_time) from bronze_klines",
        "select count(), uniq(open_time) from silver_klines final",
        "select rows, status, attempts from ops_loaded_objects",
    )
    assert (bronze, silver, entries) == ([[3, 3]], [[3, 3]], [[3, "loaded", 2]])


@pytest.mark.heart
@pytest.mark.parametrize(("table", "instant"), [("bronze_klines", "open_time"), ("bronze_stream_events", "started_at")])
def test_a_retry_in_the_next_month_is_still_the_same_insert(warehouse: Warehouse, table: str, instant: str) -> None:
    """A load that was killed before its ledger row may be repeated after midnight; tokens count per partition."""
    for load_time in ("2024-01-31 23:59:59", "2024-02-01 00:00:01"):
        insert = f"insert into {table} ({instant}, load_time) select toDateTime('2024-01-05 00:00:00', 'UTC'), '{load_time}'"
        warehouse.command(insert, insert_deduplication_token="key+etag")

    assert warehouse.query(f"select count() from {table}") == [(1,)]


def receive_again_and_again(queue_name: str) -> None:
    """No message is given up: all of them may be in hand at every one of the ten kills, and five are the limit."""
    client = sqs_client()
    url = client.get_queue_url(QueueName=queue_name)["QueueUrl"]
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    policy = json.loads(attributes["RedrivePolicy"]) | {"maxReceiveCount": 100}
    client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})

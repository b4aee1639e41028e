"""What the tests of reconcile, redrive, audit and clear share: a small lake of hours, loaded from its queue or not."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.load_process.test_every_dataset import body_of, rows_of

from load_process.loader import LoaderOptions, QueueLoader
from load_process.on_demand import Outcome
from load_process.redrive import Selection, run_redrive
from tickhouse_core.aws import sqs_client
from tickhouse_core.datasets import TRADES, Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

Row = dict[str, Any]
FIRST_HOUR = 7


def key_of(number: int, *, hour: int = FIRST_HOUR, dataset: Dataset = TRADES) -> str:
    return f"{dataset.prefix}venue=binance/date=2026-11-21/hour={hour:02}/{number:04}-main-1.parquet"


def rows_number(number: int, dataset: Dataset = TRADES) -> list[Row]:
    """Two rows that no other number has."""
    return rows_of(dataset, 2 * number, 2 * number + 1)


def land(lake: Lake, *numbers: int, hour: int = FIRST_HOUR, dataset: Dataset = TRADES) -> list[str]:
    keys = [key_of(number, hour=hour, dataset=dataset) for number in numbers]
    for number, key in zip(numbers, keys, strict=True):
        lake.store.write(key, body_of(rows_number(number, dataset), dataset))
    return keys


def drain(lake: Lake, queue: str = TRADES.queue) -> None:
    """A loader that ends when the queue is empty."""
    with ExitStack() as connections:
        first, *others = (connections.enter_context(closing(connect(read(WarehouseSettings)))) for _ in range(3))
        options = LoaderOptions(drain=True, wait_seconds=0)
        QueueLoader(SqsQueue(queue), lake.store, first, others, StopRequest(), options).run()


def redrive(selection: Selection, *, again: bool = False) -> dict[Outcome, int]:
    """How many objects met which outcome."""
    return dict(run_redrive(selection, StopRequest(), again=again, patience_seconds=0))


def send(queue: str, *bodies: str) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body)


def purge(queue: str = TRADES.queue) -> None:
    """Every message is lost: notifications that never came."""
    client = sqs_client()
    client.purge_queue(QueueUrl=client.get_queue_url(QueueName=queue)["QueueUrl"])


def counts(warehouse: Warehouse, dataset: Dataset = TRADES) -> tuple[int, int]:
    """Rows in bronze and rows that people see."""
    landed, seen = (warehouse.query(f"select count() from {table}")[0][0] for table in (dataset.bronze_table, dataset.name))
    return landed, seen


def verdicts(warehouse: Warehouse, dataset: Dataset = TRADES) -> list[str]:
    return [str(row[0]) for row in warehouse.query(f"select verdict from ops_accounting_{dataset.name} order by key")]


def statuses(warehouse: Warehouse) -> list[tuple[str, str]]:
    rows = warehouse.query("select key, status from ops_loaded_objects final order by key, load_time")
    return [(key.rpartition("/")[2], status) for key, status in rows]


def later(rows: list[Row], seconds: int = 1) -> list[Row]:
    """The same as received later."""
    return [row | {"receipt_time": row["receipt_time"] + timedelta(seconds=seconds)} for row in rows]

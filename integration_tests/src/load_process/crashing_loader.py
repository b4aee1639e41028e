"""A loader in a process of its own that is killed (SIGKILL, by itself) at a named point. Not a test.

The real loader with real parts; the parts that touch the world are subclasses that count calls and end the process there.
"""

import os
import random
import signal
import threading
from collections.abc import Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from load_process.batches import LoadLimits
from load_process.loader import LoaderOptions, QueueLoader
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import Message, MessageQueue
from tickhouse_core.object_store import ObjectStore, StoredObject
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

POINTS = (
    "after_get",
    "after_claim",
    "mid_insert",
    "view_push",
    "after_insert",
    "after_ledger",
    "after_delete",
)
SLOW_VIEW = "create materialized view if not exists slow_mv to slow as select sleepEachRow(0.001) as slept from bronze_klines"
"""Makes the push to the views of klines take its time, so that a kill falls into it."""

LIMITS = LoadLimits(rows=40, insert_rows=16, seconds=0.1)
"""Small enough for several batches and for several inserts of a batch."""


class Death:
    """Ends the process at the `call`-th time its point is reached."""

    def __init__(self, point: str, call: int, delay_seconds: float) -> None:
        self._point = point
        self._left = call
        self._delay_seconds = delay_seconds
        self._lock = threading.Lock()

    def at(self, point: str) -> None:
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._die()

    def soon_after(self, *points: str) -> None:
        """A moment later, from another thread: in the middle of what follows."""
        if self._point not in points:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                timer = threading.Timer(self._delay_seconds, self._die)
                timer.daemon = True
                timer.start()

    @staticmethod
    def _die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyStore(ObjectStore):
    def __init__(self, bucket: str, death: Death) -> None:
        super().__init__(bucket)
        self._death = death

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        stored = super().read(key, most_bytes=most_bytes)
        self._death.at("after_get")
        return stored


class DeadlyQueue(MessageQueue):
    def __init__(self, name: str, death: Death) -> None:
        super().__init__(name)
        self._death = death

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        failed = super().delete(messages)
        self._death.at("after_delete")
        return failed


class DeadlyWarehouse(Warehouse):
    def __init__(self, client: "Client", death: Death) -> None:
        super().__init__(client)
        self._death = death

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().insert_rows(table, rows)
        self._death.at({"ops_load_claims": "after_claim", "ops_loaded_objects": "after_ledger"}.get(table, ""))

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        self._death.soon_after("mid_insert", "view_push")
        super().insert_arrow(table, rows, token=token, push_again=push_again)
        self._death.at("after_insert")


def run_until_death(bucket: str, queue: str, environment: Mapping[str, str], point: str, seed: int) -> None:
    """One loader on one queue; returns if the queue was empty before its time had come."""
    os.environ.update(environment)
    chance = random.Random(seed)
    death = Death(point, chance.choice([1, 1, 2, 3, 5]), chance.uniform(0, 0.03))
    warehouses = [DeadlyWarehouse(connect(read(WarehouseSettings))._client, death) for _ in range(3)]
    if point == "view_push":
        warehouses[0].command("create table if not exists slow (slept UInt8) engine = Null")
        warehouses[0].command(SLOW_VIEW)
    _drain(DeadlyStore(bucket, death), DeadlyQueue(queue, death), warehouses)


def run_to_the_end(
    bucket: str, queue: str, environment: Mapping[str, str], queries: Collection[str], answers: Connection
) -> None:
    """The loader that comes after them; sends what the warehouse holds then."""
    os.environ.update(environment)
    warehouses = [connect(read(WarehouseSettings)) for _ in range(3)]
    warehouses[0].command("drop view if exists slow_mv")
    _drain(ObjectStore(bucket), MessageQueue(queue), warehouses)
    answers.send([[tuple(row) for row in warehouses[0].query(sql)] for sql in queries])


def _drain(store: ObjectStore, queue: MessageQueue, warehouses: Sequence[Warehouse]) -> None:
    options = LoaderOptions(drain=True, wait_seconds=0, visibility_seconds=30, patience_seconds=0, limits=LIMITS)
    QueueLoader(queue, store, warehouses[0], warehouses[1:], StopRequest(), options).run()

"""A loader in a process of its own that is killed (SIGKILL, by itself) at a named point. Not a test.

The real loader with real parts; the parts that touch the world are subclasses that count calls and end the process there,
or let the warehouse be unavailable for one call.
"""

import faulthandler
import os
import random
import signal
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions, QueueLoader
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import Message, MessageQueue, SqsQueue
from tickhouse_core.object_store import ObjectStore, StoredObject
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import read_schema, statement_that_creates

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

POINTS = (
    "after_get",
    "after_claim",
    "mid_insert",
    "view_push",
    "after_insert",
    "lost_rows",
    "older_version",
    "after_ledger",
    "after_delete",
)
MOST_CALLS = 6
"""An outage comes at one of so many calls after a repeated insert: between it and the ledger there are as many."""

CASES = [*((point, 0) for point in POINTS), *(("lost_rows", call) for call in range(1, MOST_CALLS + 1))]
"""Where the first loader dies, and when the warehouse is unavailable, once, to the one that comes last: at that call after a
repeated insert, or with 0 after an insert that it took and did not acknowledge."""

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

    def at(self, point: str, before: Callable[[], None] = lambda: None) -> None:
        """`before` is done right before the end."""
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                before()
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


class DeadlyStore(S3Store):
    def __init__(self, bucket: str, death: Death) -> None:
        super().__init__(bucket)
        self._death = death

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        stored = super().read(key, most_bytes=most_bytes)
        self._death.at("after_get")
        return stored


class DeadlyQueue(SqsQueue):
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

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().command(sql, parameters, **settings)
        if "silver_" in sql:
            self._death.at("older_version")

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().insert_rows(table, rows)
        self._death.at({"ops_load_claims": "after_claim", "ops_loaded_objects": "after_ledger"}.get(table, ""))

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        began_us = self.now_us()
        self._death.soon_after("mid_insert", "view_push")
        super().insert_arrow(table, rows, token=token, push_again=push_again)
        self._death.at("after_insert")
        self._death.at("lost_rows", before=lambda: self._lose(table, rows, began_us))

    def _lose(self, table: str, rows: pa.Table, since_us: int) -> None:
        """As a kill can leave it: the engine knows the token and has no row (MergeTree notes the block, then adds the part)."""
        for name in (table, table.replace("bronze_", "silver_")):
            for key in rows["object_key"].unique().to_pylist():
                self.delete_object(name, key, since_us=since_us)


class Outage:
    """One failed call; several connections share it."""

    def __init__(self, call: int) -> None:
        self._call = call
        self._calls_to_go = 0
        self._is_over = False
        self._lock = threading.Lock()

    def on_insert(self, *, is_repeat: bool) -> None:
        """After an insert that the engine took."""
        with self._lock:
            if not self._call:
                self._fail_once()
            elif is_repeat:
                self._calls_to_go = self._call

    def on_call(self) -> None:
        """Before a question, a statement, or an insert of a few rows."""
        with self._lock:
            self._calls_to_go -= 1
            if self._calls_to_go == 0:
                self._fail_once()

    def _fail_once(self) -> None:
        if not self._is_over:
            self._is_over = True
            raise WarehouseUnavailable("unavailable for this one call")


class UnreliableWarehouse(Warehouse):
    def __init__(self, client: "Client", outage: Outage) -> None:
        super().__init__(client)
        self._outage = outage

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self._outage.on_call()
        super().command(sql, parameters, **settings)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        self._outage.on_call()
        return super().query(sql, parameters)

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._outage.on_call()
        super().insert_rows(table, rows)

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        super().insert_arrow(table, rows, token=token, push_again=push_again)
        self._outage.on_insert(is_repeat=push_again)


def in_process(log: Path, target: Callable[..., None], *arguments: Any) -> None:
    """Runs `target` with all that this process says in `log`, a crash of the engine included."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    faulthandler.enable(file=2)
    target(*arguments)


def make_warehouse(folder: Path) -> None:
    """With the tables of klines and of the loader only: a sixth of the files, and opened in a third of the time."""
    settings = WarehouseSettings(path=folder)
    server = connect(settings, database="default", creates=True)
    server.command(f"create database {settings.database}")
    server.close()
    warehouse = connect(settings)
    for migration in read_schema():
        if migration.name in ("0001_ops.sql", "0002_klines.sql"):
            for statement in migration.statements:
                warehouse.command(statement)
    warehouse.command(statement_that_creates("ops_accounting_klines"))
    warehouse.close()


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
    bucket: str, queue: str, environment: Mapping[str, str], outage: int, queries: Collection[str], answers: Connection
) -> None:
    """The loader that comes after them, which an outage does not end; sends what the warehouse holds then."""
    os.environ.update(environment)
    first = connect(read(WarehouseSettings))
    first.command("drop view if exists slow_mv")
    failing = Outage(outage)
    others = [UnreliableWarehouse(connect(read(WarehouseSettings))._client, failing) for _ in range(2)]
    _drain(S3Store(bucket), SqsQueue(queue), [first, *others])
    answers.send([[tuple(row) for row in first.query(sql)] for sql in queries])


def _drain(store: ObjectStore, queue: MessageQueue, warehouses: Sequence[Warehouse]) -> None:
    options = LoaderOptions(drain=True, wait_seconds=0, visibility_seconds=30, patience_seconds=0, limits=LIMITS)
    QueueLoader(queue, store, warehouses[0], warehouses[1:], StopRequest(), options).run()

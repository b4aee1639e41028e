from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.load_process.operating import counts, drain, key_of, land, purge, rows_number, send
from tests.load_process.test_every_dataset import body_of
from tests.waiting import wait_until

from load_process.__main__ import run_loader
from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions
from load_process.reconcile import ScheduledSweep, SweepOptions
from tickhouse_core.datasets import TRADES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

OFTEN = SweepOptions(every_seconds=0.1, min_age_seconds=0, hours=1_000_000)


@contextmanager
def sweeping(lake: Lake, settings: WarehouseSettings, options: SweepOptions, limits: LoadLimits) -> Iterator[None]:
    stop = StopRequest()
    with closing(connect(settings)) as warehouse:
        sweep = ScheduledSweep([TRADES], lake.store, warehouse, stop, options, limits)
        thread = threading.Thread(target=sweep.run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()


def test_a_running_loader_finds_what_no_message_told_it(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    assert warehouse_settings.path
    land(moto_lake, 1, 2)
    purge()
    stop = StopRequest()
    loader = threading.Thread(target=run_loader, args=([TRADES.queue], stop, LoaderOptions(wait_seconds=0), OFTEN))
    loader.start()
    try:
        wait_until(lambda: counts(warehouse) == (4, 4))
    finally:
        stop.set()
        loader.join(60)
    assert not loader.is_alive()


def test_trouble_is_said_once_and_the_next_rounds_try_again(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "load_process")
    land(moto_lake, 1)
    purge()
    warehouse.command("rename table ops_loaded_objects to ops_loaded_objects_away")

    def said(level: int) -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "load_process.reconcile" and r.levelno == level]

    with sweeping(moto_lake, warehouse_settings, OFTEN, LoadLimits()):
        wait_until(lambda: len(said(logging.DEBUG)) >= 2)
        warehouse.command("rename table ops_loaded_objects_away to ops_loaded_objects")
        wait_until(lambda: counts(warehouse) == (2, 2))
        wait_until(lambda: "reconciling again" in said(logging.INFO))
    assert said(logging.WARNING) == ["not reconciled, the next round tries again"]


def test_a_queue_that_is_behind_is_left_to_the_loader(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "load_process")
    land(moto_lake, 1)
    purge()
    send(TRADES.queue, "hello", "hello")
    with sweeping(moto_lake, warehouse_settings, OFTEN, LoadLimits(window_messages=1)):
        wait_until(lambda: caplog.messages.count("not reconciled: the queue is behind") >= 3)
        assert counts(warehouse) == (0, 0)
        drain(moto_lake)
        wait_until(lambda: counts(warehouse) == (2, 2))


def test_it_looks_at_the_last_hours_only(moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings) -> None:
    for number, date in ((1, "2001-01-01"), (2, "2999-01-01")):
        key = key_of(number).replace("2026-11-21", date)
        moto_lake.store.write(key, body_of(rows_number(number), TRADES))
    purge()
    with sweeping(moto_lake, warehouse_settings, SweepOptions(every_seconds=0.1, min_age_seconds=0, hours=1), LoadLimits()):
        wait_until(lambda: counts(warehouse) == (2, 2))
    ((key,),) = warehouse.query("select key from ops_loaded_objects")
    assert "/date=2999-01-01/" in key

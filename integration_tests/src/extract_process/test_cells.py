"""Two cells with a ClickHouse of their own and two recorders each: together they have the whole market, each row once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Lake, free_port
from tests.commands import SOURCES, ChildProcess, run_python
from tests.waiting import patience, wait_until

from extract_process.shards import Shard
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.instruments import listed_instruments
from tickhouse_core.cells import Cell
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import connect

from ..load_process.conftest import STAND_IN, ClickHouseServer
from .live import events_of, ids_in_events
from .test_shards import STREAMS, shards

if TYPE_CHECKING:
    from .conftest import OpenVenue

MARKETS = 20
FIRST, SECOND = Cell(1, 2), Cell(2, 2)
FEW = 20
"""Ids that an exchange sent before a recorder had subscribed."""


@dataclass(frozen=True)
class Pipeline:
    """What one cell has of its own."""

    cell: Cell
    server: ClickHouseServer
    store: ObjectStore
    environment: dict[str, str]

    def query(self, sql: str) -> list[tuple[int | str, ...]]:
        with closing(connect(self.server.settings)) as warehouse:
            return [tuple(row) for row in warehouse.query(sql)]

    def symbols(self) -> set[str]:
        """With both trades and diffs in silver."""
        found = [{str(name) for (name,) in self.query(f"select distinct symbol from {view}")} for _, _, view, _, _ in STREAMS]
        return set.intersection(*found)

    def is_recorded_by(self, instances: set[str]) -> bool:
        found = self.query("select distinct instance from stream_events where event = 'synced'")
        return instances <= {str(name) for (name,) in found}


def test_two_cells_hold_the_whole_market_and_a_shard_joins_one_of_them_while_they_record(
    open_venue: "OpenVenue", moto_lake: Lake, tmp_path: Path
) -> None:
    venue = open_venue(ExchangeConfig(seed=53, symbols=MARKETS))
    symbols = list(listed_instruments(MARKETS))
    run_python("-m", "tickhouse", "provision", "--cells", "2")
    with servers(tmp_path, moto_lake) as (one, two):
        with loaders(tmp_path, one, two), shards(2, symbols, of(two)):
            with shards(2, symbols, of(one)):
                wait_until(lambda: one.symbols() | two.symbols() == set(symbols), "rows of each market", patience(90))
            names = {Shard(number, 3, FIRST).instance("main") for number in (1, 2, 3)}
            with shards(3, symbols, of(one)):
                wait_until(partial(one.is_recorded_by, names), "books of three shards", patience(90))
        for pipeline in (one, two):
            run_python("-m", "load_process", "--drain", environment=pipeline.environment)
            run_python("-m", "tickhouse", "audit", "--footers", environment=pipeline.environment)

        assert one.symbols().isdisjoint(two.symbols())
        assert one.symbols() | two.symbols() == set(symbols)
        for pipeline in (one, two):
            assert pipeline.symbols() == {symbol for symbol in symbols if is_of(pipeline.cell, symbol)}
            for symbol in sorted(pipeline.symbols()):
                for channel, stream, view, first, last in STREAMS:
                    rows = pipeline.query(f"select {first}, {last} from {view} where symbol = '{symbol}' order by {last}")
                    held = {number for low, high in rows for number in range(int(low), int(high) + 1)}
                    assert len(rows) == len({high for _, high in rows}), "nothing twice"
                    gaps = ids_in_events(pipeline.store, "gap", channel, symbol)
                    assert held | gaps == set(range(min(held), max(held) + 1)), f"{channel} of {symbol}: recorded, or a gap"
                    sent = venue.exchange.tally()["sockets"]["streams"][f"{symbol.lower()}@{stream}"]
                    assert min(held) <= sent["first_id"] + FEW
        assert not events_of(two.store, "gap"), "what happens in one cell is nothing to the other"
        assert {row["cause"] for row in events_of(one.store, "gap")} <= {"restart"}


def is_of(cell: Cell, symbol: str) -> bool:
    return any(Shard(number, 2, cell).has("binance", symbol) for number in (1, 2))


def of(pipeline: Pipeline) -> Lake:
    return Lake(pipeline.store, pipeline.environment)


@contextmanager
def servers(folder: Path, lake: Lake) -> Iterator[tuple[Pipeline, Pipeline]]:
    """A ClickHouse for each cell, with the schema."""
    if not STAND_IN.exists():
        pytest.skip(f"no ClickHouse server: {STAND_IN} is not there")
    with ExitStack() as stack:
        made = []
        for cell in (FIRST, SECOND):
            settings = WarehouseSettings(host="127.0.0.1", port=free_port(), password="secret")
            data = folder / f"server-{cell.number}"
            data.mkdir()
            server = ClickHouseServer(settings, data)
            stack.callback(server.stop)
            server.start()
            where = {"CLICKHOUSE_HOST": settings.host, "CLICKHOUSE_PORT": str(settings.port), "CLICKHOUSE_PASSWORD": "secret"}
            environment = lake.environment | where | {"TICKHOUSE_CELL": str(cell)}
            run_python("-m", "tickhouse", "provision", "--warehouse", environment=environment)
            made.append(Pipeline(cell, server, S3Store(f"{lake.store.bucket}{cell.suffix}"), environment))
        yield made[0], made[1]


@contextmanager
def loaders(folder: Path, *pipelines: Pipeline) -> Iterator[None]:
    """A loader for each cell, ended cleanly."""
    with ExitStack() as stack:
        started = []
        for one in pipelines:
            log = stack.enter_context((folder / f"loader-{one.cell.number}.log").open("w+", encoding="utf-8"))
            environment = os.environ | {"PYTHONPATH": str(SOURCES)} | one.environment
            command = [sys.executable, "-m", "load_process"]
            started.append((stack.enter_context(ChildProcess(command, env=environment, stderr=log)), log))
        try:
            yield
        finally:
            for loader, _ in started:
                loader.send_signal(signal.SIGTERM)
            codes = [loader.wait(timeout=patience(60)) for loader, _ in started]
        for code, (_, log) in zip(codes, started, strict=True):
            log.seek(0)
            assert code == 0, log.read()[-4_000:]

"""Two real ClickHouse replicas on loopback: chDB's engine joined by Debian's ZooKeeper, with the schema that users print.

They are made of components beside the checkout (`.ci/cluster` prepares them; its README says what is real). What is not: ON
CLUSTER, a Keeper, and the port between the replicas.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Lake
from tests.waiting import patience, wait_until

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import on_cluster, read_schema

from ..load_process.conftest import start_loader  # noqa: F401  # a fixture that is needed here too
from .sites import REPLICATED, Site

ROOT = Path(__file__).resolve().parents[3]
PARTS = ROOT.parent / "shared" / "offline" / "cluster"
HASH = ROOT / "build" / "replicas" / "libcitychain.so"


@dataclass
class Replicas:
    """Replicas 1 and 2. Data lags at will; either can be killed and comes back with what it had."""

    home: Path
    ports: dict[int, int]

    def settings(self, number: int) -> WarehouseSettings:
        return WarehouseSettings(host="127.0.0.1", port=self.ports[number])

    @contextmanager
    def connected(self, number: int) -> Iterator[Warehouse]:
        with closing(connect(self.settings(number))) as warehouse:
            yield warehouse

    def environment(self, number: int) -> dict[str, str]:
        """Of a process that works on that replica."""
        return {"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_PORT": str(self.ports[number])}

    @contextmanager
    def lag(self) -> Iterator[None]:
        """Neither gets the other's rows until the end; both know that there are some."""
        marks = [self.home / f"r{number}.paused" for number in self.ports]
        for mark in marks:
            mark.touch()
        try:
            yield
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)

    def kill(self, number: int) -> None:
        """ZooKeeper takes it for alive for another half a minute."""
        run("stop.sh", "-9", f"r{number}", home=self.home)

    def start(self, number: int) -> None:
        run("process.sh", f"r{number}", home=self.home)

    def lose(self, number: int) -> None:
        """Its machine with its disk; another one stands there in its place, empty, once Keeper has given the old one up."""
        self.kill(number)
        shutil.rmtree(self.home / f"r{number}")
        self.start(number)
        with self.connected(3 - number) as other:
            wait_until(lambda: _dropped(other, f"r{number}"), f"Keeper forgets r{number}", seconds=60)

    def settle(self) -> None:
        """Until both have everything."""
        for number in self.ports:
            with self.connected(number) as warehouse:
                for (table,) in warehouse.query(REPLICATED):
                    warehouse.command(f"system sync replica {table}", receive_timeout=round(patience(60)))

    def empty(self) -> None:
        self.settle()
        with self.connected(1) as warehouse:
            for (table,) in warehouse.query(
                "select name from system.tables where database = currentDatabase() and engine like '%MergeTree' "
                "and total_rows > 0 and name != 'ops_schema_migrations'"
            ):
                warehouse.command(f"truncate table {table}")
        self.settle()


def _dropped(warehouse: Warehouse, replica: str) -> bool:
    """Whether no table knows that replica any longer; one that Keeper takes for alive cannot be dropped yet."""
    try:
        warehouse.command(f"system drop replica '{replica}' from database crypto")
    except WarehouseRefused as error:
        assert "TABLE_WAS_NOT_DROPPED" in str(error)  # noqa: PT017  # every other refusal fails the test
        return False
    return True


def run(script: str, *arguments: str, home: Path) -> None:
    """One of the component's scripts, with a ZooKeeper and replicas whose files are in `home`."""
    environment = os.environ | {"CLUSTER_HOME": str(home), "CHDB_PYTHON": sys.executable}
    done = subprocess.run(
        [PARTS / script, *arguments], env=environment, capture_output=True, text=True, timeout=patience(120), check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]


@pytest.fixture(scope="session")
def _replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    jar = Path("/usr/share/java/zookeeper.jar")
    for needed in (PARTS / "start.sh", HASH, jar):
        if not needed.exists():
            pytest.skip(f"no two replicas of ClickHouse: {needed} is not there (.ci/cluster prepares what can be)")
    home = tmp_path_factory.mktemp("replicas")
    shutil.copy(HASH, home)
    run("start.sh", home=home)
    try:
        found = Replicas(home, _ports(home))
        _make_tables(found)
        yield found
    finally:
        run("stop.sh", "-9", home=home)


def _ports(home: Path) -> dict[int, int]:
    words = (home / "cluster.env").read_text(encoding="utf-8").split()
    values = dict(word.split("=", 1) for word in words if "=" in word)
    return {number: int(values[f"HTTP{number}"]) for number in (1, 2)}


def _make_tables(replicas: Replicas) -> None:
    """As printed for a cluster, each statement on both replicas: the engine as a library has nobody to carry ON CLUSTER out.

    The next statement waits for both: a replica that creates a table must find the columns that Keeper has of it.
    """
    for number in replicas.ports:
        settings = replicas.settings(number)
        with closing(connect(settings, database="default")) as server:
            server.command(f"create database {settings.database}")
    statements = [statement for migration in read_schema() for statement in migration.statements]
    with replicas.connected(1) as first, replicas.connected(2) as second:
        for statement in statements:
            for warehouse in (first, second):
                warehouse.command(on_cluster(statement, "main").replace(" on cluster 'main'", "", 1))
        for warehouse in (first, second):
            for (table,) in warehouse.query(REPLICATED):  # after a lag a fetch is tried again at once
                warehouse.command(f"alter table {table} modify setting max_postpone_time_for_failed_replicated_fetches_ms = 100")


@pytest.fixture
def replicas(_replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """Both with empty tables; the environment points at the first."""
    for name, value in _replicas.environment(1).items():
        monkeypatch.setenv(name, value)
    yield _replicas
    _replicas.empty()


@pytest.fixture
def site(replicas: Replicas, moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(replicas, moto_lake, monkeypatch)

"""A replica that comes later: an empty server in the place of a lost one."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.commands import run_here

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import apply_retention, on_cluster, statement_that_creates

from .conftest import Replicas
from .sites import Site

BY_UUID = (
    "create table by_uuid uuid '4a6b2f0e-7c1d-4e0a-9b57-0f1f8f6f2a11' (a UInt8) "
    "engine = ReplicatedMergeTree('zk1:/by/{uuid}', '{replica}') order by a"
)
"""With ClickHouse's usual path in Keeper."""


@pytest.fixture
def altered(replicas: Replicas) -> Iterator[None]:
    """Bronze is kept for 30 days, and there is a table more: no schema file says so."""
    with replicas.connected(1) as warehouse:
        apply_retention(warehouse, 30)
        warehouse.command(BY_UUID)
        warehouse.command("insert into by_uuid values (1), (2)")
    yield
    for number in replicas.ports:
        with replicas.connected(number) as warehouse:
            warehouse.command("drop table if exists by_uuid sync")
    with replicas.connected(1) as warehouse:
        apply_retention(warehouse, None)


def as_created(warehouse: Warehouse) -> dict[str, str]:
    """Statements by name. Replica 2 knows Keeper by another name, which is so in these tests alone."""
    rows = warehouse.query("select name, create_table_query from system.tables where database = currentDatabase()")
    return {str(name): str(statement).replace("'zk1:", "'zk2:") for name, statement in rows}


def test_an_empty_server_joins_with_the_tables_as_they_are_now(site: Site, altered: None) -> None:
    replicas = site.replicas
    site.land(5)
    site.load(1)
    replicas.lose(2)
    site.work_on(1)
    text = run_here("transform_process.migrate", "--print-for-replica").stdout.replace("'zk1:", "'zk2:")
    create_database, *statements = [found for part in text.split(";\n\n") if (found := part.strip())]
    with closing(connect(replicas.settings(2), database="default")) as server:
        server.command(create_database)
    with replicas.connected(1) as old, replicas.connected(2) as new:
        for table in ("bronze_klines", "stored_ohlcv"):  # what the files say is refused: TTL (342) and columns (122)
            with pytest.raises(WarehouseRefused, match="in ZooKeeper"):
                new.command(on_cluster(statement_that_creates(table), "main").replace(" on cluster 'main'", "", 1))
        for statement in statements:
            new.command(statement)
        assert as_created(new) == as_created(old)
        site.assert_exact()
        assert new.query("select groupArray(a) from by_uuid") == [([1, 2],)]
    assert site.move(2) == 2
    site.land(1)
    site.load(2)
    site.assert_exact()

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here

from transform_process.migrate import on_cluster, read_schema

if TYPE_CHECKING:
    from tickhouse_core.warehouse import Warehouse

STATEMENTS = [statement for migration in read_schema() for statement in migration.statements]
assert STATEMENTS


def formatted(warehouse: Warehouse, sql: str) -> str:
    """The statement as the engine's own parser understood it; a refusal of the parser travels."""
    return str(warehouse.query("select formatQuerySingleLine({sql:String})", {"sql": sql})[0][0])


def test_every_statement_is_understood_by_the_engine_as_one_for_the_whole_cluster(warehouse: Warehouse) -> None:
    for statement in STATEMENTS:
        text = formatted(warehouse, on_cluster(statement, "main"))
        assert " ON CLUSTER main " in text or " ON CLUSTER `main` " in text or " ON CLUSTER 'main' " in text, statement


def test_every_table_replicates_and_remembers_tokens_as_long_as_messages_live(warehouse: Warehouse) -> None:
    for statement in STATEMENTS:
        single, cluster = formatted(warehouse, statement), formatted(warehouse, on_cluster(statement, "main"))
        assert ("ENGINE = Replicated" in cluster) == ("ENGINE = " in single), statement
        assert ("replicated_deduplication_window_seconds = 1209600" in cluster) == (
            "non_replicated_deduplication_window" in single
        ), statement
        assert "non_replicated" not in cluster


def test_nothing_else_is_changed(warehouse: Warehouse) -> None:
    sql = "create table if not exists t (a UInt8 comment 'engine = MergeTree') \nengine = ReplacingMergeTree(a)\norder by a"
    assert on_cluster(sql, "c") == (
        "create table if not exists t on cluster 'c' (a UInt8 comment 'engine = MergeTree') \n"
        "engine = ReplicatedReplacingMergeTree(a)\norder by a"
    )
    assert formatted(warehouse, on_cluster(sql, "c"))


def test_a_statement_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a create nor an alter"):
        on_cluster("drop table klines", "main")


def test_a_warehouse_that_does_not_replicate_has_no_further_replica(warehouse: Warehouse) -> None:
    done = run_here("transform_process.migrate", "--print-for-replica")
    assert done.returncode == 2
    assert "do not replicate: set CLICKHOUSE_HOST to a replica" in done.stderr
    assert not done.stdout

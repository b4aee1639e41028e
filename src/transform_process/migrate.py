"""Applies sql/clickhouse/schema/NNNN_*.sql in order, each once, and RETENTION_* to bronze: `python -m transform_process.migrate`.

`--print-for-cluster` prints the statements as a cluster of ClickHouse servers wants them: ON CLUSTER, with tables that
replicate. ClickHouse Cloud replicates by itself and takes the files as they are.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tickhouse_core.command_line import with_data_folder
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import UsageError, WarehouseRefused
from tickhouse_core.lifecycle import run_command
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import RetentionSettings, WarehouseSettings, read
from tickhouse_core.starting import start
from tickhouse_core.warehouse import Warehouse, connect

log = logging.getLogger(__name__)

_FIRST_UNRELEASED = "0001_create_ops_schema_migrations.sql"
_END_OF_STATEMENT = re.compile(r";[ \t]*$", re.MULTILINE)
_TABLE = re.compile(r"^(create (?:table|view|materialized view) if not exists \w+|alter table \w+)", re.MULTILINE)
_ENGINE = re.compile(r"^engine = (\w*MergeTree)", re.MULTILINE)
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
TOKEN_SECONDS = 1_209_600
"""How long a replica remembers the token of an insert: as long as SQS keeps a message, since a retry may come that late.

The server's own default is an hour. A table that does not replicate remembers by number only.
"""

_TTL = re.compile(r"\bTTL (.+?)(?: SETTINGS |$)")
_OURS = re.compile(r"toDateTime\(load_time\) \+ toIntervalDay\((\d+)\)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema file. A statement ends with the line that ends with a semicolon."""

    version: int
    name: str
    sql: str

    @property
    def statements(self) -> list[str]:
        """The statements without semicolons; each is safe to repeat."""
        return [found for part in _END_OF_STATEMENT.split(self.sql) if (found := part.strip())]

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(settings: WarehouseSettings, retention: RetentionSettings | None = None) -> int:
    """Creates the database if needed and brings it to the newest schema; returns how many files were applied.

    `retention` sets or removes the TTL of the bronze tables; without it they stay unchanged.
    A file that was interrupted is applied again from its first statement. Raises WarehouseRefused when a file that was applied
    here has been edited since (a fix is the next number), for an engine's folder of a newer version, and for a database of
    before the first release.
    """
    server = connect(settings, database="default", creates=True)
    server.command(f"create database if not exists {settings.database}")  # a name the settings have checked
    server.close()
    warehouse = connect(settings)
    try:
        applied = _applied(warehouse)
        _refuse_unreleased(settings.database, applied)
        migrations = list(read_migrations())
        _refuse_other_versions(settings, migrations, applied)
        count = sum(_apply(warehouse, migration, applied) for migration in migrations)
        if count:
            log.info("schema applied", extra={"files": count, "database": settings.database})
        if retention is not None:
            apply_retention(warehouse, retention.bronze_days)
        return count
    finally:
        warehouse.close()


def read_migrations(folder: Path = SQL_ROOT / "schema") -> Iterator[Migration]:
    """The schema files by number."""
    for path in sorted(folder.glob("[0-9]*_*.sql")):
        yield Migration(int(path.name.split("_")[0]), path.name, path.read_text(encoding="utf-8").strip())


def statement_that_creates(name: str) -> str:
    """The statement of a table or view. KeyError if there is none."""
    for migration in read_migrations():
        for statement in migration.statements:
            if re.search(rf"^create [a-z ]+ if not exists {name}\b", statement, re.MULTILINE):
                return statement
    raise KeyError(name)


def _refuse_unreleased(database: str, applied: Mapping[str, str]) -> None:
    """Before the first release there was a file for each statement. Raises WarehouseRefused for a database made by those."""
    if _FIRST_UNRELEASED in applied:
        raise WarehouseRefused(
            f"database {database} was made before the first release and cannot be brought up to date: "
            "set CLICKHOUSE_DATABASE to a new name, run `tickhouse provision --warehouse`, load the lake: "
            "`python -m load_process.reconcile`"
        )


def _refuse_other_versions(settings: WarehouseSettings, migrations: Sequence[Migration], applied: Mapping[str, str]) -> None:
    """Raises WarehouseRefused for tables that are not those of these files, and an engine's folder of a newer tickhouse.

    A server of a newer one is left alone: its older processes go on while it is upgraded.
    """
    edited = [one.name for one in migrations if applied.get(one.name, one.checksum) != one.checksum]
    if settings.path is None:
        if edited:
            raise WarehouseRefused(f"{edited[0]} was edited after it was applied here: restore it, add the next number")
        return
    anew = f"or move {settings.path} away: the lake can be loaded into a new one (`tickhouse migrate`, `tickhouse reconcile`)"
    if edited:
        raise WarehouseRefused(
            f"the tables of {settings.path} are not those of this version ({edited[0]} was edited after it was applied "
            f"here): use the version that made them, {anew}"
        )
    if unknown := sorted(applied.keys() - {one.name for one in migrations}):
        raise WarehouseRefused(f"{settings.path} was made by a newer tickhouse ({unknown[0]}): use that one, {anew}")


def _apply(warehouse: Warehouse, migration: Migration, applied: Mapping[str, str]) -> bool:
    if migration.name in applied:
        return False
    for statement in migration.statements:
        warehouse.command(statement)
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    warehouse.insert_rows("ops_schema_migrations", [row])
    log.debug("schema file applied", extra={"file": migration.name})
    return True


def _applied(warehouse: Warehouse) -> dict[str, str]:
    """Checksums by file name."""
    if not warehouse.query("select 1 from system.tables where database = currentDatabase() and name = 'ops_schema_migrations'"):
        return {}
    return dict(warehouse.query("select name, checksum from ops_schema_migrations final"))  # type: ignore[arg-type]


def print_schema(cluster: str) -> None:
    """All statements, for clickhouse-client --multiquery on any of the servers. Raises UsageError for an odd name."""
    if not re.fullmatch(r"[\w{}.-]+", cluster):
        raise UsageError(f"--print-for-cluster {cluster!r}: a cluster's name has letters, digits, _, - and dots only")
    for migration in read_migrations():
        print(f"-- {migration.name}\n")
        for statement in migration.statements:
            print(f"{on_cluster(statement, cluster)};\n")


def on_cluster(sql: str, cluster: str) -> str:
    """One statement of sql/clickhouse/schema for all servers of the cluster. ValueError for one it does not know."""
    named, count = _TABLE.subn(rf"\1 on cluster '{cluster}'", sql, count=1)
    if not count:
        raise ValueError(f"neither a create nor an alter: {sql[:80]!r}")
    replicated = _ENGINE.sub(r"engine = Replicated\1", named)
    remembers = rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {TOKEN_SECONDS}"
    return _WINDOW.sub(remembers, replicated)


def apply_retention(warehouse: Warehouse, bronze_days: int | None) -> int:
    """Returns how many tables changed: a table whose TTL is right is not touched, for a change rewrites its parts."""
    return sum(_set_ttl(warehouse, dataset.bronze_table, bronze_days) for dataset in DATASETS)


def _set_ttl(warehouse: Warehouse, table: str, days: int | None) -> bool:
    ((engine,),) = warehouse.query(
        "select engine_full from system.tables where database = currentDatabase() and name = {table:String}", {"table": table}
    )
    present = _TTL.search(str(engine))
    ours = _OURS.fullmatch(present.group(1)) if present else None
    if (int(ours.group(1)) if ours else None) == days and (present is None) == (days is None):
        return False
    if days is None:
        warehouse.command(f"alter table {table} remove ttl")
    else:
        warehouse.command(f"alter table {table} modify ttl toDateTime(load_time) + toIntervalDay({days:d})")
    log.info("retention set", extra={"table": table, "days": days if days is not None else "unlimited"})
    return True


@with_data_folder()
def main(
    print_for_cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Print the schema for this cluster of servers, replicated; apply nothing."),
    ] = None,
) -> None:
    """Bring the warehouse named by CLICKHOUSE_* to the newest schema and to the retention named by RETENTION_*."""

    def work() -> None:
        if print_for_cluster is not None:
            print_schema(print_for_cluster)
            return
        count = migrate(read(WarehouseSettings), read(RetentionSettings))
        print(f"{count} schema files applied" if count else "the schema is up to date")

    run_command(work)


if __name__ == "__main__":
    start(main)

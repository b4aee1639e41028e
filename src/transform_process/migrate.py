"""Brings a warehouse to this version's schema, and bronze to RETENTION_*: `python -m transform_process.migrate`.

Files of sql/clickhouse/schema are applied in order, each once; then those of sql/clickhouse/views, which only compute: all of
them, again whenever one has changed or a table is new. `--print-for-cluster` prints them as a cluster of ClickHouse servers
wants them: ON CLUSTER, with tables that replicate. ClickHouse Cloud replicates by itself and takes the files as they are.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
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
from transform_process.replica_schema import print_replica

log = logging.getLogger(__name__)

VIEWS = "views"
"""The name under which ops_schema_migrations has the checksum of sql/clickhouse/views."""

_FIRST_UNRELEASED = "0001_create_ops_schema_migrations.sql"
_NOW_VIEWS = frozenset({"0009_accounting.sql", "0012_interval_views.sql", "0014_quality.sql", "0015_risk.sql"})
"""Their statements moved to sql/clickhouse/views. A warehouse may have them applied; no other file takes their numbers."""

_BEFORE_VIEWS = {
    "0013_book.sql": "ed84510e1f51c8c269191e5b2a663f068de3e81a9cfec29ce1ae16575bbe6200",
    "0016_portfolio.sql": "a81c93e738814fd6ee6c4ea9d86e71c13030f71285a4dc9ce4e37f3c5e194685",
    "0017_markets.sql": "bf6a7f765234561bb0c282e111613176781b949d6ef6d9cc59cfd30e8a2d1e73",
    "0021_quotes.sql": "e8a35296330567ff7ee838ceb5e1b1d5967f09e2f4ae4e9cb96916a6d70842d9",
}
"""Checksums of files whose views moved to sql/clickhouse/views: the tables are the same."""

_END_OF_STATEMENT = re.compile(r";[ \t]*$", re.MULTILINE)
_TABLE = re.compile(
    r"^(create (?:table|view|materialized view) if not exists \w+|create or replace view \w+|alter table \w+)", re.MULTILINE
)
_CREATED = re.compile(r"^create (?:[a-z ]+ if not exists|or replace view) (\w+)", re.MULTILINE)
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
    """One schema file, or all views. A statement ends with the line that ends with a semicolon."""

    version: int
    name: str
    sql: str
    tables: str = ""
    """Of the views: checksums of the files that make what they read. A view keeps the columns that its tables had."""

    @property
    def statements(self) -> list[str]:
        """The statements without semicolons; each is safe to repeat."""
        return [found for part in _END_OF_STATEMENT.split(self.sql) if (found := part.strip())]

    @property
    def created(self) -> list[str]:
        """Names of its tables and views, in the order of their creation."""
        return [name for statement in self.statements for name in _CREATED.findall(statement)]

    @property
    def checksum(self) -> str:
        return hashlib.sha256((self.tables + self.sql).encode()).hexdigest()


def migrate(settings: WarehouseSettings, retention: RetentionSettings | None = None) -> int:
    """Creates the database if needed and brings it to the newest schema; returns how many files were applied, all views as one.

    `retention` sets or removes the TTL of the bronze tables; without it they stay unchanged.
    A file that was interrupted is applied again from its first statement. Several processes may do this at once.
    Raises WarehouseRefused when a file that was applied here has been edited since (a fix is the next number), for an engine's
    folder of a newer version, and for a database of before the first release.
    """
    server = connect(settings, database="default", creates=True)
    server.command(f"create database if not exists {settings.database}")  # a name the settings have checked
    server.close()
    warehouse = connect(settings)
    try:
        applied = _applied(warehouse)
        _refuse_unreleased(settings.database, applied)
        _refuse_other_versions(settings, applied)
        missing = missing_from(applied)
        for migration in missing:
            _apply(warehouse, migration)
        if missing:
            log.info("schema applied", extra={"files": len(missing), "database": settings.database})
        if retention is not None:
            apply_retention(warehouse, retention.bronze_days)
        return len(missing)
    finally:
        warehouse.close()


def read_schema(root: Path = SQL_ROOT) -> list[Migration]:
    """The files of `schema` by number, then those of `views` as one, in the order of their names.

    A view may read those of an earlier file; no table reads a view.
    """
    tables = [
        Migration(int(path.name.split("_")[0]), path.name, path.read_text(encoding="utf-8").strip())
        for path in sorted(root.glob("schema/[0-9]*_*.sql"))
    ]
    views = [path.read_text(encoding="utf-8").strip() for path in sorted(root.glob("views/*.sql"))]
    return [*tables, Migration(0, VIEWS, "\n\n".join(views), "".join(table.checksum for table in tables))]


def missing_from(applied: Mapping[str, str]) -> list[Migration]:
    """What a warehouse lacks that has these checksums by name.

    Views of a newer tickhouse stay: they may read tables that these files do not make.
    """
    *tables, views = read_schema()
    missing = [table for table in tables if table.name not in applied]
    if applied.get(VIEWS) != views.checksum and not newer_than_this(applied):
        missing.append(views)
    return missing


def newer_than_this(applied: Iterable[str]) -> list[str]:
    """Files among these names that this tickhouse does not know."""
    return sorted(set(applied) - {one.name for one in read_schema()} - _NOW_VIEWS)


def statement_that_creates(name: str) -> str:
    """The statement of a table or view. KeyError if there is none."""
    for statement in (statement for migration in read_schema() for statement in migration.statements):
        if name in _CREATED.findall(statement):
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


def _refuse_other_versions(settings: WarehouseSettings, applied: Mapping[str, str]) -> None:
    """Raises WarehouseRefused for tables that are not those of these files, and an engine's folder of a newer tickhouse.

    A server of a newer one is left alone: its older processes go on while it is upgraded.
    """
    *tables, _ = read_schema()
    edited = [one.name for one in tables if applied.get(one.name) not in (None, one.checksum, _BEFORE_VIEWS.get(one.name))]
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
    if newer := newer_than_this(applied):
        raise WarehouseRefused(f"{settings.path} was made by a newer tickhouse ({newer[0]}): use that one, {anew}")


def _apply(warehouse: Warehouse, migration: Migration) -> None:
    for statement in migration.statements:
        warehouse.command(statement)
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    warehouse.insert_rows("ops_schema_migrations", [row])
    log.debug("schema file applied", extra={"file": migration.name})


def _applied(warehouse: Warehouse) -> dict[str, str]:
    """Checksums by file name."""
    if not warehouse.query("select 1 from system.tables where database = currentDatabase() and name = 'ops_schema_migrations'"):
        return {}
    return dict(warehouse.query("select name, checksum from ops_schema_migrations final"))  # type: ignore[arg-type]


def print_schema(cluster: str) -> None:
    """All statements, for clickhouse-client --multiquery on any of the servers. Raises UsageError for an odd name."""
    if not re.fullmatch(r"[\w{}.-]+", cluster):
        raise UsageError(f"--print-for-cluster {cluster!r}: a cluster's name has letters, digits, _, - and dots only")
    for migration in read_schema():
        print(f"-- {migration.name}\n")
        for statement in migration.statements:
            print(f"{on_cluster(statement, cluster)};\n")


def on_cluster(sql: str, cluster: str) -> str:
    """One statement of sql/clickhouse/schema or views for all servers of the cluster. ValueError for one it does not know."""
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
    print_for_replica: Annotated[
        bool,
        typer.Option(
            "--print-for-replica", help="Print what makes another replica of the server at CLICKHOUSE_HOST; apply nothing."
        ),
    ] = False,
) -> None:
    """Bring the warehouse to the newest schema, and apply the retention of RETENTION_*."""

    def work() -> None:
        if print_for_replica:
            print_replica(read(WarehouseSettings), [name for one in read_schema() for name in one.created])
            return
        if print_for_cluster is not None:
            print_schema(print_for_cluster)
            return
        count = migrate(read(WarehouseSettings), read(RetentionSettings))
        print(f"{count} schema files applied" if count else "the schema is up to date")

    run_command(work)


if __name__ == "__main__":
    start(main)

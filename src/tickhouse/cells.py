"""`tickhouse cells`: what a ClickHouse needs so that readers see the rows of all cells: a cluster, and a table for each view.

The tables are ClickHouse's Distributed: a query goes to each cell with its filters and aggregates, and a cell answers from
its own views. Nothing is stored or moved.
"""

from contextlib import closing
from typing import Annotated
from xml.sax.saxutils import escape

import typer

from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.starting import start
from tickhouse_core.warehouse import Warehouse, connect

CLUSTER = "tickhouse_cells"
PASSWORD_VARIABLE = "CLICKHOUSE_CELLS_PASSWORD"  # noqa: S105  # its name
USUAL_PORT = 9000
_TLS_PORT = 9440

_VIEWS = """
select name
from system.tables
where database = currentDatabase() and engine = 'View' and not startsWith(name, 'ops_') and empty(parameterized_view_parameters)
order by name
"""
"""Of the accounting each cell has its own, and a view with parameters is a query, not a table."""


def view_names(warehouse: Warehouse) -> list[str]:
    """The views that readers query, without those that take parameters."""
    return [str(name) for (name,) in warehouse.query(_VIEWS)]


def statements(names: list[str], database: str) -> list[str]:
    """DDL for a server that has one cell's schema and the cluster of `cluster_config`. Safe to repeat."""
    readers = f"{database}_cells"
    create = "create or replace table {readers}.{name} as {database}.{name} engine = Distributed({CLUSTER}, {database}, {name})"
    made = [create.format(readers=readers, name=name, database=database, CLUSTER=CLUSTER) for name in names]
    return [f"create database if not exists {readers}", *made]


def cluster_config(hosts: list[str], username: str) -> str:
    """A file for config.d: one shard a cell. The server reads the password from its own environment."""
    shards = "".join(_SHARD.format(host=escape(name), port=port, username=escape(username), secure=int(port == _TLS_PORT))
                     for name, port in map(_host_and_port, hosts))  # fmt: skip
    return f"<clickhouse>\n  <remote_servers>\n    <{CLUSTER}>\n{shards}    </{CLUSTER}>\n  </remote_servers>\n</clickhouse>\n"


_SHARD = f"""\
      <shard>
        <replica>
          <host>{{host}}</host>
          <port>{{port}}</port>
          <secure>{{secure}}</secure>
          <user>{{username}}</user>
          <password from_env="{PASSWORD_VARIABLE}"/>
        </replica>
      </shard>
"""


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, USUAL_PORT
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise UsageError(
            f"--host {text!r}: a host's name, or host:port with the native port ({USUAL_PORT}, or {_TLS_PORT} for TLS)"
        )
    return host, int(port)


def main(
    host: Annotated[
        list[str] | None,
        typer.Option(help="ClickHouse of a cell, host or host:port (native protocol); repeats."),
    ] = None,
    username: Annotated[str, typer.Option(help="Account in the cells that only reads.")] = "reader",
) -> None:
    """Print what readers of all cells need: with --host the cluster as XML for config.d, without it the tables as SQL."""

    def work() -> None:
        if host:
            print(cluster_config(host, username), end="")
            return
        settings = read(WarehouseSettings)
        with closing(connect(settings)) as warehouse:
            names = view_names(warehouse)
        if not names:
            raise UsageError(f"{settings.database} has no views: run `tickhouse provision --warehouse` first")
        print("".join(f"{statement};\n" for statement in statements(names, settings.database)), end="")

    run_command(work)


if __name__ == "__main__":
    start(main)

"""The front door for people: `tickhouse …`."""

import ast
import sys
from collections import UserDict
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from tickhouse.answers import JSON_FORMAT, JSON_SETTINGS, TABLE_FORMAT, json_lines, names_a_format, table_of, writes_unseen
from tickhouse_core.cells import ALONE, MOST_CELLS, Cell
from tickhouse_core.command_line import print_table, with_data_folder
from tickhouse_core.errors import UsageError, WarehouseReadOnly, WarehouseRefused
from tickhouse_core.folder_holder import other_holder
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import DataSettings, LakeSettings, PubSubSettings, RetentionSettings, WarehouseSettings, read
from tickhouse_core.starting import leave_out_pandas, run_to_the_end

_TEACHING = """Crypto market data: recorded to Parquet, loaded into ClickHouse exactly once, queryable in SQL.

Begin with [bold]tickhouse demo[/] (no network), or [bold]tickhouse local --symbol BTCUSDT[/] (the live market, on this
machine alone, kept in ./data). Both show http://localhost:8080. Query what it records, meanwhile or later:
[bold]tickhouse query --data data "select * from trades limit 5"[/].

If something is wrong: [bold]tickhouse status[/] shows where, [bold]tickhouse doctor[/] prints the fix.
"""
_START, _LOOK, _RUN, _OPERATE = "Start here", "Look", "Run: one process each", "Operate"

_MODULES = {
    "local": ("tickhouse.local", _START),
    "status": ("tickhouse.status", _LOOK),
    "page": ("status_page.__main__", _LOOK),
    "doctor": ("tickhouse.doctor", _LOOK),
    "audit": ("tickhouse.audit", _LOOK),
    "export": ("tickhouse.export.command", _LOOK),
    "checks": ("transform_process.checks", _LOOK),
    "klines": ("extract_process.klines", _RUN),
    "trades": ("extract_process.trades", _RUN),
    "funding": ("extract_process.funding", _RUN),
    "open-interest": ("extract_process.open_interest", _RUN),
    "stream": ("extract_process.stream", _RUN),
    "load": ("load_process.__main__", _RUN),
    "transform": ("transform_process.__main__", _RUN),
    "mirror": ("extract_process.mirror.__main__", _RUN),
    "mirror-check": ("extract_process.mirror_check", _OPERATE),
    "migrate": ("transform_process.migrate", _OPERATE),
    "reconcile": ("load_process.reconcile", _OPERATE),
    "redrive": ("load_process.redrive", _OPERATE),
    "clear": ("tickhouse.clear", _OPERATE),
    "compact": ("tickhouse.compact.command", _OPERATE),
    "catalog": ("tickhouse.catalog.command", _OPERATE),
    "failover": ("tickhouse.failover", _OPERATE),
    "cells": ("tickhouse.cells", _OPERATE),
    "keep": ("tickhouse.localstack_restore", _OPERATE),
}
"""Commands that are their module's `main`."""

_FETCHED = {"klines": "klines", "trades": "trades", "funding": "funding_rates", "open-interest": "open_interest"}
"""Commands that fetch history, each with its dataset: in a data folder they load what they fetched."""


class _OnDemand(UserDict[str, Any]):
    """Commands by name; a module is imported when its command is asked for: all of them together take a second.

    While they are only `listed`, a command has nothing but its help, which is read from the module's text.
    """

    listed = False

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if not isinstance(found, tuple):
            return found
        module, panel = found
        info = CommandInfo(name=name, callback=_listed if self.listed else _command(name, module), rich_help_panel=panel)
        info.help = _help_of(module) if self.listed else None
        command = get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode="rich")
        if not self.listed:
            self.data[name] = command
        return command


def _listed() -> None:
    """In place of a command that is not run."""


def _command(name: str, module: str) -> Callable[..., None]:
    main: Callable[..., None] = import_module(module).main
    if name not in _FETCHED:
        return main
    from tickhouse.load_after import with_load_after

    return with_load_after(main, _FETCHED[name])


def _help_of(module: str) -> str:
    """The docstring of the module's `main`."""
    spec = find_spec(module)
    assert spec is not None, f"{module} is one of ours"
    assert spec.origin is not None, f"{module} is a file"
    functions = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    main = next(found for found in functions if isinstance(found, ast.FunctionDef) and found.name == "main")
    return ast.get_docstring(main) or ""


class _Commands(TyperGroup):
    commands: _OnDemand

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        (demo, command), *others = self.commands.items()
        self.commands = _OnDemand({demo: command, **_MODULES, **dict(others)})

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.commands.listed = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands.listed = False


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=_TEACHING)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"tickhouse {version_of('tickhouse')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Only `--version` is the program's own; everything else belongs to a command."""


@app.command(rich_help_panel=_START)
def demo(
    duration: Annotated[float, typer.Option(min=0, help="Seconds in total; live recording gets what the backfill leaves.")] = 60,
) -> None:
    """The whole pipeline on this machine against a simulated exchange, with the status page: no Docker, no network."""

    def work() -> None:
        from tickhouse.demo import run_demo

        with stop_on_signals() as stop:
            run_demo(stop, duration)

    run_command(work)


@app.command(rich_help_panel=_OPERATE)
@with_data_folder()
def provision(
    aws: Annotated[bool, typer.Option("--aws", help="Only bucket, queues, dead-letter queues, notifications.")] = False,
    warehouse: Annotated[bool, typer.Option("--warehouse", help="Only the ClickHouse schema.")] = False,
    pubsub: Annotated[
        bool, typer.Option("--pubsub", help="Only the mirror's topics; without any option if Pub/Sub is configured.")
    ] = False,
    cells: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_CELLS, help="Buckets and queues of this many cells, nothing else."),
    ] = None,
) -> None:
    """Create bucket, queues, notifications, tables and topics; safe to repeat."""

    def work() -> None:
        if cells:
            _provision_cells(cells, is_alone=not (aws or warehouse or pubsub))
            return
        everything = not (aws or warehouse or pubsub)
        if aws or (everything and read(DataSettings).folder is None):
            from tickhouse.provision import provision_aws

            lake = read(LakeSettings)
            provision_aws(lake.bucket, read(RetentionSettings), lake.cell)
        if warehouse or everything:
            from transform_process.migrate import migrate

            migrate(read(WarehouseSettings), read(RetentionSettings))
        if pubsub or (everything and read(PubSubSettings).is_configured):
            from tickhouse.provision_pubsub import provision_pubsub

            provision_pubsub(read(PubSubSettings))

    run_command(work)


def _provision_cells(count: int, *, is_alone: bool) -> None:
    """The warehouse of a cell is another server each, so it is provisioned with the settings of its cell."""
    lake = read(LakeSettings)
    if not is_alone or read(DataSettings).folder is not None:
        raise UsageError("--cells makes buckets and queues of all cells: run it without --aws, --warehouse, --pubsub and --data")
    if lake.cell != ALONE:
        raise UsageError("--cells makes all cells: unset TICKHOUSE_CELL")
    from tickhouse.provision import provision_aws

    for cell in Cell(1, count).all:
        provision_aws(lake.bucket_of(cell), read(RetentionSettings), cell)
        print(f"TICKHOUSE_CELL={cell}: bucket {lake.bucket_of(cell)}, now its ClickHouse: tickhouse provision --warehouse")


@app.command(rich_help_panel=_LOOK, context_settings={"ignore_unknown_options": True})  # a query may begin with a comment: -- …
@with_data_folder(reads=True)
def query(
    sql: Annotated[str, typer.Argument(help="One select, for example: select count() from klines")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object per row, for scripts.")] = False,
    output_format: Annotated[
        str, typer.Option("--format", help="What ClickHouse writes in this format: CSVWithNames, Parquet, Vertical, …")
    ] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Allow statements that write, change settings, or read by file, url, s3 or remote.")
    ] = False,
) -> None:
    """Run one SQL query and print the rows: as a table on a terminal, else tab-separated with a header.

    It may only read, unless you add --write.
    """

    def work() -> None:
        from tickhouse_core.embedded_engine import statements_in
        from tickhouse_core.warehouse import connect, connect_asker, where_to_read

        if output_format and (json or not output_format.isidentifier()):
            raise UsageError(f"--format {output_format}: name one of ClickHouse's formats, such as CSVWithNames, and no --json")
        settings, output = read(WarehouseSettings), JSON_SETTINGS if json else {}
        if not write and (words := writes_unseen(sql)):
            raise WarehouseRefused(f"{words}: {_how_to_write(settings)}")
        try:
            with closing(connect(settings, restrictions=output) if write else connect_asker(settings, output)) as warehouse:
                if settings.path is not None and where_to_read(settings) == settings and statements_in(settings.path, sql) > 1:
                    raise UsageError("one statement at a time: the embedded engine would mix their answers")
                answer = warehouse.query_as(output_format or (JSON_FORMAT if json else TABLE_FORMAT), sql)
        except WarehouseReadOnly as error:
            raise error if write else WarehouseRefused(f"{error}: {_how_to_write(settings)}") from error
        except WarehouseRefused as error:
            if names_a_format(sql) and "Syntax error" in str(error):
                raise UsageError("a format is an option here: end the statement before `format`, and add --format") from error
            raise
        if output_format:
            sys.stdout.buffer.write(answer)
            return
        if json:
            for line in json_lines(answer):
                print(line)
            return
        print_table(*table_of(answer, null="NULL" if sys.stdout.isatty() else r"\N"))

    run_command(work)


def _how_to_write(settings: WarehouseSettings) -> str:
    holder = None if settings.path is None else other_holder(settings.path)
    if holder is None:
        return "`tickhouse query` only reads; to run this as it is, add --write"
    return f"`tickhouse query` only reads; to run this as it is, end {holder} first, then add --write"


def main() -> None:
    """The console script."""
    leave_out_pandas()
    run_to_the_end(app)


if __name__ == "__main__":
    main()

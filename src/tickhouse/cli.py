"""The front door for people: `tickhouse …`."""

import sys
from contextlib import closing
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from extract_process import mirror_check, stream
from extract_process.mirror import __main__ as mirror
from load_process import __main__ as load
from load_process import reconcile, redrive
from status_page import __main__ as page
from tickhouse import audit, clear, doctor, klines, local, localstack_restore, status
from tickhouse.answers import JSON_FORMAT, JSON_SETTINGS, TABLE_FORMAT, json_lines, table_of, writes_unseen
from tickhouse.demo import run_demo
from tickhouse.provision import provision_aws
from tickhouse_core.command_line import print_table, with_data_folder
from tickhouse_core.errors import WarehouseReadOnly, WarehouseRefused
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import DataSettings, LakeSettings, PubSubSettings, RetentionSettings, WarehouseSettings, read
from tickhouse_core.starting import leave_out_pandas
from tickhouse_core.warehouse import connect, connect_asker
from transform_process import __main__ as transform
from transform_process import checks, migrate

_TEACHING = """Crypto market data: recorded to Parquet, loaded into ClickHouse exactly once, queryable in SQL.

Begin with [bold]tickhouse demo[/] (no network), or [bold]tickhouse local --symbol BTCUSDT[/] (the live market, on this
machine alone, kept in ./data). Both show http://localhost:8080. Ask what it records, meanwhile or later:
[bold]tickhouse query --data data "select * from trades limit 5"[/].

Something is wrong? [bold]tickhouse status[/] says where, [bold]tickhouse doctor[/] says what to do.
"""
_ONLY_READS = "`tickhouse query` only reads; to run this as it is, add --write"
_START, _LOOK, _RUN, _OPERATE = "Start here", "Look", "Run: one process each", "Operate"

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=_TEACHING)


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
    duration: Annotated[float, typer.Option(min=0, help="Seconds in all; what the backfill leaves is live recording.")] = 60,
) -> None:
    """The whole pipeline on this machine against a simulated exchange, with the status page: no Docker, no network."""

    def work() -> None:
        with stop_on_signals() as stop:
            run_demo(stop, duration)

    run_command(work)


app.command("local", rich_help_panel=_START)(local.main)
app.command("status", rich_help_panel=_LOOK)(status.main)
app.command("page", rich_help_panel=_LOOK)(page.main)
app.command("doctor", rich_help_panel=_LOOK)(doctor.main)
app.command("audit", rich_help_panel=_LOOK)(audit.main)
app.command("checks", rich_help_panel=_LOOK)(checks.main)
app.command("klines", rich_help_panel=_RUN)(klines.main)
app.command("stream", rich_help_panel=_RUN)(stream.main)
app.command("load", rich_help_panel=_RUN)(load.main)
app.command("transform", rich_help_panel=_RUN)(transform.main)
app.command("mirror", rich_help_panel=_RUN)(mirror.main)
app.command("mirror-check", rich_help_panel=_OPERATE)(mirror_check.main)
app.command("migrate", rich_help_panel=_OPERATE)(migrate.main)
app.command("reconcile", rich_help_panel=_OPERATE)(reconcile.main)
app.command("redrive", rich_help_panel=_OPERATE)(redrive.main)
app.command("clear", rich_help_panel=_OPERATE)(clear.main)
app.command("keep", rich_help_panel=_OPERATE)(localstack_restore.main)


@app.command(rich_help_panel=_OPERATE)
@with_data_folder()
def provision(
    aws: Annotated[bool, typer.Option("--aws", help="Only bucket, queues, dead-letter queues, notifications.")] = False,
    warehouse: Annotated[bool, typer.Option("--warehouse", help="Only the ClickHouse schema.")] = False,
    pubsub: Annotated[
        bool, typer.Option("--pubsub", help="Only the mirror's topics; without any option if Pub/Sub is configured.")
    ] = False,
) -> None:
    """Create what the pipeline needs wherever the environment points; safe to repeat."""

    def work() -> None:
        everything = not (aws or warehouse or pubsub)
        if aws or (everything and read(DataSettings).folder is None):
            provision_aws(read(LakeSettings).bucket, read(RetentionSettings))
        if warehouse or everything:
            migrate.migrate(read(WarehouseSettings), read(RetentionSettings))
        if pubsub or (everything and read(PubSubSettings).is_configured):
            from tickhouse.provision_pubsub import provision_pubsub  # Google's client is loaded only here

            provision_pubsub(read(PubSubSettings))

    run_command(work)


@app.command(rich_help_panel=_LOOK, context_settings={"ignore_unknown_options": True})  # a query may begin with a comment: -- …
@with_data_folder(reads=True)
def query(
    sql: Annotated[str, typer.Argument(help="One select, for example: select count() from klines")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a row, for scripts.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Allow statements that write, change settings, or read by file, url, s3 or remote.")
    ] = False,
) -> None:
    """Run one SQL query on the warehouse: a table on a terminal, tab-separated lines with a header elsewhere.

    It only reads: the engine refuses everything else. With --write it does whatever the account may do.
    """

    def work() -> None:
        settings, output = read(WarehouseSettings), JSON_SETTINGS if json else {}
        if not write and (words := writes_unseen(sql)):
            raise WarehouseRefused(f"{words}: {_ONLY_READS}")
        try:
            with closing(connect(settings, restrictions=output) if write else connect_asker(settings, output)) as warehouse:
                answer = warehouse.query_as(JSON_FORMAT if json else TABLE_FORMAT, sql)
        except WarehouseReadOnly as error:
            raise error if write else WarehouseRefused(f"{error}: {_ONLY_READS}") from error
        if json:
            for line in json_lines(answer):
                print(line)
            return
        print_table(*table_of(answer, null="NULL" if sys.stdout.isatty() else r"\N"))

    run_command(work)


def main() -> None:
    """The console script."""
    leave_out_pandas()
    app()


if __name__ == "__main__":
    main()

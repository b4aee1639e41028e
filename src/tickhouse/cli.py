"""The front door for people: `tickhouse …`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from extract_process import klines, stream
from load_process import __main__ as load
from pipeline.lifecycle import run_command, stop_on_signals
from pipeline.settings import LakeSettings, WarehouseSettings, read
from pipeline.warehouse import connect
from tickhouse.demo import run_demo
from tickhouse.provision import provision_aws
from transform_process import __main__ as transform
from transform_process import checks, migrate

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Crypto market data, recorded and queryable.")
app.command("klines")(klines.main)
app.command("stream")(stream.main)
app.command("load")(load.main)
app.command("transform")(transform.main)
app.command("migrate")(migrate.main)
app.command("checks")(checks.main)


@app.command()
def provision(
    aws: Annotated[bool, typer.Option("--aws", help="Only bucket, queues, dead-letter queues, notifications.")] = False,
    warehouse: Annotated[bool, typer.Option("--warehouse", help="Only the ClickHouse schema.")] = False,
) -> None:
    """Create what the pipeline needs wherever the environment points; safe to repeat."""

    def work() -> None:
        if aws or not warehouse:
            provision_aws(read(LakeSettings).bucket)
        if warehouse or not aws:
            migrate.migrate(read(WarehouseSettings))

    run_command(work)


@app.command()
def demo() -> None:
    """The whole pipeline on this machine against a simulated exchange: no Docker, no account, no network."""

    def work() -> None:
        with stop_on_signals() as stop:
            run_demo(stop)

    run_command(work)


@app.command()
def query(sql: Annotated[str, typer.Argument(help="One select, for example: select count() from klines")]) -> None:
    """Run one SQL query on the warehouse: a table on a terminal, tab-separated lines with a header elsewhere."""

    def work() -> None:
        warehouse = connect(read(WarehouseSettings))
        names, rows = warehouse.query_table(sql)
        warehouse.close()
        if not sys.stdout.isatty():
            print(*("\t".join(map(str, line)) for line in [names, *rows]), sep="\n")
            return
        table = Table(*names)
        for row in rows:
            table.add_row(*map(str, row))
        Console().print(table)

    run_command(work)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()

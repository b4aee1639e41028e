"""The front door for people: `tickhouse …`."""

from typing import Annotated

import typer

from extract_process import klines, mirror, mirror_check, stream
from load_process import __main__ as load
from load_process import reconcile, redrive
from pipeline.lifecycle import run_command, stop_on_signals
from pipeline.settings import LakeSettings, PubSubSettings, RetentionSettings, WarehouseSettings, read
from pipeline.tables import print_table
from pipeline.warehouse import connect
from status_page import __main__ as page
from tickhouse import audit, clear, local
from tickhouse.demo import run_demo
from tickhouse.provision import provision_aws
from transform_process import __main__ as transform
from transform_process import checks, migrate

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Crypto market data, recorded and queryable.")
app.command("klines")(klines.main)
app.command("stream")(stream.main)
app.command("mirror")(mirror.main)
app.command("mirror-check")(mirror_check.main)
app.command("load")(load.main)
app.command("reconcile")(reconcile.main)
app.command("redrive")(redrive.main)
app.command("transform")(transform.main)
app.command("migrate")(migrate.main)
app.command("checks")(checks.main)
app.command("audit")(audit.main)
app.command("clear")(clear.main)
app.command("local")(local.main)
app.command("page")(page.main)


@app.command()
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
        if aws or everything:
            provision_aws(read(LakeSettings).bucket, read(RetentionSettings))
        if warehouse or everything:
            migrate.migrate(read(WarehouseSettings), read(RetentionSettings))
        if pubsub or (everything and read(PubSubSettings).is_configured):
            from tickhouse.provision_pubsub import provision_pubsub  # Google's client is loaded only here

            provision_pubsub(read(PubSubSettings))

    run_command(work)


@app.command()
def demo(
    duration: Annotated[float, typer.Option(min=0, help="Seconds: the rest of them a live market is recorded.")] = 60,
) -> None:
    """The whole pipeline on this machine against a simulated exchange, with the status page: no Docker, no network."""

    def work() -> None:
        with stop_on_signals() as stop:
            run_demo(stop, duration)

    run_command(work)


@app.command(context_settings={"ignore_unknown_options": True})  # a query may begin with a comment: -- …
def query(sql: Annotated[str, typer.Argument(help="One select, for example: select count() from klines")]) -> None:
    """Run one SQL query on the warehouse: a table on a terminal, tab-separated lines with a header elsewhere."""

    def work() -> None:
        warehouse = connect(read(WarehouseSettings))
        names, rows = warehouse.query_table(sql)
        warehouse.close()
        print_table(names, [tuple(map(str, row)) for row in rows])

    run_command(work)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()

"""The transformer's command: keeps gold fresh until a signal, or does one pass."""

import logging
from typing import Annotated

import typer

from tickhouse_core.command_line import with_data_folder
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.starting import start
from tickhouse_core.timestamps import SECOND_US
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.sql_files import read_sql
from transform_process.transformer import Transformer, TransformOptions

log = logging.getLogger(__name__)


@with_data_folder(reads=True)
def main(
    once: Annotated[bool, typer.Option("--once", help="Run one pass over the loaded data, then exit.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild everything from the first load.")] = False,
    lag_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Leave loads younger than this to the next pass: an insert becomes visible after its load_time. Default: 10; "
            "with --once all that is loaded, after 10 s if it is that young on a server.",
        ),
    ] = None,
    every_seconds: Annotated[float, typer.Option(min=0.1, help="Pause between passes.")] = 10.0,
) -> None:
    """Build gold tables from loaded data, until SIGTERM or SIGINT."""

    def work() -> None:
        settings = read(WarehouseSettings)
        lag = TransformOptions().lag_seconds if lag_seconds is None else lag_seconds
        is_alone = settings.path is not None  # nobody else writes into an embedded warehouse: what is loaded is visible
        if once and lag_seconds is None and is_alone:
            lag = 0.0
        options = TransformOptions(lag_seconds=lag, every_seconds=every_seconds, rebuild=rebuild)
        with stop_on_signals() as stop, serving_sql(settings):
            warehouse = connect(settings)
            try:
                if once and lag_seconds is None and not is_alone:
                    wait_for_youngest(warehouse, stop, lag)
                transformer = Transformer(warehouse, stop, options)
                if once:
                    log.info("pass done", extra={"built": transformer.run_pass()})
                else:
                    transformer.run()
            finally:
                warehouse.close()

    run_command(work)


def wait_for_youngest(warehouse: Warehouse, stop: StopRequest, lag_seconds: float) -> None:
    """Until everything that was loaded when the command began is older than the lag: one pass takes it all then."""
    [[young_us]] = warehouse.query(read_sql("transform/youngest_load.sql"))
    seconds = lag_seconds - (warehouse.now_us() - int(young_us)) / SECOND_US
    if seconds > 0:
        log.info("waiting for the youngest loads", extra={"seconds": round(seconds, 1), "lag_seconds": lag_seconds})
        stop.wait(seconds)


if __name__ == "__main__":
    start(main)

"""The transformer's command: keeps gold fresh until a signal, or does one pass."""

import logging
from typing import Annotated

import typer

from tickhouse_core.command_line import with_data_folder
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.starting import start
from tickhouse_core.warehouse import connect
from transform_process.transformer import Transformer, TransformOptions

log = logging.getLogger(__name__)


@with_data_folder()
def main(
    once: Annotated[bool, typer.Option("--once", help="Run one pass over the loaded data, then exit.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild everything from the first load.")] = False,
    lag_seconds: Annotated[
        float,
        typer.Option(
            min=0, help="Leave loads younger than this to the next pass: an insert becomes visible after its load_time."
        ),
    ] = 10.0,
    every_seconds: Annotated[float, typer.Option(min=0.1, help="Pause between passes.")] = 10.0,
) -> None:
    """Build gold tables from loaded data, until SIGTERM or SIGINT."""

    def work() -> None:
        options = TransformOptions(lag_seconds=lag_seconds, every_seconds=every_seconds, rebuild=rebuild)
        with stop_on_signals() as stop, serving_sql(read(WarehouseSettings)):
            warehouse = connect(read(WarehouseSettings))
            try:
                transformer = Transformer(warehouse, stop, options)
                if once:
                    log.info("pass done", extra={"built": transformer.run_pass()})
                else:
                    transformer.run()
            finally:
                warehouse.close()

    run_command(work)


if __name__ == "__main__":
    start(main)

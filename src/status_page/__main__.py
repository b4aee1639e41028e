"""The page's command: `python -m status_page`, until a signal."""

import logging
from typing import Annotated

import typer

from status_page.server import running_page
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.sql_door.serving import sharing_sql
from tickhouse_core.starting import start

log = logging.getLogger(__name__)


@with_data_folder(reads=True)
def main(
    host: Annotated[str | None, typer.Option(help="Where to listen; default STATUS_HOST, loopback.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default STATUS_PORT, 8080; 0: any free one.")] = None,
) -> None:
    """Serve the status page until SIGTERM or SIGINT. The page only reads."""

    def work() -> None:
        settings = read(StatusSettings)
        chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        with (
            stop_on_signals() as stop,
            sharing_sql(read(WarehouseSettings)),
            running_page(settings.model_copy(update=chosen)) as url,
        ):
            print(f"status page on {url}", flush=True)
            while not stop.wait(3600):
                pass

    run_command(work)


if __name__ == "__main__":
    start(main)

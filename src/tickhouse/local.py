"""`tickhouse local`: the live venue, recorded on this machine: no Docker, no account; lake and warehouse are kept in a folder."""

import logging
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated

import typer

from extract_process.live.options import StreamOptions
from extract_process.spool.micro_batch import BatchLimits
from extract_process.stream import DEFAULT_CHANNELS
from extract_process.venues import DEFAULT_VENUE, venue_named, venue_names
from load_process.reconcile import run_reconcile
from status_page.server import running_page
from tickhouse.embedded import bring_gold_up, data_folder, live_pipeline
from tickhouse_core.datasets import DATASETS
from tickhouse_core.files import locked_folder
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.options import one_of
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from transform_process.migrate import migrate

log = logging.getLogger(__name__)

BATCH_SECONDS = 3.0
"""Small objects, soon on the page: a laptop records a few symbols."""


def run_local(
    venue: str,
    symbols: list[str],
    channels: tuple[str, ...],
    folder: Path,
    settings: StatusSettings,
    stop: StopRequest,
    seconds: float | None,
) -> None:
    """Runs until the stop or for `seconds`. Errors: UsageError for unknown symbols, a folder in use or a port that is taken."""
    with ExitStack() as parts:
        parts.enter_context(_held(folder))
        parts.enter_context(data_folder(folder))
        migrate(read(WarehouseSettings))
        _load_the_rest(stop)
        options = StreamOptions(dict.fromkeys(symbols, channels), limits=BatchLimits(age_seconds=BATCH_SECONDS), venue=venue)
        with live_pipeline([options], on_end=stop.set):
            url = parts.enter_context(running_page(settings))
            print(f"recording {', '.join(symbols)} into {folder}; status page on {url}; Ctrl-C ends", flush=True)
            stop.wait(seconds if seconds is not None else _FOREVER)
        bring_gold_up()


_FOREVER = 10 * 365 * 86_400.0


def _load_the_rest(stop: StopRequest) -> None:
    """Loads objects of the lake that are not loaded: after a kill or a power cut, or into a new warehouse."""
    if next(open_lake().list_keys("data_sources/"), None) is not None:
        run_reconcile(list(DATASETS), stop, min_age_seconds=0)


def _held(folder: Path) -> AbstractContextManager[None]:
    """One process at a time."""
    return locked_folder(folder, "local.lock", "another `tickhouse local`: end it, or choose another --data")


def main(
    symbol: Annotated[list[str], typer.Option(help="As the venue spells it; repeats.")],
    channel: Annotated[
        list[str] | None, typer.Option(help="trades, depth, klines, ticker; repeats. Default: trades, depth.")
    ] = None,
    venue: Annotated[str, typer.Option(help=f"One of {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    data: Annotated[Path, typer.Option(help="Where lake, warehouse and spool are kept between runs.")] = Path("data"),
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Of the status page; default STATUS_PORT, 8080.")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; default until a signal.")] = None,
) -> None:
    """Record the live market on this machine and serve the status page: no Docker, no account, data in ./data."""

    def work() -> None:
        channels = tuple(dict.fromkeys(channel or DEFAULT_CHANNELS))
        for name in channels:
            one_of("--channel", name, venue_named(venue).channels)
        settings = read(StatusSettings)
        chosen = settings if port is None else settings.model_copy(update={"port": port})
        with stop_on_signals() as stop:
            run_local(venue, list(dict.fromkeys(symbol)), channels, data.resolve(), chosen, stop, duration)

    run_command(work)

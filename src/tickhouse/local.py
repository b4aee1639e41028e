"""`tickhouse local`: live venues, recorded on this machine: no Docker, no account; lake and warehouse are kept in a folder."""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from extract_process.backfill.plan import BackfillOptions
from extract_process.klines import run_backfill
from extract_process.live.options import StreamOptions
from extract_process.markets import DEFAULT_CHANNELS, named_or_active
from extract_process.spool.limits import BatchLimits
from extract_process.venues import DEFAULT_VENUE, venue_named, venue_names
from load_process.reconcile import SweepCounts, sweep_all
from status_page.server import listen_for_page, running_page
from tickhouse.embedded import TimeLimit, Worker, bring_gold_up, data_folder, live_pipeline
from tickhouse.live_status import LiveStatus, market_words, shown, terminal
from tickhouse.local_compaction import compaction_workers
from tickhouse.local_healing import healing_workers
from tickhouse.local_markets import channels_by_venue, markets_in_time
from tickhouse.local_summary import RunSummary, next_commands
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.command_line import instant, one_of
from tickhouse_core.datasets import CHANNELS, DATASETS
from tickhouse_core.errors import Interrupted, TickhouseError, UsageError
from tickhouse_core.files import locked_folder
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import (
    CompactionSettings,
    HealingSettings,
    LakeSettings,
    SqlSettings,
    StatusSettings,
    WarehouseSettings,
    read,
)
from tickhouse_core.sql_door.serving import Door, listen_for_sql, serving_sql
from tickhouse_core.timestamps import format_instant, now_us
from transform_process.migrate import migrate

log = logging.getLogger(__name__)

BATCH_SECONDS = 3.0
"""Small objects, soon on the page: a laptop records a few symbols."""

END_SECONDS = 5.0
"""From Ctrl-C on loading and gold may take so long: the whole command ends within 10 s. The next start does the rest."""

STOP_SECONDS = 4.0
"""Of a capture: its last batch and uploads into a folder."""

VIEWS = {dataset.channel: dataset.name for dataset in reversed(DATASETS) if dataset.channel}
"""By channel, what people query: the first of its datasets."""

USUAL_INTERVAL = "1m"

_HISTORY_RETRY = Backoff(5.0, 300.0)
_FOREVER = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class History:
    """Klines to fetch beside the live capture: `since_us` in microseconds."""

    since_us: int
    interval: str

    @property
    def options(self) -> list[str]:
        """Of the command line, as they were given."""
        return [
            "--since",
            format_instant(self.since_us),
            *(() if self.interval == USUAL_INTERVAL else ("--interval", self.interval)),
        ]


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What is recorded into which folder, and where page and SQL listen. `seconds`: None until the stop.

    `venues` has the channels of each, `channels` all as they were named.
    """

    venues: Mapping[str, tuple[str, ...]]
    symbols: Sequence[str]
    channels: tuple[str, ...]
    history: History | None
    folder: Path
    page: StatusSettings
    sql: SqlSettings
    seconds: float | None
    batch_seconds: float


def run_local(options: LocalOptions, stop: StopRequest) -> None:
    """Runs until the stop or the end. Errors: UsageError for unknown symbols, a folder in use or a port that is taken."""
    status = LiveStatus(", ".join(options.symbols), options.folder)
    with ExitStack() as parts:
        listener, sql_listener = _hold(options, parts)
        parts.enter_context(data_folder(options.folder))
        with shown(status):
            status.phase = "looking the symbols up"
            markets = asyncio.run(markets_in_time(list(options.venues), options.symbols, stop))
            if stop.is_set():
                return
            status.what = market_words(markets)
            status.phase = "creating the tables"
            warehouse = read(WarehouseSettings)
            door = parts.enter_context(serving_sql(warehouse, listener=sql_listener, creates=True, loads=True))
            migrate(warehouse)
            summary = RunSummary(options.folder, list(markets), VIEWS[options.channels[0]], _commands(options))
            status.phase = "loading what the last run left"
            _load_the_rest(stop)
            if stop.is_set():
                return
            _record(options, markets, listener, door, status, stop)
            lines = [*summary.lines()]
    print(*lines, sep="\n", flush=True)


def _commands(options: LocalOptions) -> Sequence[str]:
    of_history = [] if options.history is None else options.history.options
    return next_commands(list(options.venues), options.symbols, options.channels, of_history, options.folder)


def _hold(options: LocalOptions, parts: ExitStack) -> tuple[socket.socket, socket.socket]:
    """The folder and the ports of page and SQL, before anything is built: a port that is taken makes no folder."""
    folder = options.folder
    _check_folder(folder)
    lock = locked_folder(folder, "local.lock", "another `tickhouse local`: end it, or choose another --data")
    if folder.exists():
        parts.enter_context(lock)
    listener = parts.enter_context(closing(listen_for_page(options.page)))
    sql_listener = parts.enter_context(closing(listen_for_sql(options.sql)))
    if not folder.exists():
        parts.enter_context(lock)
    return listener, sql_listener


def _record(
    options: LocalOptions,
    markets: dict[str, list[str]],
    listener: socket.socket,
    door: Door,
    status: LiveStatus,
    stop: StopRequest,
) -> None:
    """Until the stop or the end; then everything ends within END_SECONDS, and what is not done by then is left."""
    limits = BatchLimits(age_seconds=options.batch_seconds)
    captures = [
        StreamOptions(dict.fromkeys(chosen, options.venues[venue]), limits=limits, venue=venue, stop_seconds=STOP_SECONDS)
        for venue, chosen in markets.items()
    ]
    with closing(TimeLimit(END_SECONDS)) as limit:
        compactions = compaction_workers(options.folder, partial(setattr, status, "compacted"))
        heals = healing_workers(options.folder, options.venues)
        beside = [*_history_workers(markets, options.history, status), *compactions, *heals]
        pipeline = live_pipeline(captures, on_end=stop.set, beside=beside, limit=limit)
        with pipeline as running, running_page(options.page, listener=listener) as url:
            status.phase, status.url, status.sql_url, status.is_recording = "recording", url, door.url, True
            if terminal() is None:
                print(
                    f"recording {status.what} into {status.folder}; status page on {url}; SQL on {door.url}; Ctrl-C ends",
                    flush=True,
                )
            stop.wait(options.seconds if options.seconds is not None else _FOREVER)
            status.phase, status.is_recording = "stopping: the last rows are loaded", False
            limit.begin()
            for capture in running.captures:  # while SQL and the page close
                capture.ask_to_end()
            door.close()  # a long query would slow the end down
        status.phase = "stopping: gold is brought up to date"
        bring_gold_up(limit)


def _history_workers(markets: dict[str, list[str]], history: History | None, status: LiveStatus) -> list[Worker]:
    if history is None:
        return []
    return [
        Worker(f"history {venue}", partial(_fill_history, venue, chosen, history, status)) for venue, chosen in markets.items()
    ]


def _fill_history(venue: str, symbols: list[str], history: History, status: LiveStatus, stop: StopRequest) -> None:
    """Runs until the lake has what the venue has. Every trouble is waited out: it must not end the recording beside it."""
    options = BackfillOptions(interval=history.interval, start_us=history.since_us, venue=venue, concurrency=4, newest_first=True)
    outage = Outage(log, _HISTORY_RETRY, begins="history is not complete yet", ends="history goes on", venue=venue)
    while not stop.is_set():
        try:
            report = run_backfill(symbols, options, stop, partial(status.history.__setitem__, venue)).report
        except Interrupted:
            return
        except TickhouseError as error:
            stop.wait(outage.failed(error))
        else:
            log.info("history is complete", extra={"venue": venue, "rows": report.rows_wanted, "new_rows": report.rows_landed})
            return


def _load_the_rest(stop: StopRequest) -> None:
    """Loads objects of the lake that are not loaded: after a kill or a power cut, or into a new warehouse."""
    if next(open_lake().list_keys("data_sources/"), None) is None:
        return
    counts = {dataset.name: SweepCounts() for dataset in DATASETS}
    sweep_all(DATASETS, counts, stop, min_age_seconds=0)
    if loaded := sum(found.loaded for found in counts.values()):
        log.info("loaded what the last run left", extra={"objects": loaded})
    if left := sum(found.left for found in counts.values()):
        log.error("objects of the lake could not be loaded: see ops_load_errors", extra={"objects": left})


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--data {folder} is a file: name a folder; a new one is created")


def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbol in the venue's spelling; repeats. Default: ACTIVE_SYMBOLS.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(CHANNELS)}; repeats. Each venue records those it has. Default: {', '.join(DEFAULT_CHANNELS)}."
        ),
    ] = None,
    venue: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(venue_names())}; repeats. Default: {DEFAULT_VENUE}.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Also fetch klines from this instant on, the newest first; ISO 8601, UTC.")
    ] = None,
    interval: Annotated[str, typer.Option(help="Interval of the klines that --since fetches.")] = USUAL_INTERVAL,
    data: Annotated[Path, typer.Option(help="Folder of lake, warehouse and spool.")] = Path("data"),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the status page; default STATUS_PORT, 8080.")
    ] = None,
    sql_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of read-only SQL; default SQL_PORT, 8123 or any free port.")
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; default until a signal.")] = None,
    batch_seconds: Annotated[float, typer.Option(min=0.1, help="Age at which a micro-batch becomes objects.")] = BATCH_SECONDS,
) -> None:
    """Record live markets on this machine and serve the status page: no Docker, no account, data in ./data."""

    def work() -> None:
        channels = tuple(dict.fromkeys(channel or DEFAULT_CHANNELS))
        venues = channels_by_venue(list(dict.fromkeys(venue or [DEFAULT_VENUE])), channels)
        symbols = named_or_active(symbol, *venues)
        for known in map(venue_named, venues):
            one_of("--interval", interval, known.intervals)
        history = None if since is None else History(instant("--since", since), interval)
        if history is not None and history.since_us > now_us():
            raise UsageError(f"--since {format_instant(history.since_us)} is in the future: there are no klines yet")
        read(CompactionSettings), read(HealingSettings)  # a wrong value builds nothing
        if (cell := read(LakeSettings).cell).count > 1:
            raise UsageError(f"TICKHOUSE_CELL={cell}: `tickhouse local` has one folder for all its symbols: unset it")
        settings = read(StatusSettings)
        chosen = settings if port is None else settings.model_copy(update={"port": port})
        sql = read(SqlSettings) if sql_port is None else SqlSettings(port=sql_port)
        options = LocalOptions(venues, symbols, channels, history, data.resolve(), chosen, sql, duration, batch_seconds)
        with stop_on_signals() as stop:
            run_local(options, stop)

    run_command(work)

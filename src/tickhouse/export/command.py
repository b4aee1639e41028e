"""`tickhouse export`: checks the arguments, surveys each symbol, writes it in the format asked for, and certifies it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from extract_process.venues import venue_named, venue_names
from tickhouse.export import certificate
from tickhouse.export.hftbacktest_files import write_events
from tickhouse.export.job import Job
from tickhouse.export.nautilus_catalog import write_catalog
from tickhouse.export.one_view import ListedOnce
from tickhouse.export.output_folder import CERTIFICATE, unfinished
from tickhouse.export.parquet_files import write_tables
from tickhouse.export.plan import Outcome, Plan
from tickhouse.export.quantities import quantities_of
from tickhouse.export.spans import shared
from tickhouse.export.survey import survey_book, survey_trades
from tickhouse.export.tardis_files import TYPES, USUAL_TYPES, channels_of, write_csv_files
from tickhouse.live_status import terminal
from tickhouse_core import logs
from tickhouse_core.command_line import instant, one_of, with_data_folder
from tickhouse_core.datasets import AGG_TRADES, CHANNELS, DATASET_OF
from tickhouse_core.errors import Interrupted, UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.reading.certainty import Certainty
from tickhouse_core.reading.events import GapEvents
from tickhouse_core.reading.lake import Lake, snapshot_source
from tickhouse_core.reading.ranges import Request, request
from tickhouse_core.reading.source import LakeSource
from tickhouse_core.timestamps import format_instant, to_datetime

_ALL = (*CHANNELS, str(AGG_TRADES.channel))
_FORMATS = {
    "hftbacktest": ("trades", "depth"),
    "nautilus": ("trades", "depth", "klines"),
    "tardis-csv": ("trades", "depth"),
    "parquet": _ALL,
}
"""The channels that a format can hold."""

_FORMAT_VERSIONS = {"hftbacktest": "2.4", "nautilus": "1.231", "tardis-csv": "1", "parquet": "1"}


@with_data_folder(reads=True)
def main(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(_FORMATS)}.")],
    symbol: Annotated[list[str], typer.Option(help="In the venue's spelling: BTCUSDT; repeats.")],
    start: Annotated[str, typer.Option("--from", help="Start of the range, UTC: 2024-08-09 or 2024-08-09T12:30.")],
    end: Annotated[str, typer.Option("--to", help="End of the range, excluded.")],
    out: Annotated[Path, typer.Option(help="A folder: new, empty, or with the same export from before.")],
    venue: Annotated[str, typer.Option(help=f"As in the lake, such as {', '.join(venue_names())}.")] = "binance",
    channel: Annotated[list[str] | None, typer.Option(help=f"{', '.join(_ALL)}; repeats. Default: trades and depth.")] = None,
    interval: Annotated[str, typer.Option(help="Interval of klines, in the venue's spelling.")] = "1m",
    data_type: Annotated[
        list[str] | None,
        typer.Option("--type", help=f"tardis-csv only: {', '.join(TYPES)}; repeats. Default: those of every market."),
    ] = None,
    only_proven: Annotated[bool, typer.Option("--only-proven", help="Only verified ranges: no gaps, no unknown book.")] = False,
    snapshot: Annotated[
        int | None,
        typer.Option(min=1, help="The lake as `tickhouse catalog` registered it under this id. Default: as it is now."),
    ] = None,
) -> None:
    """Write a range of the lake in the format of a backtester, with certificate.json: what is in it, and what is missing."""

    def work() -> None:
        channels = _channels(form, channel, data_type)
        types = tuple(sorted(set(data_type or USUAL_TYPES))) if form == "tardis-csv" else ()
        since, until = instant("--from", start), instant("--to", end)
        if since >= until:
            raise UsageError(f"--from {start} is not before --to {end}")
        if snapshot is not None and "klines" in channels:
            raise UsageError("--channel klines: no snapshot has klines: export them without --snapshot")
        _check_market(venue, channels, types if data_type else ())
        asked = request(venue, symbol, to_datetime(since), to_datetime(until), interval if "klines" in channels else "")
        with stop_on_signals() as stop:
            Export(form, channels, types, asked, only_proven, stop, snapshot).write(out)

    run_command(work)


class Export:
    """One run. `types` are data types of tardis-csv."""

    def __init__(
        self,
        form: str,
        channels: tuple[str, ...],
        types: tuple[str, ...],
        asked: Request,
        only_proven: bool,
        stop: StopRequest,
        snapshot: int | None = None,
    ) -> None:
        self._form, self._channels, self._types, self._asked, self._only_proven = form, channels, types, asked, only_proven
        self._stop, self._snapshot = stop, snapshot
        store = open_lake(brief=True)
        store.check_access()
        self._source = LakeSource(ListedOnce(store)) if snapshot is None else snapshot_source(store, snapshot)
        self._store = self._source.store
        self._lake, self._events = Lake(self._source), GapEvents(self._store)

    def write(self, out: Path) -> None:
        """Raises UsageError for a range without rows."""
        symbols: dict[str, Any] = {}
        lacking: dict[str, dict[str, str]] = {}
        files: list[tuple[str, int]] = []
        sources: list[dict[str, str]] = []
        with unfinished(out, self._identity()) as folder:
            quantities = quantities_of(self._store, self._asked.venue, self._asked.symbols)
            for symbol in self._asked.symbols:
                with self._progress(symbol) as progress:
                    job = Job(self._store, self._lake, self._events, replace(self._asked, symbols=(symbol,)), progress)
                    progress.begin("checking")
                    known = {channel: self._known(job, channel) for channel in self._channels}
                    if not any(one.coverage.column("rows")[0].as_py() for one in known.values()):
                        raise UsageError(self._nothing(symbol))
                    plan = self._plan(job, known)
                    progress.begin("writing")
                    outcome = self._written(job, plan, folder)
                files += outcome.files
                lacking[symbol] = {channel: why for channel, one in known.items() if (why := one.why_incomplete)}
                symbols[symbol] = certificate.of_symbol(job, plan, outcome, known, quantities[symbol])
                sources += certificate.sources_of(job, plan, [DATASET_OF[channel] for channel in self._channels])
            certificate.write_certificate(folder, self._identity(), symbols, sources, files)
        self._say(out, symbols, lacking, files)

    def _identity(self) -> dict[str, Any]:
        """What makes two exports the same."""
        asked = self._asked
        said: dict[str, Any] = {"format": self._form, "format_version": _FORMAT_VERSIONS[self._form], "venue": asked.venue}
        said |= {"symbols": list(asked.symbols), "from": format_instant(asked.start), "to": format_instant(asked.end)}
        said |= {"channels": list(self._channels), "only_proven": self._only_proven}
        said |= {"interval": asked.interval} if asked.interval else {}
        said |= {"snapshot": self._snapshot} if self._snapshot is not None else {}
        return said | ({"types": list(self._types)} if self._types else {})

    def _known(self, job: Job, channel: str) -> Certainty:
        job.progress(job.asked.start)
        return job.lake.certainty_of(DATASET_OF[channel], job.asked_of(DATASET_OF[channel]))

    def _plan(self, job: Job, known: dict[str, Certainty]) -> Plan:
        asked = job.asked
        trades = survey_trades(job, known["trades"]) if "trades" in known else None
        book = survey_book(job, known["depth"]) if "depth" in known else None
        kept = [(asked.start, asked.end)]
        for survey in (trades, book):
            if self._only_proven and survey is not None:
                kept = shared(kept, survey.spans)
        return Plan(asked.start, asked.end, kept, self._only_proven, trades, book)

    def _written(self, job: Job, plan: Plan, folder: Path) -> Outcome:
        if self._form == "hftbacktest":
            return write_events(job, plan, folder)
        if self._form == "nautilus":
            return write_catalog(job, plan, self._channels, folder)
        if self._form == "tardis-csv":
            return write_csv_files(job, plan, self._types, folder)
        return write_tables(job, plan, self._channels, folder)

    def _nothing(self, symbol: str) -> str:
        asked = self._asked
        what = " and ".join(self._channels)
        return f"no {what} of {symbol} at {asked.venue} from {format_instant(asked.start)} to {format_instant(asked.end)}"

    @contextmanager
    def _progress(self, symbol: str) -> Iterator["_Progress"]:
        """On a terminal a bar of the range that the present pass has reached; everywhere the question whether to stop."""
        console = terminal()
        if console is None:
            yield _Progress(self._stop, self._asked, symbol, None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with logs.status_shown(), Progress(*columns, console=console, refresh_per_second=4) as bar:
            yield _Progress(self._stop, self._asked, symbol, bar)

    def _say(self, out: Path, symbols: dict[str, Any], lacking: dict[str, dict[str, str]], files: list[tuple[str, int]]) -> None:
        for symbol, said in symbols.items():
            why = [f"{channel} ({words})" for channel, words in lacking[symbol].items()]
            rows = ", ".join(f"{count:,} {name}" for name, count in said["rows_written"].items())
            missing = f"; not complete: {', '.join(why)}" if why else "; complete"
            left = sum(said["rows_left_out"].values())
            print(f"{symbol}: {rows}{f', {left:,} rows left out' if left else ''}{missing}")
        print(f"{len(files)} files and {CERTIFICATE} in {out}", flush=True)


class _Progress:
    """How far a symbol is: each pass goes through the range once."""

    def __init__(self, stop: StopRequest, asked: Request, symbol: str, bar: Progress | None) -> None:
        self._stop, self._asked, self._symbol, self._bar = stop, asked, symbol, bar
        self._task = None if bar is None else bar.add_task(symbol, total=asked.end - asked.start)

    def begin(self, what: str) -> None:
        """What is done now."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"{self._symbol} {what}", completed=0)

    def __call__(self, reached: int) -> None:
        """Raises Interrupted to stop."""
        if self._stop.is_set():
            raise Interrupted("stopped: nothing was written; run it again")
        if self._bar is not None and self._task is not None:
            asked = self._asked
            self._bar.update(self._task, completed=min(max(reached, asked.start), asked.end) - asked.start)


def _channels(form: str, asked: list[str] | None, types: list[str] | None) -> tuple[str, ...]:
    """In one order. Raises UsageError for what a format cannot hold."""
    allowed = _FORMATS[one_of("FORMAT", form, _FORMATS)]
    for one in types or ():
        one_of("--type", one, TYPES)
    if types and form != "tardis-csv":
        raise UsageError(f"--type is for tardis-csv; {form} takes --channel")
    chosen = channels_of(types) if types else {one_of("--channel", one, allowed) for one in asked or ("trades", "depth")}
    return tuple(channel for channel in _ALL if channel in chosen)


def _check_market(venue: str, channels: Sequence[str], types: Sequence[str]) -> None:
    """Raises UsageError for a type, or without types a channel, that no market of a known venue can have."""
    if venue not in venue_names():
        return
    there = {*venue_named(venue).channels, *([] if types else [AGG_TRADES.channel])}
    for one in types:
        if not channels_of([one]) <= there:
            known = [name for name in TYPES if channels_of([name]) <= there]
            raise UsageError(f"--type {one}: no market of {venue} has it: choose from {', '.join(known)}")
    for one in channels if not types else ():
        if one not in there:
            known = [name for name in _ALL if name in there]
            raise UsageError(f"--channel {one}: no market of {venue} has it: choose from {', '.join(known)}")

"""The live status of `tickhouse local` on a terminal: rates, totals, gaps, lag, disk and what to do next, updated in place.

It is drawn from the counters that the parts of this process keep anyway. Elsewhere than on a terminal nothing is drawn.
"""

import os
import shutil
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from extract_process.backfill.plan import BackfillReport
from status_page.health import DEGRADED, DOWN, IDLE, OK
from tickhouse_core import logs
from tickhouse_core.datasets import DATASETS
from tickhouse_core.metrics import OBSERVED, Sample
from tickhouse_core.redaction import redacted

COLOURS = {OK: "green", DEGRADED: "yellow", DOWN: "red", IDLE: "dim"}
"""Of the page's verdicts."""

_RATE_SECONDS = 10.0
_LEAST_DISK_SECONDS = 10.0
_TROUBLES = 3
_RECORDED = {dataset.queue for dataset in DATASETS if dataset.channel}
"""Queues of what a person records: not of events and heartbeats."""


class LiveStatus:
    """What `tickhouse local` does now. Who runs it sets `phase`, `what`, `compacted` and the addresses.

    `history` has each venue's report.
    """

    def __init__(self, what: str, folder: Path) -> None:
        self.phase = "starting"
        self.url = self.sql_url = ""
        self.compacted = ""
        self.is_recording = False
        self.history: dict[str, BackfillReport] = {}
        self.what, self.folder = what, folder
        self._began = time.monotonic()
        self._rows: deque[tuple[float, float]] = deque()
        self._used_bytes: int | None = None

    def drawn(self) -> Table:
        """As rows of a name and a value; both fold where the terminal is narrow."""
        samples = OBSERVED.samples()
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._lines(samples):
            table.add_row(name, value)
        return table

    def measure_disk(self) -> float:
        """Returns the seconds until the next time is due: a large folder is looked at more seldom."""
        began = time.monotonic()
        self._used_bytes = folder_bytes(self.folder)
        return max(_LEAST_DISK_SECONDS, 20 * (time.monotonic() - began))

    def rate(self, rows: float, at: float) -> float:
        """Rows a second over the last seconds, as `rows` was seen to grow; `at` is in seconds."""
        self._rows.append((at, rows))
        while at - self._rows[0][0] > _RATE_SECONDS:
            self._rows.popleft()
        since, before = self._rows[0]
        return (rows - before) / (at - since) if at > since else 0.0

    def _lines(self, samples: Iterable[Sample]) -> Iterator[tuple[str, Text | str]]:
        figures = _by_name(samples)
        verdict, troubles = verdict_now()
        head = Text(f"{self.phase} · {duration_words(time.monotonic() - self._began)} · ")
        yield "tickhouse", head.append(verdict, style=COLOURS[verdict]) if self.is_recording else head.append("wait")
        yield "records", self.what
        if self.is_recording:
            rows = sum(figures["tickhouse_stream_rows_total"].values())
            yield "rows", f"{rows:,.0f} received · {self.rate(rows, time.monotonic()):,.1f}/s"
            yield "loaded", " · ".join(_loaded(figures["tickhouse_loader_rows_total"])) or "nothing yet"
            yield "gaps", f"{sum(figures['tickhouse_stream_gaps_total'].values()):,.0f}"
            yield "lag", _lag(figures["tickhouse_status_newest_timestamp_seconds"])
        for venue, report in list(self.history.items()):
            yield "history", f"{venue}: {report.rows_received + report.rows_without_data:,} of {report.rows_missing:,} klines"
        if self.compacted:
            yield "compacted", self.compacted
        yield "disk", self._disk(sum(figures["tickhouse_stream_spool_bytes"].values()))
        for words in troubles[:_TROUBLES] if self.is_recording else ():
            yield "trouble", Text(words, style="yellow")
        if self.url:
            yield "page", self.url
        if self.sql_url:
            yield "SQL", self.sql_url
        yield "next", self._next()

    def _disk(self, spool_bytes: float) -> str:
        used = "" if self._used_bytes is None else f"{size_words(self._used_bytes)} in "
        spool = f" · spool {size_words(spool_bytes)}" if spool_bytes else ""
        return f"{used}{self.folder} · {size_words(shutil.disk_usage(existing(self.folder)).free)} free{spool}"

    def _next(self) -> str:
        if not self.is_recording:
            return "a second Ctrl-C ends at once" if self.phase.startswith("stopping") else "Ctrl-C ends"
        return f'Ctrl-C stops and keeps everything · from another terminal: tickhouse query --data {self.folder} "show tables"'


@contextmanager
def shown(status: LiveStatus) -> Iterator[None]:
    """Draws it once a second below the warnings, where a person looks; it is gone when the context ends."""
    console = terminal()
    if console is None:
        yield
        return
    done = threading.Event()
    disk = threading.Thread(target=_measure, args=(status, done), name="disk", daemon=True)
    live = Live(
        console=console,
        get_renderable=status.drawn,
        refresh_per_second=1,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=sys.stderr.isatty(),
    )
    with logs.status_shown(), live:
        disk.start()
        try:
            yield
        finally:
            done.set()


def terminal() -> Console | None:
    """Where a status may be updated in place: stderr, which logs share; stdout if only that is a terminal."""
    for console, file in ((logs.console, sys.stderr), (Console(), sys.stdout)):
        if file.isatty() and console.is_terminal and not console.is_dumb_terminal:
            return console
    return None


def verdict_now() -> tuple[str, list[str]]:
    """The page's word for how this process does, and what keeps its parts from their work."""
    stuck, waiting = OBSERVED.not_alive(), OBSERVED.not_ready()
    troubles = [redacted(words) for words in stuck + waiting]
    return (DOWN if stuck else DEGRADED if waiting else OK), troubles


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder; files and folders that go away meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):  # which passes over a folder that is merged away under it
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  # thousands of files, every few seconds
    return total


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def market_words(markets: Mapping[str, Sequence[str]]) -> str:
    """Symbols by venue: of several venues with their names."""
    if len(markets) == 1:
        return ", ".join(*markets.values())
    return "; ".join(f"{venue} {', '.join(symbols)}" for venue, symbols in markets.items())


def size_words(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} TB"


def duration_words(seconds: float) -> str:
    """`0:00:07`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _measure(status: LiveStatus, done: threading.Event) -> None:
    while not done.wait(status.measure_disk()):
        pass


def _by_name(samples: Iterable[Sample]) -> defaultdict[str, dict[str, float]]:
    """Values by metric and by its labels' values."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in samples:
        found[sample.name][" ".join(sample.labels.values())] = sample.value
    return found


def _loaded(rows_by_queue: Mapping[str, float]) -> Iterator[str]:
    for queue, rows in rows_by_queue.items():
        if queue in _RECORDED and rows:
            yield f"{queue.partition('-')[0]} {rows:,.0f}"


def _lag(newest: Mapping[str, float]) -> str:
    at = newest.get("warehouse")
    return "nothing is queryable yet" if at is None else f"{max(0.0, time.time() - at):,.0f} s from the exchange to SQL"

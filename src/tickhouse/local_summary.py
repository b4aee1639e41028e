"""What `tickhouse local` says when it ends: what it recorded, where it is, and what to do next."""

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from extract_process.markets import DEFAULT_CHANNELS
from extract_process.venues import DEFAULT_VENUE
from tickhouse.live_status import duration_words, folder_bytes, size_words
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lake import open_queue
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.sql_files import read_sql


class RunSummary:
    """Made when the recording begins, said when it has ended."""

    def __init__(self, folder: Path, venues: Sequence[str], view: str, commands: Sequence[str]) -> None:
        """`view` is what the suggested query asks; `commands` are further next steps."""
        self._folder, self._venues, self._view, self._commands = folder, venues, view, commands
        self._began = time.monotonic()
        with closing(connect(read(WarehouseSettings))) as warehouse:
            self._began_us = warehouse.now_us()
            self._rows_before = dict(_rows_loaded(warehouse))

    def lines(self) -> Iterator[str]:
        """A name and its words a line."""
        with closing(connect(read(WarehouseSettings))) as warehouse:
            rows = list(self._rows(warehouse))
            gaps = self._gaps(warehouse)
            connected = {venue for (venue,) in warehouse.query(read_sql("local/connected.sql"), {"since_us": self._began_us})}
        seconds = time.monotonic() - self._began
        yield f"recorded  for {duration_words(seconds)}"
        for line in rows or ["nothing was loaded"]:
            yield f"rows      {line}"
        yield f"gaps      {gaps}"
        yield f"data      {self._folder}: {', '.join(self._places())}"
        waiting = sum(depth.visible + depth.in_flight for depth in (open_queue(name).depth() for name in QUEUES))
        if waiting:
            yield f"left      {waiting} objects are not loaded yet: the next start loads them"
        elif mute := [venue for venue in self._venues if venue not in connected]:
            yield f"missing   nothing was recorded from {' and '.join(mute)}: no connection delivered, see the lines above"
        sql = f"select symbol, count() from {self._view} group by symbol"  # noqa: S608  # shown, not run
        yield f'next      tickhouse query --data {self._folder} "{sql}"'
        for command in self._commands:
            yield f"          {command}"

    def _rows(self, warehouse: Warehouse) -> Iterator[str]:
        for dataset, total in _rows_loaded(warehouse):
            new = total - self._rows_before.get(dataset, 0)
            yield f"{dataset} {new:,}" + (f" ({total:,} in all)" if total != new else "")

    def _gaps(self, warehouse: Warehouse) -> str:
        events = warehouse.query(read_sql("local/gaps.sql"), {"since_us": self._began_us})
        causes = [f"{cause or 'unknown'} {count:,}" for event, cause, count in events if event == "gap"]
        healed = sum(int(count) for event, _, count in events if event == "healed")
        words = ", ".join(causes) or "none"
        return f"{words}; {healed:,} healed" if healed else words

    def _places(self) -> Iterator[str]:
        for name in ("lake", "warehouse", "spool"):
            yield f"{name} {size_words(folder_bytes(self._folder / name))}"


def next_commands(
    venues: Sequence[str], symbols: Sequence[str], channels: Sequence[str], history: Sequence[str], folder: Path
) -> list[str]:
    """How this recording goes on, and how it is looked at. `history` are options as they were given."""
    named = [word for symbol in symbols for word in ("--symbol", symbol)]
    if tuple(channels) != DEFAULT_CHANNELS:
        named += [word for channel in channels for word in ("--channel", channel)]
    if list(venues) != [DEFAULT_VENUE]:
        named = [*(word for venue in venues for word in ("--venue", venue)), *named]
    return [
        f"tickhouse local {shlex.join([*named, *history, '--data', str(folder)])}   # goes on",
        f"tickhouse page --data {shlex.quote(str(folder))}   # the page, without recording",
    ]


def _rows_loaded(warehouse: Warehouse) -> Iterator[tuple[str, int]]:
    """By dataset. A month of klines that is written again counts once: a difference is what came to it."""
    for dataset, rows in warehouse.query(read_sql("local/loaded.sql")):
        yield str(dataset), int(rows)

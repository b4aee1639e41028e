"""What `tickhouse local` says when it ends: what it recorded, where it is, and what to do next."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tickhouse.live_status import duration_words, folder_bytes, size_words
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lake import open_queue
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.transformer import read_sql


class RunSummary:
    """Made when the recording begins, said when it has ended."""

    def __init__(self, folder: Path, venues: Sequence[str], view: str, commands: Sequence[str]) -> None:
        """`view` is what the suggested query asks; `commands` are further next steps."""
        self._folder, self._venues, self._view, self._commands = folder, venues, view, commands
        self._began = time.monotonic()
        with closing(connect(read(WarehouseSettings))) as warehouse:
            self._began_us = warehouse.now_us()

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
        for dataset, new, total in warehouse.query(read_sql("local/loaded.sql"), {"since_us": self._began_us}):
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

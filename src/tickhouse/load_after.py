"""A command that fetches history into a data folder also loads and transforms it there: queryable when it ends."""

import functools
import inspect
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from load_process.__main__ import run_loader
from load_process.limits import limits_here
from load_process.loader import LoaderOptions
from tickhouse.embedded import bring_gold_up
from tickhouse.live_status import terminal
from tickhouse_core import logs
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.datasets import QUEUES, dataset_named
from tickhouse_core.errors import FolderHeld, Interrupted, TickhouseError
from tickhouse_core.folder_holder import Holder, loading_holder, other_holder
from tickhouse_core.lake import open_queue
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import DataSettings, WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
from transform_process.migrate import migrate

log = logging.getLogger(__name__)

_BAD_USAGE = 2
_STILL_SECONDS = 60.0
"""Without a message less in the queue: nobody loads."""

_LOOK_SECONDS = 0.2


def with_load_after(fetch: Callable[..., None], dataset: str) -> Callable[..., None]:
    """The command `fetch`, which completes `dataset` in the lake: with `--data` the warehouse of the folder has it, too."""

    @with_data_folder()
    @functools.wraps(inspect.unwrap(fetch))
    def command(*arguments: object, **named: object) -> None:
        code: object = 0
        try:
            fetch(*arguments, **named)
        except SystemExit as ended:  # where rows are missing, what has arrived is loaded all the same
            if isinstance(ended.__context__, Interrupted):
                raise
            code = ended.code
        if code != _BAD_USAGE and read(DataSettings).folder is not None:
            run_command(functools.partial(_load, dataset))
        sys.exit(code)  # type: ignore[arg-type]  # as SystemExit has it

    return command


def _load(dataset: str) -> None:
    warehouse = read(WarehouseSettings)
    assert warehouse.path is not None, "a data folder has one"
    with stop_on_signals() as stop:
        while not _is_left_to(other_holder(warehouse.path), warehouse.path, dataset, stop):
            try:
                with serving_sql(warehouse, creates=True, loads=True):
                    migrate(warehouse)
                    _load_here(stop)
                    return
            except FolderHeld:
                holder = loading_holder(warehouse.path)
                if holder is not None and not holder.may_load:
                    raise


def _load_here(stop: StopRequest) -> None:
    """Also what other commands on this folder fetch meanwhile: they leave it to this process."""
    _load_and_transform(stop)
    while not stop.is_set() and _waiting(QUEUES):
        _load_and_transform(stop)


def _load_and_transform(stop: StopRequest) -> None:
    waiting = _waiting(QUEUES)
    with _bar("load", waiting, lambda: waiting - _waiting(QUEUES)):
        run_loader(QUEUES, stop, LoaderOptions(drain=True, limits=limits_here()))
    if not stop.is_set():
        with _bar("gold", None, lambda: 0):
            bring_gold_up()


def _is_left_to(holder: Holder | None, path: Path, dataset: str, stop: StopRequest) -> bool:
    """What was fetched is in the lake and announced to its queue: a holder that loads takes it from there.

    Waits until it has. False where nobody holds the folder, or no longer: then this process loads.
    """
    if holder is None or not holder.may_load:
        return False
    words = {"folder": str(path), "holder": str(holder)}
    log.info("what was fetched is loaded by the process that holds the folder", extra=words)
    queues = [dataset_named(dataset).queue]
    least, deadline = _waiting(queues), time.monotonic() + _STILL_SECONDS
    while left := _waiting(queues):
        if _has_ended(holder, path):
            return False
        if left < least:
            least, deadline = left, time.monotonic() + _STILL_SECONDS
        if time.monotonic() > deadline and holder.loads:
            log.info("it is not loaded yet: the process that holds the folder loads it before it ends", extra=words)
            return True
        if time.monotonic() > deadline:
            raise TickhouseError(
                f"{path} is held by {holder}, which does not load: what was fetched is in the lake; "
                "when it has ended, run `tickhouse load --drain` and `tickhouse transform --once`"
            )
        if stop.wait(_LOOK_SECONDS):
            raise Interrupted("stopped before everything was loaded: it is in the lake, and is loaded by the next run")
    return not (_has_ended(holder, path) and _waiting(QUEUES))


def _has_ended(holder: Holder, path: Path) -> bool:
    now = other_holder(path)
    return now is None or now.door != holder.door or not now.may_load


def _waiting(queues: Sequence[str]) -> int:
    """Objects that are not loaded yet."""
    return sum(depth.visible + depth.in_flight for depth in (open_queue(name).depth() for name in queues))


class _Watched(Progress):
    """Asks how far the work is each time it is drawn."""

    def watch(self, name: str, total: int | None, done: Callable[[], int]) -> None:
        self._done = done
        self._watched = self.add_task(name, total=total)

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            self.update(task.id, completed=self._done())
        yield from super().get_renderables()


@contextmanager
def _bar(name: str, total: int | None, done: Callable[[], int]) -> Iterator[None]:
    """One part of the work on a terminal: how many objects of `total` are done, or how long it takes."""
    console = terminal()
    if console is None:
        yield
        return
    counts = [] if total is None else [TextColumn("{task.completed:,.0f}/{task.total:,.0f} objects")]
    columns = (TextColumn("{task.description:6}"), BarColumn(), *counts, TimeElapsedColumn())
    with logs.status_shown(), _Watched(*columns, console=console, refresh_per_second=2) as progress:
        progress.watch(name, total, done)
        yield

"""The whole pipeline in one process and one data folder: captures, loader and transformer in threads.

`tickhouse demo` and `tickhouse local` stand on it. The parts start and end in the order that loses nothing.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from extract_process.live.options import StreamOptions
from extract_process.live.session import run_capture
from load_process.__main__ import run_loader
from load_process.limits import limits_here
from load_process.loader import LoaderOptions
from tickhouse_core.datasets import QUEUES
from tickhouse_core.errors import TickhouseError, WarehouseRefused
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
from transform_process.transformer import Transformer, TransformOptions

Work = Callable[[StopRequest], object]

_GOLD = {"log_comment": "tickhouse: gold of a data folder"}
"""Marks the transformer's statements, to cancel them by it. What is cut off is done again by the next start."""

_AGAIN_SECONDS = 0.2


class TimeLimit:
    """How long the end of a pipeline may take, from `begin` on. Then loading and gold stop: the next start does the rest."""

    def __init__(self, seconds: float | None = None) -> None:
        """None: as long as it needs."""
        self.stop = StopRequest()
        self._seconds = seconds
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """The first call counts."""
        if self._seconds is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._seconds,), name="time-limit", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def cutting_off(self) -> Iterator[None]:
        """Work of gold that may be cut off at the limit; its other errors travel."""
        try:
            yield
        except WarehouseRefused as error:
            if not (self.stop.is_set() and "QUERY_WAS_CANCELLED" in str(error)):
                raise

    def _run(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            return
        self.stop.set()
        with closing(connect(read(WarehouseSettings))) as warehouse:
            while not self._closed.is_set():  # a window is many statements
                warehouse.command("kill query where Settings['log_comment'] = {log_comment:String} async", _GOLD)
                self._closed.wait(_AGAIN_SECONDS)


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Lake, queues, warehouse and spool of this process are in `folder` for as long as the context lasts."""
    with environment_variables({"TICKHOUSE_DATA": str(folder)}):
        yield


@contextmanager
def environment_variables(values: dict[str, str]) -> Iterator[None]:
    """Sets variables and puts the old state back."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_FRESH = TransformOptions(lag_seconds=0.5, every_seconds=0.5, is_sharing=True)
"""The only engine is in this process: its clock waits for inserts that are still running (sql/clickhouse/transform/clock.sql)."""


class Worker:
    """One part. `work` runs until its stop is asked for."""

    def __init__(self, name: str, work: Work, *, on_end: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self._work = work
        self._on_end = on_end
        self._stop = StopRequest()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop, self._failure = StopRequest(), None
        self._thread = threading.Thread(target=self._run, name=self.name)
        self._thread.start()

    def ask_to_end(self) -> None:
        if not self._stop.is_set():
            self._stop.set()

    def stop(self, seconds: float = 60) -> None:
        """Asks and waits; raises what the part ended with."""
        self.ask_to_end()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                raise TickhouseError(f"{self.name} did not end within {seconds:.0f} s")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as failure:  # noqa: BLE001  # raised again by `stop`
            self._failure = failure
        finally:
            self._on_end()


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """Its parts; each can be stopped and started again."""

    captures: tuple[Worker, ...]
    loader: Worker
    transformer: Worker


@contextmanager
def live_pipeline(
    captures: Sequence[StreamOptions],
    on_end: Callable[[], object] = lambda: None,
    *,
    beside: Sequence[Worker] = (),
    limit: TimeLimit | None = None,
) -> Iterator[LivePipeline]:
    """Runs as long as the context lasts; `on_end` is called when a part ends by itself. Raises what it ended with.

    Workers `beside` may come to their end earlier. In the end all land what they have, and the queues are emptied, within
    the `limit` if there is one.
    """
    limit = limit or TimeLimit()
    parts = LivePipeline(
        tuple(Worker(f"capture {options.venue}", partial(run_capture, options), on_end=on_end) for options in captures),
        Worker(
            "loader", lambda stop: run_loader(QUEUES, stop, LoaderOptions(wait_seconds=1, limits=limits_here())), on_end=on_end
        ),
        Worker("transformer", partial(_keep_gold_fresh, limit), on_end=on_end),
    )
    running = [parts.loader, parts.transformer, *parts.captures, *beside]
    for part in running:
        part.start()
    try:
        yield parts
    finally:
        limit.begin()
        for part in running[1:]:  # the loader ends last: it takes what the others still bring
            part.ask_to_end()
        with ExitStack() as ending:
            ending.callback(_drain, limit)
            for part in running:
                ending.callback(part.stop)


def bring_gold_up(limit: TimeLimit | None = None) -> None:
    """One pass over everything that is loaded; nothing may be loading meanwhile."""
    limit = limit or TimeLimit()
    if limit.stop.is_set():
        return
    with closing(connect(read(WarehouseSettings), restrictions=_GOLD, until=limit.stop)) as warehouse, limit.cutting_off():
        Transformer(warehouse, limit.stop, TransformOptions(lag_seconds=0)).run_pass()


def _drain(limit: TimeLimit) -> None:
    if not limit.stop.is_set():
        run_loader(QUEUES, limit.stop, LoaderOptions(drain=True))


def _keep_gold_fresh(limit: TimeLimit, stop: StopRequest) -> None:
    with closing(connect(read(WarehouseSettings), restrictions=_GOLD, until=limit.stop)) as warehouse, limit.cutting_off():
        Transformer(warehouse, stop, _FRESH).run()

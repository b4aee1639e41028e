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
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
from transform_process.transformer import Transformer, TransformOptions

Work = Callable[[StopRequest], object]


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

    def stop(self, seconds: float = 60) -> None:
        """Asks and waits; raises what the part ended with."""
        self._stop.set()
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
    captures: Sequence[StreamOptions], on_end: Callable[[], object] = lambda: None, *, beside: Sequence[Worker] = ()
) -> Iterator[LivePipeline]:
    """Runs as long as the context lasts; `on_end` is called when a part ends by itself. Raises what it ended with.

    Workers `beside` may come to their end earlier. In the end all land what they have, and the queues are emptied.
    """
    parts = LivePipeline(
        tuple(Worker(f"capture {options.venue}", partial(run_capture, options), on_end=on_end) for options in captures),
        Worker(
            "loader", lambda stop: run_loader(QUEUES, stop, LoaderOptions(wait_seconds=1, limits=limits_here())), on_end=on_end
        ),
        Worker("transformer", _keep_gold_fresh, on_end=on_end),
    )
    running = [parts.loader, parts.transformer, *parts.captures, *beside]
    for part in running:
        part.start()
    try:
        yield parts
    finally:
        with ExitStack() as ending:
            ending.callback(run_loader, QUEUES, StopRequest(), LoaderOptions(drain=True))
            for part in running:
                ending.callback(part.stop)


def bring_gold_up() -> None:
    """One pass over everything that is loaded; nothing may be loading meanwhile."""
    with closing(connect(read(WarehouseSettings))) as warehouse:
        Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0)).run_pass()


def _keep_gold_fresh(stop: StopRequest) -> None:
    with closing(connect(read(WarehouseSettings))) as warehouse:
        Transformer(warehouse, stop, TransformOptions(lag_seconds=3, every_seconds=2)).run()

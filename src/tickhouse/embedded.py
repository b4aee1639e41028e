"""The whole pipeline in one process: embedded S3, SQS and ClickHouse, and captures, loader and transformer in threads.

`tickhouse demo` and `tickhouse local` stand on it. The parts start and end in the order that loses nothing.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from extract_process.live_capture import run_capture
from extract_process.stream_options import StreamOptions
from load_process.__main__ import run_loader
from load_process.load_limits import limits_here
from load_process.loader import LoaderOptions
from tickhouse_core.datasets import QUEUES
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import LakeSettings, WarehouseSettings, read
from tickhouse_core.warehouse import connect
from transform_process.transformer import Transformer, TransformOptions

Work = Callable[[StopRequest], object]


@contextmanager
def embedded_parts(folder: Path) -> Iterator[None]:
    """Runs moto's S3 and SQS on a free port of loopback and keeps the engine's data and the spool in `folder`.

    S3 and SQS forget in the end; every object is in <folder>/lake/<bucket> too, and LakeKeeper can put it back.

    The environment of this process is changed for as long as the context lasts. Raises UsageError where the
    extra `embedded` is not installed.
    """
    try:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server
    except ImportError as error:
        raise UsageError("moto is not installed: install the extra `embedded`, or run `make setup`") from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LAKE_COPY_DIR": str(folder / "lake" / read(LakeSettings).bucket),
        "CLICKHOUSE_PATH": str(folder / "warehouse"),
        "SPOOL_DIR": str(folder / "spool"),
    }
    try:
        with environment_variables(environment):
            yield
    finally:
        server.shutdown()
        thread.join()


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
def live_pipeline(captures: Sequence[StreamOptions], on_end: Callable[[], object] = lambda: None) -> Iterator[LivePipeline]:
    """Runs as long as the context lasts; `on_end` is called when a part ends by itself. Raises what it ended with.

    In the end the captures land what they have, the queues are emptied, and gold is brought up to it.
    """
    parts = LivePipeline(
        tuple(Worker(f"capture {options.venue}", partial(run_capture, options), on_end=on_end) for options in captures),
        Worker(
            "loader", lambda stop: run_loader(QUEUES, stop, LoaderOptions(wait_seconds=1, limits=limits_here())), on_end=on_end
        ),
        Worker("transformer", _keep_gold_fresh, on_end=on_end),
    )
    running = [parts.loader, parts.transformer, *parts.captures]
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

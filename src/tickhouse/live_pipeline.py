"""Captures, loader and transformer beside each other in this process, started and ended in the order that loses nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

from extract_process.live_capture import run_capture
from extract_process.stream_options import StreamOptions
from load_process.__main__ import run_loader
from load_process.limits import limits_here
from load_process.loader import LoaderOptions
from tickhouse.side_by_side import Part
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
from transform_process.transformer import Transformer, TransformOptions


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """Its parts; each can be stopped and started again."""

    captures: tuple[Part, ...]
    loader: Part
    transformer: Part


@contextmanager
def live_pipeline(captures: Sequence[StreamOptions], on_end: Callable[[], object] = lambda: None) -> Iterator[LivePipeline]:
    """Runs as long as the context lasts; `on_end` is called when a part ends by itself. Raises what it ended with.

    In the end the captures land what they have, the queues are emptied, and gold is brought up to it.
    """
    parts = LivePipeline(
        tuple(Part(f"capture {options.venue}", partial(run_capture, options), on_end=on_end) for options in captures),
        Part("loader", lambda stop: run_loader(QUEUES, stop, LoaderOptions(wait_seconds=1, limits=limits_here())), on_end=on_end),
        Part("transformer", _keep_gold_fresh, on_end=on_end),
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

"""Capture, loader and transformer beside each other in this process, started and ended in the order that loses nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from extract_process.live_capture import run_capture
from extract_process.micro_batch import BatchLimits
from extract_process.stream_options import StreamOptions
from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from pipeline.datasets import QUEUES
from pipeline.lifecycle import StopRequest
from pipeline.settings import WarehouseSettings, read
from pipeline.warehouse import connect
from tickhouse.side_by_side import Part
from transform_process.transformer import Transformer, TransformOptions


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """Its parts; each can be stopped and started again."""

    capture: Part
    loader: Part
    transformer: Part


@contextmanager
def live_pipeline(
    wanted: Mapping[str, Sequence[str]], batch_seconds: float, on_end: Callable[[], object] = lambda: None
) -> Iterator[LivePipeline]:
    """Runs as long as the context lasts; `on_end` is called when a part ends by itself. Raises what it ended with.

    In the end the capture lands what it has, the queues are emptied, and gold is brought up to it.
    """
    options = StreamOptions(
        wanted={symbol: tuple(channels) for symbol, channels in wanted.items()}, limits=BatchLimits(age_seconds=batch_seconds)
    )
    parts = LivePipeline(
        Part("capture", lambda stop: run_capture(options, stop), on_end=on_end),
        Part("loader", lambda stop: run_loader(QUEUES, stop, LoaderOptions(wait_seconds=1)), on_end=on_end),
        Part("transformer", _keep_gold_fresh, on_end=on_end),
    )
    parts.loader.start()
    parts.transformer.start()
    parts.capture.start()
    try:
        yield parts
    finally:
        try:
            parts.capture.stop()
        finally:
            parts.transformer.stop()
            parts.loader.stop()
            run_loader(QUEUES, StopRequest(), LoaderOptions(drain=True))


def bring_gold_up() -> None:
    """One pass over everything that is loaded; nothing may be loading meanwhile."""
    with closing(connect(read(WarehouseSettings))) as warehouse:
        Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0)).run_pass()


def _keep_gold_fresh(stop: StopRequest) -> None:
    with closing(connect(read(WarehouseSettings))) as warehouse:
        Transformer(warehouse, stop, TransformOptions(lag_seconds=3, every_seconds=2)).run()

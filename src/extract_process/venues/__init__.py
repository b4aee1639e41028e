"""Venue: all that the recorder must know of one exchange, as one value; and the registry of venues, one line each.

A further venue is a folder here, a line in the registry and its markets in markets.yaml: see ADD_A_VENUE.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from extract_process.records import DepthSnapshot, Trade
from extract_process.stream_key import StreamKey, key_of
from extract_process.venues.api import Archive, SocketRules, VenueRest
from extract_process.venues.parsing import FrameRefused
from tickhouse_core.errors import UsageError

_MODULES = {
    "binance": "extract_process.venues.binance",
    "kucoin": "extract_process.venues.kucoin",
}
"""By name: the module whose `VENUE` it is. Loaded when it is asked for."""

DEFAULT_VENUE = next(iter(_MODULES))


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange. `symbol_example` shows people its spelling.

    The parsers are plain functions without a clock: a frame or a body that lay on disk reads as it did when it came.
    Those of REST bodies raise VenueUnavailable for what they cannot read.
    """

    name: str
    symbol_example: str
    channels: tuple[str, ...]
    intervals: tuple[str, ...]
    """Of klines, in our words (`1m`, `4h`, `1M`); what the venue calls them is its folder's matter."""

    floating_intervals: tuple[str, ...]
    """Those whose grid is learned from the venue's first kline."""

    earliest_us: int
    page_rows: int
    """The most klines of one answer."""

    snapshot_levels: tuple[int, ...]
    """How many levels a side a snapshot can be asked with, ascending."""

    usual_levels: Callable[[int], int]
    """Levels a side for a capture of so many symbols."""

    parse_frame: Callable[[bytes, int], list[Any]]
    """Frame and receipt_time to records and control messages, in order. Raises FrameRefused."""

    parse_depth: Callable[[bytes, str, str], DepthSnapshot]
    """Body, symbol, reason."""

    parse_trades: Callable[[bytes, str], list[Trade]]
    """Body, symbol."""

    parse_klines: Callable[[bytes, str, str, int], pa.Table]
    """Body, symbol, interval, receipt_time."""

    sockets: SocketRules
    stream_names: Callable[[Mapping[str, Sequence[str]], str], list[str]]
    """The streams for these channels of each symbol, klines of this interval; a symbol's together."""

    key_of_stream: Callable[[str], StreamKey]
    subscribe_messages: Callable[[Sequence[str]], Iterator[tuple[int, bytes]]]
    """Messages that ask for these streams, with the ids of their replies."""

    open_rest: Callable[[Path, int], AbstractAsyncContextManager[VenueRest]]
    """The REST side of one process: the folder where bans are remembered, and how many requests go at once."""

    open_archive: Callable[[int], AbstractAsyncContextManager[Archive]] | None = None
    """None: the venue has no bulk files that can be read."""

    sparse_channels: frozenset[str] = frozenset()
    """Channels whose ids grow without being consecutive: a jump is a hole only where the stream was interrupted."""

    settle_seconds: float | None = None
    """Set where streamed klines never say that they are closed: the next one tells it, and so much later REST has it."""

    def channel_of_frame(self, frame: bytes) -> str:
        """The channel whose row a frame would be, empty for a control message or what cannot be read."""
        try:
            messages = self.parse_frame(frame, 0)
        except FrameRefused:
            return ""
        key = key_of(messages[0]) if messages else None
        return key.channel if key else ""

    def usual_mirror_levels(self, most: int) -> int:
        """The largest snapshot of at most so many levels a side."""
        return max(levels for levels in self.snapshot_levels if levels <= most)


def register(name: str, module: str) -> None:
    """Adds a venue from elsewhere, as a line above does: for one that is not part of the project."""
    _MODULES[name] = module


def venue_names() -> tuple[str, ...]:
    return tuple(_MODULES)


def venue_named(name: str) -> Venue:
    """Raises UsageError that lists the names."""
    if name not in _MODULES:
        raise UsageError(f"--venue {name!r}: choose from {', '.join(_MODULES)}")
    venue: Venue = import_module(_MODULES[name]).VENUE
    return venue

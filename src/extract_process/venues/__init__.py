"""Venue: everything the recorder needs to know about one exchange, as one value; and the registry, one line per venue.

A further venue is a folder here and a line in the registry: see ADD_A_VENUE.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickhouse_core.errors import UsageError

if TYPE_CHECKING:  # a command that only says what it can do needs neither PyArrow nor an HTTP client
    import pyarrow as pa
    from pydantic_settings import BaseSettings

    from extract_process.records import AnsweredTrade, DepthSnapshot
    from extract_process.stream_ids import StreamKey
    from extract_process.venues.api import Archive, HistoryRest, Poll, SocketRules, VenueRest

_MODULES = {
    "binance": "extract_process.venues.binance",
    "kucoin": "extract_process.venues.kucoin",
    "binance-usdm": "extract_process.venues.binance.futures.usdm",
    "binance-coinm": "extract_process.venues.binance.futures.coinm",
}
"""By name: the module whose `VENUE` it is. Loaded when it is asked for."""

DEFAULT_VENUE = next(iter(_MODULES))
DEFAULT_FUTURES = "binance-usdm"
"""Where a history of futures is requested and no venue is named."""


def _sparse_channels() -> frozenset[str]:
    from tickhouse_core.datasets import SPARSE_CHANNELS

    return SPARSE_CHANNELS


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange. The parsers are plain functions without a clock: recovery reads a frame or body from disk as it was
    read on arrival. Parsers of REST bodies raise VenueUnavailable for what they cannot read.
    """

    name: str
    settings: "type[BaseSettings]"
    """Its variables, such as addresses: one model, with a prefix of its own."""

    usual_symbols: tuple[str, ...]
    """What is recorded where nothing names symbols of it, in its spelling; errors show the first as an example."""

    channels: tuple[str, ...]
    intervals: tuple[str, ...]
    """Kline intervals in our words (`1m`, `4h`, `1M`); the venue's own names stay in its folder."""

    floating_intervals: tuple[str, ...]
    """Intervals whose grid starts at the venue's first kline."""

    earliest_us: int
    page_rows: int
    """Maximum klines per answer."""

    snapshot_levels: tuple[int, ...]
    """Levels per side that a snapshot can be requested with, ascending."""

    usual_levels: Callable[[int], int]
    """Number of symbols to the default levels per side of a capture."""

    parse_frame: Callable[[bytes, int], list[Any]]
    """Frame and receipt_time to records and control messages, in order. Raises FrameRefused."""

    parse_depth: "Callable[[bytes, str, str], DepthSnapshot]"
    """Body, symbol, reason."""

    parse_trades: "Callable[[bytes, str], list[AnsweredTrade]]"
    """Body, symbol."""

    parse_klines: "Callable[[bytes, str, str, int], pa.Table]"
    """Body, symbol, interval, receipt_time."""

    sockets: "SocketRules"
    stream_names: Callable[[Mapping[str, Sequence[str]], Mapping[str, str]], list[str]]
    """Channels by symbol, and the interval by symbol where there are klines, to stream names; a symbol's are adjacent."""

    key_of_stream: "Callable[[str], StreamKey]"
    subscribe_messages: Callable[[Sequence[str]], Iterator[tuple[int, bytes]]]
    """Subscribe messages for these streams, each with the id of its reply."""

    open_rest: "Callable[[Path, int], AbstractAsyncContextManager[VenueRest]]"
    """Opens the REST API for one process: the folder where bans are stored, and the number of concurrent requests."""

    open_archive: "Callable[[int], AbstractAsyncContextManager[Archive]] | None" = None
    """None: the venue has no readable bulk files."""

    open_history: "Callable[[Path, int], AbstractAsyncContextManager[HistoryRest]] | None" = None
    """None: the venue has neither funding rates nor open interest."""

    sparse_channels: frozenset[str] = field(default_factory=_sparse_channels)
    """Channels whose ids grow without being consecutive: a jump is a gap only where the stream was interrupted.

    Those of `SPARSE_CHANNELS`, and what the venue has beside them.
    """

    rare_channels: frozenset[str] = frozenset()
    """Channels that may be silent for hours although nothing is wrong."""

    polls: "Mapping[str, Poll]" = field(default_factory=dict)
    """Channels that REST is polled for, and how."""

    leaves_out_no_trades: bool = False
    """Trades over REST lack the ids that the venue says are no trades of the market: what an answer lacks between its first and
    its last trade is such an id."""

    quantities_are_contracts: bool = False
    """Of everything but candles in the quote asset. What a contract is worth is an event `contract` of each symbol."""

    top_channel: str = ""
    """The channel whose messages have the best of both sides at an update id of the book, which checks the running one."""

    socket_of: Callable[[str], str] = lambda stream: ""
    """The socket that serves a stream, by a name of the venue's own: streams of different ones never share a connection."""

    settle_seconds: float | None = None
    """Set where streamed klines never say that they are closed: REST has a kline this long after the next one began."""

    @property
    def symbol_example(self) -> str:
        return self.usual_symbols[0]

    def channel_of_frame(self, frame: bytes) -> str:
        """The channel of a frame's row; empty for a control message or an unreadable frame."""
        from extract_process.stream_ids import key_of
        from extract_process.venues.parsing import FrameRefused

        try:
            messages = self.parse_frame(frame, 0)
        except FrameRefused:
            return ""
        key = key_of(messages[0]) if messages else None
        return key.channel if key else ""

    def usual_mirror_levels(self, most: int) -> int:
        """The largest snapshot of at most `most` levels per side."""
        return max(levels for levels in self.snapshot_levels if levels <= most)


def register(name: str, module: str) -> None:
    """Registers a venue that is not part of the project, as a line above does."""
    _MODULES[name] = module


def venue_names() -> tuple[str, ...]:
    return tuple(_MODULES)


def venue_named(name: str) -> Venue:
    """Raises UsageError that lists the names."""
    if name not in _MODULES:
        raise UsageError(f"--venue {name!r}: choose from {', '.join(_MODULES)}")
    venue: Venue = import_module(_MODULES[name]).VENUE
    return venue

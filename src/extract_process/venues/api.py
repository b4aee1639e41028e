"""Venue: all that the commands must know of one exchange, as one value. Its parts live in the venue's folder.

What is said on its sockets and in its answers is the Dialect; what may be asked, and how much of it, is VenueRest.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from extract_process.kline_grid import Range
from extract_process.stream_key import StreamKey
from extract_process.venues.parsing import Dialect


@dataclass(slots=True)
class RequestTally:
    """What was asked so far: requests and weight sent, answers that had to be asked for again, 429s met."""

    requests: int = 0
    weight: int = 0
    retries: int = 0
    rate_limited: int = 0
    klines: int = 0
    by_path: dict[str, int] = field(default_factory=dict)


class Budget(Protocol):
    """The venue's request limit, in its own unit and window."""

    limit: int

    @property
    def used_weight(self) -> int:
        """Of the limit, in the current window."""


class VenueRest(Protocol):
    """Async and safe for many tasks at once. Errors: VenueUnavailable after all retries, VenueRefused, VenueBanned."""

    tally: RequestTally

    @property
    def budget(self) -> Budget:
        """What everything that asks from this address shares."""

    def server_now(self) -> int:
        """The venue's clock, microseconds, as far as the last `synchronize_clock` knows."""

    async def synchronize_clock(self) -> None:
        """Learns the venue's clock; late by the answer's way at most and never early."""

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        """Whether each of these symbols trades now; learns the limit where the venue says it.

        Raises UnknownSymbols that names all unknown ones.
        """

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        """The open time of the venue's first kline in `wanted`, None where there is none.

        Where there are klines before `wanted`, any answer up to its first open time will do.
        """

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> pa.Table:
        """Closed klines with open times in `span` (inclusive), oldest first, at most `page_rows` of the venue."""

    async def fetch_klines_body(self, symbol: str, interval: str, span: Range) -> bytes:
        """One answer that the dialect's `parse_klines` reads, as the venue sent it."""

    async def fetch_depth_body(self, symbol: str, levels: int) -> bytes:
        """An order book snapshot as the venue sent it. Bodies are parsed by who asks: once, where that is no hindrance."""

    async def fetch_recent_trades_body(self, symbol: str) -> bytes:
        """The last trades the venue has at hand."""

    async def fetch_trades_body(self, symbol: str, from_id: int) -> bytes:
        """Trades from this id on. Raises VenueRefused where the venue has no history."""

    def snapshot_pause(self, levels: int, share: float) -> float:
        """Seconds between two snapshots of so many levels that together use this share of the limit."""


class Archive(Protocol):
    """The venue's bulk files. None where a file is not published, which proves nothing about the market.

    Errors name the file: VenueRefused where it is unusable for good, VenueUnavailable where it was after all retries.
    """

    requests: int

    async def fetch_month(self, symbol: str, interval: str, month: str) -> pa.Table | None:
        """All klines of a calendar month (`YYYY-MM`), in the file's order."""

    async def fetch_day(self, symbol: str, interval: str, day: str) -> pa.Table | None:
        """All klines of a day (`YYYY-MM-DD`)."""

    async def publishes(self, symbol: str, interval: str, date: str) -> bool:
        """Whether there is a file of this month or day."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one connection goes and what keeps it alive.

    `ping` makes the message that is due every `ping_seconds` (None: the venue pings, and protocol pongs do); where
    the venue `says_welcome`, nothing is asked before that.
    """

    url: str
    says_welcome: bool = False
    ping_seconds: float = 0.0
    ping: Callable[[], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many in so many seconds."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SocketRules:
    """`messages` of a client on one connection; `connects` from one address."""

    streams_per_connection: int
    messages: Limit
    connects: Limit


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange. `symbol_example` shows people its spelling."""

    name: str
    symbol_example: str
    dialect: Dialect
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

    sockets: SocketRules
    stream_names: Callable[[Mapping[str, Sequence[str]], str], list[str]]
    """The streams for these channels of each symbol, klines of this interval; a symbol's together."""

    key_of_stream: Callable[[str], StreamKey]
    subscribe_messages: Callable[[Sequence[str]], Iterator[tuple[int, bytes]]]
    """Messages that ask for these streams, with the ids of their replies."""

    open_rest: Callable[[Path, int], AbstractAsyncContextManager[VenueRest]]
    """The REST side of one process: the folder where bans are remembered, and how many requests go at once."""

    find_address: Callable[[VenueRest], Awaitable[Address]]
    """Asked anew for every connection. Raises VenueError."""

    open_archive: Callable[[int], AbstractAsyncContextManager[Archive]] | None = None
    """None: the venue has no bulk files that can be read."""

    def usual_mirror_levels(self, most: int) -> int:
        """The largest snapshot of at most so many levels a side."""
        return max(levels for levels in self.snapshot_levels if levels <= most)


def split_over_connections(names: Sequence[str], streams_per_connection: int) -> list[list[str]]:
    """The streams of each connection, as evenly as it goes."""
    connections = max(1, -(-len(names) // streams_per_connection))
    size = max(1, -(-len(names) // connections))
    return [list(names[start : start + size]) for start in range(0, len(names), size)]

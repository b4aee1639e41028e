"""What the recorder may use of any venue: control messages, socket addresses and limits, the REST API and the archive."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, Protocol

import pyarrow as pa

from extract_process.ranges import Range
from extract_process.records import AnsweredTrade, DepthSnapshot
from extract_process.venues.rest_client import Answer, RequestTally, RestClient
from tickhouse_core.datasets import TRADES, Dataset


class Reply(NamedTuple):
    """The answer to a control message; `error` is empty when it was accepted."""

    id: int | str | None
    error: str


class Welcome(NamedTuple):
    """The venue accepts subscriptions from now on; only some venues say so."""


class Pong(NamedTuple):
    """Reply to a ping message. It does not prove that data is delivered."""


class ServerShutdown(NamedTuple):
    """The venue is about to close this connection (since 2026-05-08; no lead time is promised)."""

    event_time: int


class Unknown(NamedTuple):
    """A message of an unrequested kind. It is tolerated, because venues add new kinds."""

    name: str


CONTROL_MESSAGES = (Reply, Welcome, Pong, ServerShutdown, Unknown)
"""What a frame may be that is no data."""


@dataclass(frozen=True, slots=True)
class Address:
    """URL of one connection and what keeps it alive.

    `ping` makes the message that is due every `ping_seconds` (None: the venue pings, and protocol pongs are enough). Where
    the venue `says_welcome`, nothing is sent before that.
    """

    url: str
    says_welcome: bool = False
    ping_seconds: float = 0.0
    ping: Callable[[], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` events per `seconds`."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SocketRules:
    """`messages`: client messages per connection; `connects`: new connections per address.

    `quiet_seconds`: a connection that is fine may be silent for so long, where the venue pings seldom.
    """

    streams_per_connection: int
    messages: Limit
    connects: Limit
    quiet_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Poll:
    """A channel that no socket delivers: one request to `path`, of this weight, has the present value of a symbol.

    `parse`: body and symbol to records. Raises UnusableAnswer.
    """

    path: str
    weight: int
    parse: Callable[[bytes, str], list[Any]]


class VenueRest(Protocol):
    """Async and safe for many tasks at once. Errors: VenueUnavailable after all retries, VenueRefused, VenueBanned."""

    client: RestClient
    """Clock, rate limit and request counts."""

    contract_sizes: dict[str, str]
    """What a unit of quantity is worth in the quote asset, by symbol; of markets whose quantities are contracts.

    Filled by `fetch_statuses`.
    """

    async def synchronize_clock(self) -> None:
        """Learns the venue's clock."""

    async def find_address(self, socket: str) -> Address:
        """The address of the next connection; called for each connection. `socket` is `Venue.socket_of` of its streams."""

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        """Whether each of these symbols trades now. Updates the rate limit where the answer includes it.

        Raises UnknownSymbols that names all unknown ones.
        """

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        """Open time of the venue's first kline in `wanted`, None if there is none.

        If there are klines before `wanted`, any result up to its first open time is correct.
        """

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> Answer[pa.Table]:
        """Closed klines with open times in `span` (inclusive), oldest first, at most `page_rows` of the venue."""

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        """An order book snapshot of at least this many levels per side, or the deepest the venue offers."""

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        """The venue's most recent trades, oldest first."""

    async def fetch_trades(self, symbol: str, from_id: int) -> Answer[list[AnsweredTrade]]:
        """Single trades from this id on, oldest first; never aggregates, which are not trades.

        Raises VenueRefused where the venue has no history.
        """

    def snapshot_pause(self, levels: int, share: float) -> float:
        """Seconds between snapshots of this depth so that they use at most this share of the limit."""


class HistoryRest(Protocol):
    """What futures have beside candles. Async; errors as VenueRest's."""

    markets: VenueRest
    """Clock and symbols of the same venue."""

    @property
    def most_rows(self) -> Mapping[str, int]:
        """By channel: a full answer may lack rows."""

    @property
    def tallies(self) -> Sequence[RequestTally]:
        """Of the history's requests."""

    def check(self, symbol: str, channel: str) -> None:
        """Raises UsageError for a symbol that has no such history; `channel` is `funding_rates` or `open_interest`."""

    async def fetch_funding_rates(self, symbol: str, span: Range) -> Answer[pa.Table]:
        """Rates settled in the span (microseconds, inclusive), oldest first; at most `most_rows`."""

    async def fetch_open_interest(self, symbol: str, period: str, span: Range) -> Answer[pa.Table]:
        """One row per period in the span, oldest first; at most `most_rows`."""


class TradeFile(Protocol):
    """All trades, or aggregates of them, of a day (`date` is `YYYY-MM-DD`) or month, proven by the venue's checksum.

    `sha256` is the file's.
    """

    name: str
    date: str
    sha256: str

    def tables(self) -> Iterator[pa.Table]:
        """Rows of its dataset in the file's order, some ten thousand at a time: a file may be larger than memory.

        Blocking. Raises VenueRefused for a file that cannot be read.
        """


class Archive(Protocol):
    """The venue's bulk files. None where a file is not published, which proves nothing about the market.

    Errors name the file: VenueRefused where it is unusable for good, VenueUnavailable where it was after all retries.
    """

    @property
    def requests(self) -> int:
        """Sent so far."""

    async def fetch_month(self, symbol: str, interval: str, month: str) -> pa.Table | None:
        """All klines of a calendar month (`YYYY-MM`), in the file's order."""

    async def fetch_day(self, symbol: str, interval: str, day: str) -> pa.Table | None:
        """All klines of a day (`YYYY-MM-DD`)."""

    async def fetch_trades(self, symbol: str, date: str, sink: IO[bytes], dataset: Dataset = TRADES) -> TradeFile | None:
        """The trades (or aggregates, by `dataset`) of a day (`YYYY-MM-DD`) or month (`YYYY-MM`).

        The file is written into `sink`, which it needs open.
        """

    async def publishes(self, symbol: str, interval: str, date: str) -> bool:
        """Whether there is a file of this month or day."""


def split_over_connections(names: Sequence[str], streams_per_connection: int) -> list[list[str]]:
    """The streams of each connection, evenly distributed."""
    connections = max(1, -(-len(names) // streams_per_connection))
    size = max(1, -(-len(names) // connections))
    return [list(names[start : start + size]) for start in range(0, len(names), size)]

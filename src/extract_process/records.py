"""PURE. What the venue said and what happened, as records in our words.

Prices and quantities are the venue's own text.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tickhouse_core.datasets import (
    BOOK_TICKERS,
    DEPTH_DIFFS,
    DEPTH_SNAPSHOTS,
    KLINES,
    LIQUIDATIONS,
    MARK_PRICES,
    OPEN_INTEREST,
    TICKERS,
    TRADES,
    Dataset,
)
from tickhouse_core.event_kinds import EventKind

Levels: TypeAlias = Sequence[Sequence[str]]
"""[[price, quantity], …] in the venue's order."""

ALL_SYMBOLS = "*"
"""The symbol of a stream of the whole market."""


class Trade(NamedTuple):
    """One trade; times in microseconds. Hot records are tuples: cheap to build, thousands a second."""

    symbol: str
    trade_id: int
    price: str
    quantity: str
    is_buyer_maker: bool
    trade_time: int
    event_time: int


class DepthDiff(NamedTuple):
    """One diff message: absolute quantities of the levels that changed, 0 for one that is gone."""

    symbol: str
    first_update_id: int
    last_update_id: int
    bids: Levels
    asks: Levels
    event_time: int


class DepthSnapshot(NamedTuple):
    """One REST answer of the book, best levels first; `reason` is why it was asked for."""

    symbol: str
    last_update_id: int
    bids: Levels
    asks: Levels
    reason: str


class Ticker(NamedTuple):
    """Rolling 24 hours of a symbol; None for what the venue does not send."""

    symbol: str
    event_time: int
    open: str | None
    high: str | None
    low: str | None
    close: str
    volume: str | None
    quote_volume: str | None
    best_bid_price: str | None = None
    best_bid_quantity: str | None = None
    best_ask_price: str | None = None
    best_ask_quantity: str | None = None
    update_id: int | None = None
    """Of the book that the best prices are of, where the venue sends it; no column."""


class BookTicker(NamedTuple):
    """Best price and quantity of both sides; 0 for a side that is empty.

    `update_id` is the book's where the venue sends it, else its time in milliseconds. Ids grow and jump: none proves that
    nothing is missing. `event_time` is in microseconds, None where the venue sends none.
    """

    symbol: str
    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    event_time: int | None = None


class Kline(NamedTuple):
    """A kline as streamed; the last message of each has `is_closed`. Times in microseconds."""

    symbol: str
    interval: str
    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trade_count: int
    taker_buy_volume: str
    taker_buy_quote_volume: str
    is_closed: bool


class MarkPrice(NamedTuple):
    """Of a future, once a second; None for what the venue does not send. Times in microseconds."""

    symbol: str
    event_time: int
    mark_price: str
    index_price: str | None
    settle_price: str | None
    funding_rate: str | None
    next_funding_time: int | None


class Liquidation(NamedTuple):
    """An order that liquidates a position, as of its last trade; `side` is `buy` or `sell`. Times in microseconds."""

    symbol: str
    liquidation_id: int
    side: str
    order_type: str
    time_in_force: str
    status: str
    quantity: str
    price: str
    average_price: str
    last_filled_quantity: str
    filled_quantity: str
    trade_time: int
    event_time: int


class OpenInterest(NamedTuple):
    """Contracts that are open at an instant (microseconds): the present value (`poll`), or one of a history with its `period`."""

    symbol: str
    event_time: int
    open_interest: str
    open_interest_value: str | None = None
    period: str = ""
    source: str = "poll"


_ID_BITS = 20


def liquidation_id(trade_time: int, *values: str) -> int:
    """The venue sends none: ours is `trade_time` in milliseconds, followed by bits of a checksum of the other values.

    The same message over two connections has the same id. Two orders of one millisecond have the same one with a chance of one
    in a million. Ids ascend with time, and are below 2^63 for as long as an instant is plausible.
    """
    return (trade_time // 1_000 << _ID_BITS) + (zlib.crc32("\n".join(values).encode()) & (1 << _ID_BITS) - 1)


class UnreadableRow(NamedTuple):
    """A message that would be a row but for a number that cannot be read; its ids, where it has any."""

    channel: str
    symbol: str
    interval: str
    first_id: int | None
    last_id: int | None
    why: str


class UnreadableTrade(NamedTuple):
    """A trade of a REST answer with a number that cannot be read: the venue has it, and it is no row. Microseconds."""

    trade_id: int
    event_time: int
    why: str


class NoTrade(NamedTuple):
    """An id among those of trades which the venue itself says is none of the market (`why`): no row, and no gap."""

    symbol: str
    trade_id: int
    event_time: int
    why: str


AnsweredTrade: TypeAlias = Trade | UnreadableTrade
"""What a REST answer of trades has of each."""

DATASET_OF: dict[type, Dataset] = {
    Trade: TRADES,
    DepthDiff: DEPTH_DIFFS,
    DepthSnapshot: DEPTH_SNAPSHOTS,
    Ticker: TICKERS,
    BookTicker: BOOK_TICKERS,
    MarkPrice: MARK_PRICES,
    Liquidation: LIQUIDATIONS,
    OpenInterest: OPEN_INTEREST,
    Kline: KLINES,
}
"""The dataset whose rows are such records; their fields have the names of its columns."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that happened to a stream or a backfill; a row of the dataset stream_events.

    For `gap`, `from_update_id`..`to_update_id` are the first and last missing ids, inclusive (klines: open_time in
    microseconds). Instants are microseconds since the epoch.
    """

    venue: str
    symbol: str
    channel: str
    instance: str
    event: EventKind
    from_update_id: int | None
    to_update_id: int | None
    started_at: int
    ended_at: int | None
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One pulse of a process; a row of the dataset heartbeats. Counters are since `started_at`."""

    venue: str
    process: str
    instance: str
    started_at: int
    beat_time: int
    connections: int
    frames: int
    rows: int
    spool_bytes: int
    detail: str


def top_of(ticker: Ticker) -> BookTicker | None:
    """Its best prices with their update id; None where one of these is missing."""
    bid, bid_quantity = ticker.best_bid_price, ticker.best_bid_quantity
    ask, ask_quantity = ticker.best_ask_price, ticker.best_ask_quantity
    if ticker.update_id is None or bid is None or bid_quantity is None or ask is None or ask_quantity is None:
        return None
    return BookTicker(ticker.symbol, ticker.update_id, bid, bid_quantity, ask, ask_quantity, ticker.event_time)

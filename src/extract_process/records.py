"""What the venue said and what happened, as records in our words. Prices and quantities are the venue's own text."""

from dataclasses import dataclass
from typing import NamedTuple

from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TICKERS, TRADES, Dataset

Levels = list[list[str]]
"""[[price, quantity], …] in the venue's order."""


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


class UnreadableRow(NamedTuple):
    """A message that would be a row but for a number that cannot be read; its ids, where it has any."""

    channel: str
    symbol: str
    interval: str
    first_id: int | None
    last_id: int | None
    why: str


DATASET_OF: dict[type, Dataset] = {
    Trade: TRADES,
    DepthDiff: DEPTH_DIFFS,
    DepthSnapshot: DEPTH_SNAPSHOTS,
    Ticker: TICKERS,
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
    event: str
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

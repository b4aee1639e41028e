"""PURE. What a tape is made of: what happened at an instant, the messages that say so, and what REST is to know of it."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

import pyarrow as pa

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.market.numbers import eight_places
from simulated_exchange.server.messages import Message
from tickhouse_core.datasets import Dataset
from tickhouse_core.reading.levels import flat

Pair = tuple[str, str]
"""Price and quantity."""


class Deal(NamedTuple):
    """A trade; times in microseconds."""

    trade_id: int
    price: str
    quantity: str
    is_buyer_maker: bool
    at: int
    sent_at: int


class Change(NamedTuple):
    """A diff: absolute quantities, zero for a level that is gone."""

    first_id: int
    last_id: int
    bids: list[Pair]
    asks: list[Pair]


class Snapshot(NamedTuple):
    """Best levels first."""

    update_id: int
    bids: list[Pair]
    asks: list[Pair]


class Day(NamedTuple):
    """A ticker row; None for what the venue's ticker does not say."""

    at: int
    open: str | None
    high: str | None
    low: str | None
    close: str
    volume: str | None
    quote_volume: str | None


class Bar(NamedTuple):
    """A closed kline; times in milliseconds, texts with eight places."""

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


class Item(NamedTuple):
    """`at`: the venue's time in microseconds. `symbol` is empty for a message of the whole market."""

    at: int
    symbol: str
    messages: tuple[Message, ...]
    fact: Deal | Change | Snapshot | Day | None


class Words(Protocol):
    """A venue's messages, made of rows of the lake. Tables have the columns of their dataset."""

    name: str
    """The venue's, in the lake."""

    def stream(self, dataset: Dataset, symbol: str) -> str:
        """What to subscribe to for a channel of a symbol."""

    def trades(self, rows: pa.Table) -> Iterator[Item]: ...

    def diffs(self, rows: pa.Table) -> Iterator[Item]: ...

    def tickers(self, rows: pa.Table) -> Iterator[Item]: ...

    def kline_stream(self, name: str, symbols: Iterable[str]) -> tuple[str, str] | None:
        """Symbol and interval (as the lake spells it) of a stream of klines of these symbols; None for another one."""

    def kline(self, stream: str, symbol: str, interval: str, bar: Bar) -> Iterator[Message]:
        """What is said when it has closed."""

    def base_and_quote(self, symbol: str) -> tuple[str, str]: ...


def columns(rows: pa.Table, *names: str) -> Iterator[tuple[int | str | bool | None, ...]]:
    """Rows as tuples: instants in microseconds, decimals as texts with eight places."""
    return zip(*(_plain(rows.column(name)) for name in names), strict=True)


def sides(rows: pa.Table) -> Iterator[tuple[list[Pair], list[Pair]]]:
    """Bids and asks of diffs or snapshots."""
    return zip(*(_pairs(rows.column(name)) for name in ("bids", "asks")), strict=True)


def snapshots(rows: pa.Table, ahead_us: int | None) -> Iterator[Item]:
    """They are known so long before they were received: a book is wanted from the first diff on. None: from the beginning."""
    named = columns(rows, "receipt_time", "symbol", "last_update_id")
    for (at, symbol, update_id), (bids, asks) in zip(named, sides(rows), strict=True):
        yield Item(0 if ahead_us is None else int(at or 0) - ahead_us, str(symbol), (), Snapshot(int(update_id or 0), bids, asks))


def in_unit(at: int, unit: TimeUnit) -> int:
    """Microseconds in the unit a client asked for."""
    return at if unit is TimeUnit.MICROSECOND else at // 1_000


def _plain(column: pa.ChunkedArray) -> list[int | str | bool | None]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        whole = column.combine_chunks()
        column = eight_places(whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole)
    plain: list[int | str | bool | None] = column.to_pylist()
    return plain


def _pairs(column: pa.ChunkedArray) -> Iterator[list[Pair]]:
    levels, borders = flat(column)
    pairs = list(zip(eight_places(levels.field(0)).to_pylist(), eight_places(levels.field(1)).to_pylist(), strict=True))
    places = borders.tolist()
    return (pairs[start:end] for start, end in pairwise(places))

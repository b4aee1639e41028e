"""Binance put together: its dialect, limits, streams, REST API and archive as one Venue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.venues.api import Address, Limit, SocketRules, Venue, VenueRest
from extract_process.venues.ban_store import BanStore
from extract_process.venues.binance.archive import BinanceArchive
from extract_process.venues.binance.dialect import BINANCE
from extract_process.venues.binance.messages import EARLIEST_US, INTERVALS
from extract_process.venues.binance.rest import PAGE_ROWS, BinanceRest
from extract_process.venues.binance.subscriptions import (
    CHANNELS,
    CONNECTS_WINDOW_SECONDS,
    MOST_CONNECTS,
    MOST_MESSAGES_A_SECOND,
    MOST_STREAMS,
    STREAM_PATH,
    key_of_stream,
    stream_names,
    subscribe_messages,
)
from extract_process.venues.rate_limit import WeightBudget
from extract_process.venues.rest_client import open_client
from tickhouse_core.settings import BinanceSettings, read

_FIRST_LIMIT = 1_200
"""Weight a minute before exchangeInfo has told the real limit: the lowest the venue ever had."""

_MANY_SYMBOLS = 50
"""Above it, snapshots have 1,000 levels a side instead of 5,000: 24 of the larger fit into a minute's weight."""

_MESSAGES_SECONDS = 1.25
"""The venue counts in a second of its own clock: messages may be that much closer together there than they were here."""


@asynccontextmanager
async def _open_rest(ban_folder: Path, connections: int) -> AsyncIterator[VenueRest]:
    async with open_client(read(BinanceSettings).rest_url, connections) as (client, host):
        yield BinanceRest(client, WeightBudget(_FIRST_LIMIT), BanStore(ban_folder, BINANCE.venue, host))


@asynccontextmanager
async def _open_archive(connections: int) -> AsyncIterator[BinanceArchive]:
    async with open_client(read(BinanceSettings).archive_url, connections) as (client, _):
        yield BinanceArchive(client)


async def _find_address(_: VenueRest) -> Address:
    return Address(read(BinanceSettings).ws_url + STREAM_PATH)


VENUE = Venue(
    name=BINANCE.venue,
    symbol_example="BTCUSDT",
    dialect=BINANCE,
    channels=CHANNELS,
    intervals=INTERVALS,
    floating_intervals=("3d",),
    earliest_us=EARLIEST_US,
    page_rows=PAGE_ROWS,
    snapshot_levels=(100, 500, 1_000, 5_000),
    usual_levels=lambda symbols: 1_000 if symbols > _MANY_SYMBOLS else 5_000,
    sockets=SocketRules(
        streams_per_connection=MOST_STREAMS,
        messages=Limit(MOST_MESSAGES_A_SECOND, _MESSAGES_SECONDS),
        connects=Limit(MOST_CONNECTS, CONNECTS_WINDOW_SECONDS),
    ),
    stream_names=stream_names,
    key_of_stream=key_of_stream,
    subscribe_messages=subscribe_messages,
    open_rest=_open_rest,
    find_address=_find_address,
    open_archive=_open_archive,
)

"""Binance put together as one Venue: its streams, frames, REST API and bulk archive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.venues import Venue
from extract_process.venues.binance import klines, rest, ws
from extract_process.venues.binance.archive import BinanceArchive
from extract_process.venues.rest_client import BanStore, RestClient, host_of, open_client
from extract_process.venues.weight_file import SharedRateLimit
from tickhouse_core.settings import read
from tickhouse_core.timestamps import MINUTE_US

_FIRST_LIMIT = 1_200
"""Weight a minute before exchangeInfo has told the real limit: the lowest the venue ever had."""

_MANY_SYMBOLS = 50
"""Above it, snapshots have 1,000 levels a side instead of 5,000: 24 of the larger fit into a minute's weight."""


@asynccontextmanager
async def _open_rest(spool: Path, connections: int) -> AsyncIterator[rest.BinanceRest]:
    url = read(rest.BinanceSettings).rest_url
    limit = SharedRateLimit(spool, klines.NAME, host_of(url), _FIRST_LIMIT, MINUTE_US, is_aligned=True)
    async with open_client(url, connections) as client:
        bans = BanStore(spool, klines.NAME, host_of(url))
        yield rest.BinanceRest(RestClient(client, limit, bans, rest.classify, rest.tally_of))


@asynccontextmanager
async def _open_archive(connections: int) -> AsyncIterator[BinanceArchive]:
    async with open_client(read(rest.BinanceSettings).archive_url, connections) as client:
        yield BinanceArchive(client)


VENUE = Venue(
    name=klines.NAME,
    settings=rest.BinanceSettings,
    usual_symbols=("BTCUSDT", "ETHUSDT"),
    channels=ws.CHANNELS,
    intervals=ws.INTERVALS,
    floating_intervals=("3d",),
    earliest_us=1_483_228_800_000_000,  # 2017-01-01: it has nothing older, and refuses questions about earlier times
    page_rows=rest.PAGE_ROWS,
    snapshot_levels=(100, 500, 1_000, 5_000),
    usual_levels=lambda symbols: 1_000 if symbols > _MANY_SYMBOLS else 5_000,
    parse_frame=ws.parse_frame,
    parse_depth=rest.parse_depth,
    parse_trades=rest.parse_trades,
    parse_klines=klines.parse_klines,
    sockets=ws.SOCKETS,
    stream_names=ws.stream_names,
    key_of_stream=ws.key_of_stream,
    subscribe_messages=ws.subscribe_messages,
    open_rest=_open_rest,
    open_archive=_open_archive,
    top_channel="book_tickers",
)

"""Binance's two futures markets, USD-M and COIN-M: each is a venue of its own, made of the same parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.venues import Venue
from extract_process.venues.binance import ws as spot
from extract_process.venues.binance.archive import BinanceArchive
from extract_process.venues.binance.futures import history, rest, ws
from extract_process.venues.binance.futures.product import Product
from extract_process.venues.binance.rest import classify, parse_depth, parse_trades, tally_of
from extract_process.venues.rest_client import BanStore, RestClient, host_of, open_client
from extract_process.venues.weight_file import SharedRateLimit
from tickhouse_core.settings import read
from tickhouse_core.timestamps import MINUTE_US

_FAMILY = "binance-futures"
"""Both markets count one weight: "UM and CM share a single 2400 weight budget per IP per minute" (notice of 2026-06-10)."""

_FIVE_MINUTES = 5 * MINUTE_US
_FIRST_LIMIT = 2_400
"""Weight a minute, until exchangeInfo has told the real limit."""


def venue_of(product: Product) -> Venue:
    """The market as the recorder uses it."""

    @asynccontextmanager
    async def open_rest(spool: Path, connections: int) -> AsyncIterator[rest.FuturesRest]:
        url = read(product.settings).rest_url
        host = _host_of(url)
        limit = SharedRateLimit(spool, _FAMILY, host, _FIRST_LIMIT, MINUTE_US, is_aligned=True)
        async with open_client(url, connections) as client:
            bans = BanStore(spool, _FAMILY, host)
            yield rest.FuturesRest(RestClient(client, limit, bans, classify, tally_of), product)

    @asynccontextmanager
    async def open_archive(connections: int) -> AsyncIterator[BinanceArchive]:
        async with open_client(read(product.settings).archive_url, connections) as client:
            yield BinanceArchive(client, product.archive, product.name)

    @asynccontextmanager
    async def open_history(spool: Path, connections: int) -> AsyncIterator[history.FuturesHistory]:
        url = read(product.settings).rest_url
        bans = BanStore(spool, _FAMILY, _host_of(url))
        async with open_rest(spool, connections) as markets, open_client(url, connections) as client:

            def limited(name: str, requests: int) -> RestClient:
                limit = SharedRateLimit(spool, f"{product.name}-{name}", _host_of(url), requests, _FIVE_MINUTES, is_aligned=False)
                return RestClient(client, limit, bans, classify)

            funding = limited("funding", history.FUNDING_REQUESTS)
            yield history.FuturesHistory(markets, funding, limited("open-interest", history.OPEN_INTEREST_REQUESTS), product)

    return Venue(
        name=product.name,
        settings=product.settings,
        usual_symbols=product.usual_symbols,
        channels=ws.CHANNELS,
        intervals=ws.INTERVALS,
        floating_intervals=("3d",),
        earliest_us=product.earliest_us,
        page_rows=rest.PAGE_ROWS,
        snapshot_levels=rest.SNAPSHOT_LEVELS,
        usual_levels=lambda symbols: rest.SNAPSHOT_LEVELS[-1],
        parse_frame=ws.parse_frame,
        parse_depth=parse_depth,
        parse_trades=parse_trades,
        parse_klines=product.parse_klines,
        sockets=ws.SOCKETS,
        stream_names=ws.stream_names,
        key_of_stream=ws.key_of_stream,
        subscribe_messages=spot.subscribe_messages,
        open_rest=open_rest,
        open_archive=open_archive,
        open_history=open_history,
        rare_channels=frozenset({"liquidations"}),
        polls=rest.polls_of(product),
        leaves_out_no_trades=True,
        quantities_are_contracts=product.quantities_are_contracts,
        top_channel="book_tickers",
        socket_of=product.socket_of,
    )


def _host_of(url: str) -> str:
    """One name for both markets, which share their limits."""
    return host_of(url).removeprefix("fapi.").removeprefix("dapi.")

"""KuCoin put together as one Venue: its topics, messages and REST API. Its bulk files are not read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.venues import Venue
from extract_process.venues.kucoin import rest, ws
from extract_process.venues.rest_client import BanStore, RestClient, host_of, open_client
from extract_process.venues.weight_file import SharedRateLimit
from tickhouse_core.datasets import SPARSE_CHANNELS
from tickhouse_core.settings import read

_FIRST_LIMIT = 2_000
"""Weight of the public pool a window, until the first answer has told the real limit."""


@asynccontextmanager
async def _open_rest(spool: Path, connections: int) -> AsyncIterator[rest.KucoinRest]:
    url = read(rest.KucoinSettings).rest_url
    limit = SharedRateLimit(spool, rest.NAME, host_of(url), _FIRST_LIMIT, rest.WINDOW_US, is_aligned=False)
    async with open_client(url, connections) as client:
        bans = BanStore(spool, rest.NAME, host_of(url))
        yield rest.KucoinRest(RestClient(client, limit, bans, rest.classify, rest.tally_of))


VENUE = Venue(
    name=rest.NAME,
    settings=rest.KucoinSettings,
    usual_symbols=("BTC-USDT", "ETH-USDT"),
    channels=ws.CHANNELS,
    intervals=tuple(ws.VENUE_INTERVALS),
    floating_intervals=("1w",),
    earliest_us=rest.EARLIEST_US,
    page_rows=rest.PAGE_ROWS,
    snapshot_levels=(rest.FEW_LEVELS, rest.MANY_LEVELS),
    usual_levels=lambda symbols: rest.MANY_LEVELS,
    parse_frame=ws.parse_frame,
    parse_depth=rest.parse_depth,
    parse_trades=rest.parse_trades,
    parse_klines=rest.parse_klines,
    sockets=ws.SOCKETS,
    stream_names=ws.stream_names,
    key_of_stream=ws.key_of_stream,
    subscribe_messages=ws.subscribe_messages,
    open_rest=_open_rest,
    sparse_channels=SPARSE_CHANNELS | {"trades"},
    top_channel="ticker",
    settle_seconds=5.0,  # between the first message of the next candle and the question how the one before ended
)

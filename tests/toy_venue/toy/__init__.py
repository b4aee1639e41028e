"""The toy venue put together as one Venue: its streams, messages and REST API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.venues.toy import rest, ws

from extract_process.venues import Venue
from extract_process.venues.rest_client import BanStore, RestClient, host_of, open_client
from extract_process.venues.weight_file import SharedRateLimit
from tickhouse_core.settings import read
from tickhouse_core.timestamps import MINUTE_US


@asynccontextmanager
async def _open_rest(spool: Path, connections: int) -> AsyncIterator[rest.ToyRest]:
    url = read(rest.ToySettings).url
    limit = SharedRateLimit(spool, rest.NAME, host_of(url), 600, MINUTE_US, is_aligned=True)
    async with open_client(url, connections) as client:
        yield rest.ToyRest(RestClient(client, limit, BanStore(spool, rest.NAME, host_of(url)), rest.classify))


VENUE = Venue(
    name=rest.NAME,
    settings=rest.ToySettings,
    usual_symbols=("FOO/BAR",),
    channels=ws.CHANNELS,
    intervals=("1m", "1h"),
    floating_intervals=(),
    earliest_us=1_704_067_200_000_000,
    page_rows=rest.PAGE_ROWS,
    snapshot_levels=(100, 1_000),
    usual_levels=lambda symbols: 1_000,
    parse_frame=ws.parse_frame,
    parse_depth=rest.parse_depth,
    parse_trades=rest.parse_trades,
    parse_klines=rest.parse_klines,
    sockets=ws.SOCKETS,
    stream_names=ws.stream_names,
    key_of_stream=ws.key_of_stream,
    subscribe_messages=ws.subscribe_messages,
    open_rest=_open_rest,
)

"""KuCoin put together: its dialect, limits, topics and REST API as one Venue. Its bulk files are not read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from extract_process.venues.api import Address, Limit, SocketRules, Venue, VenueRest
from extract_process.venues.ban_store import BanStore
from extract_process.venues.kucoin.dialect import KUCOIN
from extract_process.venues.kucoin.intervals import VENUE_NAMES
from extract_process.venues.kucoin.messages import EARLIEST_US
from extract_process.venues.kucoin.pool_budget import PoolBudget
from extract_process.venues.kucoin.rest import FEW_LEVELS, MANY_LEVELS, PAGE_ROWS, KucoinRest
from extract_process.venues.kucoin.subscriptions import (
    CHANNELS,
    CONNECTS_WINDOW_SECONDS,
    MESSAGES_WINDOW_SECONDS,
    MOST_CONNECTS,
    MOST_MESSAGES,
    MOST_TOPICS,
    key_of_stream,
    ping_message,
    stream_names,
    subscribe_messages,
)
from extract_process.venues.rest_client import open_client
from tickhouse_core.settings import KucoinSettings, read
from tickhouse_core.timestamps import now_us

_POOL_LIMIT = 2_000
"""Weight in 30 s, until the first answer has told the real limit."""


@asynccontextmanager
async def _open_rest(ban_folder: Path, connections: int) -> AsyncIterator[VenueRest]:
    async with open_client(read(KucoinSettings).rest_url, connections) as (client, host):
        yield KucoinRest(client, PoolBudget(_POOL_LIMIT), BanStore(ban_folder, KUCOIN.venue, host))


async def _find_address(rest: VenueRest) -> Address:
    """A new token for every connection; where it goes and how often it pings is the venue's word."""
    assert isinstance(rest, KucoinRest)
    token = await rest.fetch_token()
    query = urlencode({"token": token.token, "connectId": uuid4().hex})
    return Address(
        url=f"{token.endpoint}?{query}",
        says_welcome=True,
        ping_seconds=token.ping_seconds,
        ping=lambda: ping_message(now_us()),
    )


VENUE = Venue(
    name=KUCOIN.venue,
    symbol_example="BTC-USDT",
    dialect=KUCOIN,
    channels=CHANNELS,
    intervals=tuple(VENUE_NAMES),
    floating_intervals=("1w",),
    earliest_us=EARLIEST_US,
    page_rows=PAGE_ROWS,
    snapshot_levels=(FEW_LEVELS, MANY_LEVELS),
    usual_levels=lambda symbols: MANY_LEVELS,
    sockets=SocketRules(
        streams_per_connection=MOST_TOPICS,
        messages=Limit(MOST_MESSAGES, MESSAGES_WINDOW_SECONDS * 1.25),
        connects=Limit(MOST_CONNECTS, CONNECTS_WINDOW_SECONDS),
    ),
    stream_names=stream_names,
    key_of_stream=key_of_stream,
    subscribe_messages=subscribe_messages,
    open_rest=_open_rest,
    find_address=_find_address,
)

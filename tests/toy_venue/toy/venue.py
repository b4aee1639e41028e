"""The toy venue put together as one Venue: settings, limits, streams."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from extract_process.toy.messages import TOY
from extract_process.toy.rest_api import PAGE_ROWS, ToyRest
from pydantic import Field
from pydantic_settings import BaseSettings

from extract_process.stream_key import StreamKey
from extract_process.venues.api import Address, Limit, SocketRules, Venue, VenueRest
from extract_process.venues.rest_client import open_client
from tickhouse_core.settings import read

NAMES_PER_MESSAGE = 10


class ToySettings(BaseSettings, env_prefix="TOY_", env_ignore_empty=True):
    """The toy venue's endpoint."""

    url: str = Field("https://toy.invalid", pattern=r"^https?://\S+$")


def stream_names(wanted: Mapping[str, Sequence[str]], interval: str) -> list[str]:
    return [f"{channel} {symbol}" for symbol, channels in wanted.items() for channel in channels]


def key_of_stream(stream: str) -> StreamKey:
    channel, _, symbol = stream.partition(" ")
    return StreamKey(channel, symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for number, start in enumerate(range(0, len(names), NAMES_PER_MESSAGE), start=1):
        yield number, orjson.dumps({"do": number, "ask": list(names[start : start + NAMES_PER_MESSAGE])})


@asynccontextmanager
async def _open_rest(ban_folder: Path, connections: int) -> AsyncIterator[VenueRest]:
    async with open_client(read(ToySettings).url, connections) as (client, _):
        yield ToyRest(client)


async def _find_address(rest: VenueRest) -> Address:
    return Address(read(ToySettings).url.replace("http", "ws", 1) + "/feed")


VENUE = Venue(
    name=TOY.venue,
    symbol_example="FOO/BAR",
    dialect=TOY,
    channels=("trades", "depth"),
    intervals=("1m", "1h"),
    floating_intervals=(),
    earliest_us=1_704_067_200_000_000,
    page_rows=PAGE_ROWS,
    snapshot_levels=(100, 1_000),
    usual_levels=lambda symbols: 1_000,
    sockets=SocketRules(streams_per_connection=50, messages=Limit(5, 1.25), connects=Limit(100, 60.0)),
    stream_names=stream_names,
    key_of_stream=key_of_stream,
    subscribe_messages=subscribe_messages,
    open_rest=_open_rest,
    find_address=_find_address,
)

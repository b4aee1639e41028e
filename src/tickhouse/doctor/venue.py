"""The doctor's look at an exchange: reached over REST and websocket, not banned, and clocks that agree."""

import asyncio
import time
from collections.abc import Iterator

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from extract_process.venues import Venue, venue_named
from extract_process.venues.api import VenueRest
from tickhouse.doctor.findings import CheckFailed, Finding
from tickhouse_core.errors import VenueBanned, VenueError
from tickhouse_core.settings import SpoolSettings, read
from tickhouse_core.timestamps import SECOND_US, now_us

MOST_SKEW_SECONDS = 1.0
_SECONDS = 8.0


def check_rest(name: str) -> Iterator[Finding]:
    venue = venue_named(name)
    _, seconds = asyncio.run(_compare_clocks(venue))
    yield Finding("exchange", "ok", f"{name} answers within {seconds * 1_000:.0f} ms")


def check_clock(name: str) -> Iterator[Finding]:
    skew, seconds = asyncio.run(_compare_clocks(venue_named(name)))
    words = f"this machine's clock is {abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} the exchange's"
    if abs(skew) > MOST_SKEW_SECONDS + seconds:
        raise CheckFailed(words, "let the machine keep time: timedatectl set-ntp true (or chronyc makestep)")
    yield Finding("clock", "ok", words)


def check_websocket(name: str) -> Iterator[Finding]:
    venue = venue_named(name)
    for shown in asyncio.run(_knock(venue)):
        yield Finding("websocket", "ok", f"{shown} takes websockets")


async def _compare_clocks(venue: Venue) -> tuple[float, float]:
    """How far our clock is ahead of the venue's, and how long the question took: seconds."""
    async with venue.open_rest(read(SpoolSettings).folder, 1) as rest:
        began = time.monotonic()
        await _asked(venue, rest)
        return (now_us() - rest.client.server_now()) / SECOND_US, time.monotonic() - began


async def _asked(venue: Venue, rest: VenueRest) -> None:
    setting = f"{_prefix(venue)}_REST_URL"
    try:
        async with asyncio.timeout(_SECONDS):
            await rest.synchronize_clock()
    except VenueBanned as error:
        raise CheckFailed(str(error), "wait until then: asking earlier makes it longer") from error
    except (VenueError, TimeoutError) as error:
        fix = f"is this machine online? correct {setting}; where the venue is blocked use python -m simulated_exchange"
        raise CheckFailed(f"{venue.name} does not answer over REST: {_words(error)}", fix) from error


async def _knock(venue: Venue) -> list[str]:
    """The addresses that took us, one of each socket, without what is secret in them."""
    symbol = venue.symbol_example
    names = venue.stream_names({symbol: venue.channels}, {symbol: venue.intervals[0]})
    async with venue.open_rest(read(SpoolSettings).folder, 1) as rest:
        await _asked(venue, rest)
        return [await _taken(venue, rest, socket) for socket in dict.fromkeys(map(venue.socket_of, names))]


async def _taken(venue: Venue, rest: VenueRest, socket: str) -> str:
    """The address of one socket, where it takes us."""
    url = (await rest.find_address(socket)).url
    shown = url.partition("?")[0]
    try:
        async with connect(url, open_timeout=_SECONDS, close_timeout=1):
            return shown
    except (OSError, WebSocketException, TimeoutError) as error:
        setting = "_".join([_prefix(venue), *filter(None, [socket.upper()]), "WS_URL"])
        fix = f"correct {setting}; behind a proxy or firewall allow it, or use python -m simulated_exchange"
        raise CheckFailed(f"{shown} takes no websocket: {_words(error)}", fix) from error


def _prefix(venue: Venue) -> str:
    """Of the venue's variables."""
    return venue.name.upper().replace("-", "_")


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

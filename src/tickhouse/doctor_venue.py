"""The doctor's look at the exchange: reached over REST and websocket, not banned, and clocks that agree."""

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from extract_process.ban_memory import BanMemory
from extract_process.binance.messages import VENUE
from extract_process.binance.streams import STREAM_PATH
from pipeline.settings import BinanceSettings, SpoolSettings, read
from pipeline.timestamps import format_instant, now_us
from tickhouse.finding import Finding, Ill

MOST_SKEW_SECONDS = 1.0
_SECONDS = 8.0


def check_rest() -> Iterator[Finding]:
    url = read(BinanceSettings).rest_url
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    ban = BanMemory(read(SpoolSettings).folder, VENUE, host).remembered(now_us())
    if ban is not None:
        what = f"{url} has shut this address out until {format_instant(ban.until_us)}"
        raise Ill(what, "wait until then: asking earlier makes it longer")
    _, _, seconds = _server_time(url)
    yield Finding("exchange", "ok", f"{url} answers within {seconds * 1_000:.0f} ms")


def check_clock() -> Iterator[Finding]:
    ours, theirs, seconds = _server_time(read(BinanceSettings).rest_url)
    skew = ours - theirs
    words = f"this machine's clock is {abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} the exchange's"
    if abs(skew) > MOST_SKEW_SECONDS + seconds:
        raise Ill(words, "let the machine keep time: timedatectl set-ntp true (or chronyc makestep)")
    yield Finding("clock", "ok", words)


def check_websocket() -> Iterator[Finding]:
    url = read(BinanceSettings).ws_url

    async def knock() -> None:
        async with connect(f"{url}{STREAM_PATH}", open_timeout=_SECONDS, close_timeout=1, proxy=None):
            pass

    try:
        asyncio.run(knock())
    except (OSError, WebSocketException, TimeoutError) as error:
        fix = "correct BINANCE_WS_URL; behind a proxy or firewall allow it, or use python -m simulated_exchange"
        raise Ill(f"{url} takes no websocket: {' '.join(str(error).split()) or type(error).__name__}", fix) from error
    yield Finding("websocket", "ok", f"{url} takes websockets")


def _server_time(url: str) -> tuple[float, float, float]:
    """Our clock in the middle of the request, the venue's, and how long it took: seconds."""
    began, clock = time.monotonic(), time.time()
    try:
        answer = httpx.get(f"{url}/api/v3/time", timeout=_SECONDS).raise_for_status()
        theirs = int(answer.json()["serverTime"]) / 1_000
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        fix = "is this machine online? correct BINANCE_REST_URL; where the venue is blocked use python -m simulated_exchange"
        raise Ill(f"{url} does not answer: {' '.join(str(error).split()) or type(error).__name__}", fix) from error
    seconds = time.monotonic() - began
    return clock + seconds / 2, theirs, seconds

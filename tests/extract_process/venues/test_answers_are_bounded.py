"""Every request of every venue's client is under a limit: an answer that says it is 200 MB is not read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from extract_process.ranges import Range
from extract_process.venues import venue_named
from extract_process.venues.api import VenueRest
from tickhouse_core.errors import VenueRefused

HUGE = 200_000_000
SYMBOLS = {"binance": "BTCUSDT", "kucoin": "BTC-USDT", "binance-usdm": "BTCUSDT", "binance-coinm": "BTCUSD_PERP"}
DAY = Range(1_704_067_200_000_000, 1_704_067_200_000_000 + 59 * 60_000_000)

REQUESTS: dict[str, Callable[[VenueRest, str], Awaitable[object]]] = {
    "the clock": lambda rest, _: rest.synchronize_clock(),
    "symbols": lambda rest, symbol: rest.fetch_statuses([symbol]),
    "the first kline": lambda rest, symbol: rest.fetch_first_open_time(symbol, "1m", DAY),
    "klines": lambda rest, symbol: rest.fetch_klines(symbol, "1m", DAY),
    "a snapshot": lambda rest, symbol: rest.fetch_depth(symbol, 100, "start"),
    "recent trades": lambda rest, symbol: rest.fetch_recent_trades(symbol),
    "old trades": lambda rest, symbol: rest.fetch_trades(symbol, 1),
}


@asynccontextmanager
async def venue_of_huge_answers(sent: list[int]) -> AsyncIterator[str]:
    """Answers everything with the head of 200 MB, and then as many bytes as the client takes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
                for _ in range(HUGE // 1_000_000):
                    writer.write(b" " * 1_000_000)
                    sent.append(1_000_000)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("name", SYMBOLS)
async def test_no_request_reads_a_huge_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    venue = venue_named(name)
    requests = dict(REQUESTS)
    if name == "kucoin":
        requests["an address"] = lambda rest, _: rest.find_address("")
    async with venue_of_huge_answers(sent) as url:
        monkeypatch.setenv(f"{name.upper().replace('-', '_')}_REST_URL", url)
        async with venue.open_rest(tmp_path, 1) as rest:
            for request, ask in requests.items():
                with pytest.raises(
                    VenueRefused, match=r"more than 33,554,432 bytes|REST has only the last 1,?0+ trades"
                ) as caught:
                    await ask(rest, SYMBOLS[name])
                assert "\n" not in str(caught.value), request
    assert sum(sent) < HUGE


def test_every_request_of_a_venue_is_in_the_list() -> None:
    public = {name for name in vars(VenueRest) if name.startswith(("fetch_", "synchronize_"))}
    assert len(REQUESTS) == len(public)

"""GapFiller: an answer is parsed where it arrives and never again, and landed once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from extract_process.live.capture import Capture, CaptureOptions
from extract_process.live.gap_filler import GapFiller
from extract_process.live.monitor import GapRequest, SnapshotRequest
from extract_process.live.recovery import Recovered
from extract_process.live.request_queue import RequestQueue
from extract_process.records import DepthSnapshot, Trade
from extract_process.spool.micro_batch import BatchLimits
from extract_process.spool.outbox import Outbox
from extract_process.spool.quota import SpoolQuota
from extract_process.stream_key import StreamKey
from extract_process.venues import venue_named
from extract_process.venues.api import VenueRest
from extract_process.venues.binance import VENUE
from extract_process.venues.binance.subscriptions import CHANNELS
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import VenueUnavailable

DEPTH = orjson.dumps({"lastUpdateId": 5, "bids": [["1.0", "2.0"]], "asks": [["1.5", "2.0"]]})
NOON = 1_704_110_400_000_000
TRADES = orjson.dumps([{"id": 7, "price": "1", "qty": "1", "time": 1_704_110_400_000, "isBuyerMaker": True}])


class Rest:
    """Answers at once."""

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        return Answer(DEPTH, NOON, VENUE.parse_depth(DEPTH, symbol, reason))

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[Trade]]:
        return Answer(TRADES, NOON, VENUE.parse_trades(TRADES, symbol))


async def test_an_answer_is_not_parsed_again(tmp_path: Path) -> None:
    """A book of 5,000 levels takes 17 ms: frames that wait for it would have a receipt time that is too late."""
    parsed: list[str] = []

    def parse_depth(body: bytes, symbol: str, reason: str) -> DepthSnapshot:
        parsed.append(symbol)
        return VENUE.parse_depth(body, symbol, reason)

    def parse_trades(body: bytes, symbol: str) -> list[Trade]:
        parsed.append(symbol)
        return VENUE.parse_trades(body, symbol)

    venue, queue = replace(VENUE, parse_depth=parse_depth, parse_trades=parse_trades), RequestQueue()
    asks = GapFiller(cast("VenueRest", Rest()), queue, venue, 5_000)
    options = CaptureOptions("main", ("BTCUSDT",), tmp_path, BatchLimits(), fsync_seconds=60)
    nobody: list[Any] = []
    room = SpoolQuota(10**12, CHANNELS)
    capture = Capture(venue, options, room, Outbox(tmp_path / "outbox"), Recovered(1, {}, []), nobody.append, lambda: None)
    asks.answer_to(capture)
    working = asyncio.create_task(queue.run())
    try:
        asks.put(SnapshotRequest("BTCUSDT", "start"))
        async with asyncio.timeout(20):
            while not capture.monitor.books(synced=True):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        capture.monitor.on_messages([Trade("BTCUSDT", 6, "1", "1", True, 1, 1), Trade("BTCUSDT", 8, "1", "1", True, 1, 1)], 1)
        asks.put(GapRequest(StreamKey("trades", "BTCUSDT"), 7, 7))
        rows = capture.counts.rows
        async with asyncio.timeout(20):
            while capture.counts.rows == rows:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert parsed == []
    finally:
        working.cancel()
        await asyncio.wait([working])
        assert capture.close(20)


async def test_trades_of_an_answer_that_does_not_reach_far_enough_are_not_landed_twice(tmp_path: Path) -> None:
    """KuCoin: whether more of them are missing is only known when a younger one is there; the question is asked again."""
    work: list[Callable[[], Awaitable[None]]] = []

    class Queue:
        def ask(self, urgency: object, name: str, asked: Callable[[], Awaitable[None]]) -> None:
            work.append(asked)

    class LastTrades:
        def __init__(self) -> None:
            self.ids = [6, 7]

        async def fetch_recent_trades(self, symbol: str) -> Answer[list[Trade]]:
            return Answer(b"{}", NOON, [Trade(symbol, number, "1", "1", False, NOON, NOON) for number in self.ids])

    rest, kucoin = LastTrades(), venue_named("kucoin")
    asks = GapFiller(cast("VenueRest", rest), cast("RequestQueue", Queue()), kucoin, 100)
    options = CaptureOptions("main", ("BTC-USDT",), tmp_path, BatchLimits(), fsync_seconds=60)
    nobody: list[Any] = []
    outbox, room = Outbox(tmp_path / "outbox"), SpoolQuota(10**12, CHANNELS)
    capture = Capture(kucoin, options, room, outbox, Recovered(1, {}, []), nobody.append, lambda: None)
    asks.answer_to(capture)
    asks.put(GapRequest(StreamKey("trades", "BTC-USDT"), 7, 7))
    with pytest.raises(VenueUnavailable, match="do not reach 7 yet"):
        await work[0]()
    assert capture.counts.rows == 0
    rest.ids = [6, 7, 9]
    await work[0]()
    assert capture.counts.rows == 1
    assert capture.close(20)

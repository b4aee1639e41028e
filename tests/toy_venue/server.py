"""The toy venue itself, on a free port of loopback: a book that changes every 10 ms, trades, an hour's klines. Not a test."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any

from aiohttp import WSMsgType, web
from tests.waiting import patience

SYMBOL = "FOO/BAR"
LISTED_MS = 1_704_067_200_000 + 90 * 60_000
"""An hour and a half into 2024."""


class ToyExchange:
    """Diff n sets the bid 100 - n % 7 to n; every fifth diff has a trade with the id n // 5. `skip` are never sent."""

    def __init__(self) -> None:
        self.url = ""
        self.number = 1_000
        self.skip = frozenset[int]()
        self._bids: dict[int, int] = {}
        self._listeners: dict[web.WebSocketResponse, set[str]] = {}

    async def start(self) -> web.AppRunner:
        app = web.Application()
        pages = {"/time": self._time, "/markets": self._markets, "/book": self._book, "/trades": self._trades}
        app.add_routes([web.get(path, page) for path, page in {**pages, "/klines": self._klines, "/feed": self._feed}.items()])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.number += 1
            self._bids[100 - self.number % 7] = self.number
            if self.number not in self.skip:
                await self._tell(f"depth {SYMBOL}", self._diff())
            if self.number % 5 == 0:
                await self._tell(f"trades {SYMBOL}", {"kind": "trade", "market": SYMBOL, **self._trade(self.number // 5)})

    async def _tell(self, stream: str, message: dict[str, Any]) -> None:
        for socket, asked in list(self._listeners.items()):
            if stream in asked and not socket.closed:
                await socket.send_json(message)

    def _diff(self) -> dict[str, Any]:
        bids = [[str(100 - self.number % 7), str(self.number)]]
        ids = {"first": self.number, "last": self.number, "at": time.time_ns() // 1_000_000}
        return {"kind": "book", "market": SYMBOL, "bids": bids, "asks": [], **ids}

    def _trade(self, number: int) -> dict[str, Any]:
        taker = "seller" if number % 2 else "buyer"
        return {"id": number, "price": "100.000000000001", "amount": "0.5", "taker": taker, "at": 1_780_000_000_000 + number}

    async def _time(self, _: web.Request) -> web.Response:
        return web.json_response({"now": time.time_ns() // 1_000_000})

    async def _markets(self, _: web.Request) -> web.Response:
        return web.json_response({SYMBOL: True})

    async def _book(self, _: web.Request) -> web.Response:
        bids = [[str(price), str(quantity)] for price, quantity in sorted(self._bids.items(), reverse=True)]
        return web.json_response({"id": self.number, "bids": bids, "asks": [["101", "1"]]})

    async def _trades(self, _: web.Request) -> web.Response:
        last = self.number // 5
        return web.json_response([self._trade(number) for number in range(last - 50, last + 1)])

    async def _klines(self, request: web.Request) -> web.Response:
        first, last = max(int(request.query["from"]), LISTED_MS), int(request.query["to"])
        opens = range(-(-first // 60_000) * 60_000, last + 1, 60_000)[:500]
        return web.json_response([[at, "1.5", "2", "1", "1.7", "10", "15", 3, "5", "7.5"] for at in opens])

    async def _feed(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = message.json()
                await socket.send_json({"did": asked["do"], "error": ""})
                self._listeners.setdefault(socket, set()).update(asked["ask"])
        self._listeners.pop(socket, None)
        return socket


@contextmanager
def running_toy() -> Iterator[ToyExchange]:
    """The venue in a thread of its own."""
    exchange, started = ToyExchange(), Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

    async def live() -> None:
        stop, runner = asyncio.Event(), await exchange.start()
        started.set_result((asyncio.get_running_loop(), stop))
        market = asyncio.create_task(exchange.run())
        await stop.wait()
        market.cancel()
        await asyncio.wait([market])
        await runner.cleanup()

    thread = Thread(target=lambda: asyncio.run(live()), name="toy", daemon=True)
    thread.start()
    loop, stop = started.result(patience(10))
    try:
        yield exchange
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(patience(10))

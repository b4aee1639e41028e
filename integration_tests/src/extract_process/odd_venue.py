"""A Binance of a few symbols that says exactly what a test tells it to, however odd. Not a test."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from aiohttp import WSMsgType, web

from .live import wait_until

NOW_US = 1_795_844_700_000_000
LEVELS = ([["99.99", "1.0"]], [["100.01", "1.0"]])


def diff(symbol: str, first: int, last: int | None = None, *, bids: Any = (), asks: Any = (), at: int | None = None) -> bytes:
    """A diff of the combined stream; its event time follows from its id unless `at` says it."""
    last = first if last is None else last
    data = {"e": "depthUpdate", "E": at or NOW_US + last, "s": symbol, "U": first, "u": last, "b": list(bids), "a": list(asks)}
    return orjson.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data})


def trade(symbol: str, number: int, price: Any = "100.00", quantity: Any = "0.5", at: int | None = None) -> bytes:
    time = at or NOW_US + number
    data = {"e": "trade", "E": time, "s": symbol, "t": number, "p": price, "q": quantity, "T": time, "m": True, "M": True}
    return orjson.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


class OddVenue:
    """Its sockets accept every subscription; `say` sends to all of them. `depth_of` makes the answer of a snapshot request."""

    def __init__(self, *symbols: str) -> None:
        self.known = set(symbols)
        self.book_ids = dict.fromkeys(symbols, 100)
        self.requests: Counter[str] = Counter()
        self.connects = 0
        self.is_refusing = False
        self.is_away = False
        """Every REST request is a 503."""

        self._asked: dict[web.WebSocketResponse, set[str]] = {}
        self.depth_of: Callable[[str], dict[str, Any]] = self._depth
        self.trades: list[dict[str, Any]] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="odd venue", daemon=True)

    @property
    def is_subscribed(self) -> bool:
        return bool(self._asked)

    @property
    def sockets(self) -> int:
        """With a subscription, open now."""
        return len(self._asked)

    def say(self, *frames: bytes) -> None:
        """In this order, to every socket that is subscribed; returns when all is handed to the sockets."""
        asyncio.run_coroutine_threadsafe(self._say(frames), self._loop).result(60)

    def say_to(self, stream: str, *frames: bytes) -> None:
        """The same, to the sockets that have asked for this stream."""
        asyncio.run_coroutine_threadsafe(self._say(frames, stream), self._loop).result(60)

    def refuse_sockets(self) -> None:
        """Every socket ends, and no other one opens."""
        self.is_refusing = True
        for socket in list(self._asked):
            asyncio.run_coroutine_threadsafe(socket.close(), self._loop).result(60)

    def list_symbol(self, symbol: str) -> None:
        """From now on the venue knows it."""
        self.book_ids[symbol] = 100
        self.known.add(symbol)

    def do(self, work: Callable[[], None]) -> None:
        """Something at the venue, in its own thread."""
        self._loop.call_soon_threadsafe(work)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)
        self._loop.close()

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._ended.wait()
        await runner.cleanup()

    async def _say(self, frames: tuple[bytes, ...], stream: str | None = None) -> None:
        for socket in [socket for socket, streams in self._asked.items() if stream is None or stream in streams]:
            for frame in frames:
                if not socket.closed:
                    await socket.send_str(frame.decode())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.is_refusing:
                return web.Response(status=503)
            return await self._talk(request)
        self.requests[request.path] += 1
        if self.is_away:
            return web.Response(status=503)
        return self._answer(request)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.connects += 1
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    asked = orjson.loads(message.data)
                    await socket.send_str(orjson.dumps({"result": None, "id": asked["id"]}).decode())
                    self._asked.setdefault(socket, set()).update(asked["params"])
        finally:
            self._asked.pop(socket, None)
        return socket

    def _answer(self, request: web.Request) -> web.Response:
        asked = request.query
        symbols = orjson.loads(asked["symbols"]) if "symbols" in asked else [asked["symbol"]] if "symbol" in asked else []
        if any(symbol not in self.known for symbol in symbols):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        match request.path:
            case "/api/v3/time":
                return web.json_response({"serverTime": NOW_US // 1_000})
            case "/api/v3/exchangeInfo":
                limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 600_000}]
                listed = [{"symbol": symbol, "status": "TRADING"} for symbol in symbols]
                return web.json_response({"rateLimits": limits, "symbols": listed})
            case "/api/v3/depth":
                return web.json_response(self.depth_of(symbols[0]))
            case "/api/v3/trades":
                return web.json_response(self.trades)
        return web.json_response({"code": -1, "msg": "not here"}, status=404)

    def _depth(self, symbol: str) -> dict[str, Any]:
        return {"lastUpdateId": self.book_ids[symbol], "bids": LEVELS[0], "asks": LEVELS[1]}


@contextmanager
def odd_venue(monkeypatch: pytest.MonkeyPatch, *symbols: str) -> Iterator[OddVenue]:
    """A venue that the environment points at, as long as the context lasts."""
    venue = OddVenue(*symbols)
    venue.start()
    monkeypatch.setenv("BINANCE_REST_URL", venue.url)
    monkeypatch.setenv("BINANCE_WS_URL", venue.url.replace("http", "ws"))
    try:
        yield venue
    finally:
        venue.stop()


def until_subscribed(venue: OddVenue) -> None:
    wait_until(lambda: venue.is_subscribed, "a subscribed socket")

"""A Binance or KuCoin of a few symbols that keeps account of all it says, and whose faults a seed chooses. Not a test.

Everything happens in one thread, tick by tick: faults that are due, then one diff and one trade a symbol, then a ping
that says the tick's number. A pong proves that the client has read everything up to that tick.
"""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import orjson
from aiohttp import ClientConnectionResetError, WSMsgType, web

TICK_SECONDS = 0.05
TICKS_A_SECOND = round(1 / TICK_SECONDS)
GRID = 60
"""Prices a side, a cent apart: a snapshot of 100 levels is the whole book."""

SILENT_TICKS = 8 * TICKS_A_SECOND
"""So long a silent successor is silent: longer than any client waits that has something better."""

NUMBERING = 1_000_000_000
"""From one numbering down to the next: ids of two numberings never meet."""

Level = list[Any]
Books = tuple[list[Level], list[Level]]


@dataclass(slots=True)
class Sent:
    """A message of the market: its ids, what was in it, whether it can be read, and the sockets that got it."""

    first: int
    last: int
    tick: int
    content: Any
    is_good: bool = True
    sockets: tuple["Socket", ...] = ()

    @property
    def is_certain(self) -> bool:
        """Some client has surely read it."""
        return any(socket.read_up_to >= self.tick for socket in self.sockets)


@dataclass(eq=False, slots=True)
class Socket:
    """One connection; `read_up_to` is the tick up to which the client has read everything."""

    wire: web.WebSocketResponse
    request: web.Request
    streams: set[str] = field(default_factory=set)
    read_up_to: int = -1
    is_mute_until: int = 0


@dataclass(slots=True)
class Market:
    """One symbol: its numbering, its book, all it ever said, and what is to happen to the next messages."""

    symbol: str
    chance: Random
    update_id: int
    trade_id: int
    bids: dict[str, str]
    asks: dict[str, str]
    diffs: list[Sent] = field(default_factory=list)
    trades: list[Sent] = field(default_factory=list)
    recent: deque[tuple[int, str, str, int]] = field(default_factory=lambda: deque(maxlen=1_000))
    books: dict[int, Books] = field(default_factory=dict)
    """The best 30 of both sides by last update id."""

    said_at: dict[int, float] = field(default_factory=dict)
    past: deque[tuple[int, list[Level], list[Level]]] = field(default_factory=lambda: deque(maxlen=20 * TICKS_A_SECOND))
    odd_levels: list[Level] = field(default_factory=list)
    odd_trades: list[Level] = field(default_factory=list)
    lose_diffs: int = 0
    lose_trades: int = 0
    numberings: int = 0
    no_trades_until: int = 0
    without_ids: dict[str, list[Sent]] = field(default_factory=dict)
    """By channel; the ids are the message's time in milliseconds."""

    def snapshot(self) -> tuple[int, list[Level], list[Level]]:
        bids, asks = (sorted(side.items(), key=lambda level: float(level[0])) for side in (self.bids, self.asks))
        return self.update_id, [list(level) for level in reversed(bids)], [list(level) for level in asks]


class ChaosVenue(ABC):
    """One venue; `faults` are called at their ticks. To be read only after `stop`, but for `connects` and `is_watched`."""

    kind = ""
    channels: tuple[str, ...] = ("trades", "depth")

    def __init__(self, symbols: Iterable[str], seed: int) -> None:
        self.chance = Random(f"{seed} {self.kind}")
        self.markets = {symbol: self._open_market(symbol, seed) for symbol in symbols}
        self.tick = 0
        self.connects = 0
        self.faults: dict[int, Callable[[], None]] = {}
        self.lag_until = self.down_until = self.banned_until = 0
        self.silent_next = 0
        """So many sockets from now on are acked and pinged, and get no data for a while."""

        self.url = ""
        self.sockets: list[Socket] = []
        self._outgoing: list[tuple[Socket | None, bytes]] = []
        self._ends_now: list[Socket] = []
        self._is_begun = False
        self._started = threading.Event()

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name=self.kind, daemon=True)
        self._thread.start()
        assert self._started.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)
        self._loop.close()

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]: ...

    def begin(self, faults: dict[int, Callable[[], None]]) -> None:
        """Ticks count from here."""

        def start() -> None:
            self.faults, self.tick = {self.tick + tick: fault for tick, fault in faults.items()}, self.tick

        self._loop.call_soon_threadsafe(start)

    @property
    def is_watched(self) -> bool:
        """Some client has read messages of every symbol."""
        return bool(self.sockets) and all(any(sent.is_certain for sent in list(m.diffs)) for m in self.markets.values())

    def say(self, *frames: bytes) -> None:
        """To every socket, between two ticks."""
        self._outgoing += [(None, frame) for frame in frames]

    def cut(self) -> None:
        """Every socket ends, without a close frame."""
        self._ends_now = list(self.sockets)

    def mute(self, market: Market, seconds: float) -> None:
        """The sockets that get this market get nothing but pings for a while.

        Where ids are sparse there are no trades then: what the socket never says behind it cannot be missed.
        """
        if self.kind == "kucoin":
            market.no_trades_until = self.tick + round(seconds * TICKS_A_SECOND)
        for socket in self.sockets:
            if {self._stream(market.symbol, channel) for channel in ("trades", "depth")} & socket.streams:
                socket.is_mute_until = self.tick + round(seconds * TICKS_A_SECOND)

    def renumber(self, market: Market) -> None:
        """Ids begin anew, far below; the book goes on."""
        market.numberings += 1
        market.update_id = 50 * NUMBERING - market.numberings * NUMBERING
        market.trade_id = 40 * NUMBERING - market.numberings * NUMBERING
        market.recent.clear()
        market.past.clear()

    def absurd_frames(self, market: Market, number: int) -> list[bytes]:
        """A trade and a diff with this id."""
        at = time.time_ns() // 1_000
        return [
            self._trade_frame(market.symbol, number, "100.00", "1", at),
            self._diff_frame(market.symbol, number, number, [], [], at),
        ]

    def diff_of_stranger(self, number: int) -> bytes:
        return self._diff_frame(f"S{number}", 1, 1, [["1", "1"]], [], time.time_ns() // 1_000)

    @abstractmethod
    def error_frames(self) -> list[bytes]: ...

    @abstractmethod
    def ban_answer(self) -> web.Response: ...

    def ask_for_rotation(self, market: Market) -> None:
        """What makes a client look for another connection."""
        self.mute(market, 5.0)

    # ---- the market

    def _open_market(self, symbol: str, seed: int) -> Market:
        chance = Random(f"{seed} {symbol}")
        bids, asks = (
            {f"{100 + sign * number / 100:.2f}": f"{chance.randint(1, 99) / 10}" for number in range(1, GRID)} for sign in (-1, 1)
        )
        return Market(symbol, chance, 50 * NUMBERING, 40 * NUMBERING, bids, asks)

    def _move(self, market: Market) -> None:
        """One trade and one diff."""
        at = time.time_ns() // 1_000
        if self.tick >= market.no_trades_until:
            self._trade(market, at)
        self._move_book(market, at)
        self._move_rest(market, at // 1_000)

    def _move_rest(self, market: Market, at: int) -> None:  # noqa: B027  # most venues have no more
        """What has no ids; `at` in milliseconds."""

    def _trade(self, market: Market, at: int) -> None:
        chance = market.chance
        market.trade_id += 1
        price, quantity = f"{100 + chance.randint(-50, 50) / 100:.2f}", f"{chance.randint(1, 999) / 1000}"
        market.recent.append((market.trade_id, price, quantity, at))
        said = Sent(market.trade_id, market.trade_id, self.tick, (Decimal(price), Decimal(quantity)))
        market.trades.append(said)
        frame = self._trade_frame(market.symbol, market.trade_id, price, quantity, at)
        if market.odd_trades:
            said.is_good = False
            odd_price, odd_quantity = market.odd_trades.pop()
            frame = self._trade_frame(market.symbol, market.trade_id, odd_price, odd_quantity, at)
        if market.lose_trades:
            market.lose_trades -= 1
        else:
            self._say_of(market, "trades", said, frame)

    def _move_book(self, market: Market, at: int) -> None:
        chance = market.chance
        bids: list[Level] = []
        asks: list[Level] = []
        for side, out, sign in ((market.bids, bids, -1), (market.asks, asks, 1)):
            for number in chance.sample(range(1, GRID), chance.randint(0 if out is bids else 1, 2)):
                price = f"{100 + sign * number / 100:.2f}"
                quantity = "0" if chance.random() < 0.2 and len(side) > GRID // 2 else f"{chance.randint(1, 99) / 10}"
                out.append([price, quantity])
        odd = market.odd_levels.pop() if market.odd_levels else None
        is_good = odd is None or (type(odd[0]) is str and odd[0] in READABLE)
        if odd is not None:
            asks.append(odd)
        for side, changes in ((market.bids, bids), (market.asks, asks)):
            for price, quantity in changes:
                if odd is not None and price is odd[0] and quantity is odd[1]:
                    if is_good:
                        side[READABLE[price]] = quantity
                elif quantity == "0":
                    side.pop(price, None)
                else:
                    side[price] = quantity
        first, market.update_id = market.update_id + 1, market.update_id + len(bids) + len(asks)
        said = Sent(first, market.update_id, self.tick, len(bids) + len(asks), is_good)
        market.diffs.append(said)
        last, all_bids, all_asks = market.snapshot()
        market.past.append((last, all_bids, all_asks))
        market.books[last], market.said_at[last] = (all_bids[:30], all_asks[:30]), time.time()
        if market.lose_diffs:
            market.lose_diffs -= 1
        else:
            self._say_of(market, "depth", said, self._diff_frame(market.symbol, first, market.update_id, bids, asks, at))

    def _say_of(self, market: Market, channel: str, sent: Sent, frame: bytes) -> None:
        stream = self._stream(market.symbol, channel)
        sent.sockets = tuple(one for one in self.sockets if stream in one.streams and one.is_mute_until <= self.tick)
        self._outgoing += [(socket, frame) for socket in sent.sockets]

    # ---- the wire

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        clock = asyncio.create_task(self._tick())
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait({clock, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (clock, ended):
            task.cancel()
        await asyncio.wait({clock, ended})
        for socket in list(self.sockets):
            self._abort(socket)
        await runner.cleanup()
        if not clock.cancelled():
            clock.result()  # a mistake of this venue's is the test's failure

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if fault := self.faults.pop(self.tick, None):
                fault()
            for market in self.markets.values():
                self._move(market)
            await self._send_out()
            self.tick += 1
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _send_out(self) -> None:
        frames, self._outgoing = self._outgoing, []
        for receiver, frame in frames:
            for socket in [receiver] if receiver else list(self.sockets):
                if receiver or socket.is_mute_until <= self.tick:
                    await self._send(socket, frame)
        for socket in list(self.sockets):
            if socket in self._ends_now:
                self._abort(socket)
            elif self.tick % 4 == 0:
                await self._send(socket, None)
        self._ends_now = []

    async def _send(self, socket: Socket, frame: bytes | None) -> None:
        """None: a ping with the tick's number."""
        try:
            if frame is None:
                await socket.wire.ping(str(self.tick).encode())
            elif frame[:1] == b"\xff":
                await socket.wire.send_bytes(frame)
            else:
                await socket.wire.send_str(frame.decode())
        except ClientConnectionResetError:
            if socket in self.sockets:
                self.sockets.remove(socket)

    def _abort(self, socket: Socket) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)
        if socket.request.transport is not None:
            socket.request.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._talk(request)
        if self.tick < self.banned_until and self._is_of_book(request.path):
            return self.ban_answer()
        if self.tick < self.down_until:
            status = self.chance.choice((500, 502, 503, 200))
            return web.Response(status=status, body=b'{"code":-1000,"msg":"down"' if status != 503 else b"<html>busy</html>")
        return self._answer(request)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        wire = web.WebSocketResponse(autoping=False, compress=False)
        await wire.prepare(request)
        self.connects += 1
        socket = Socket(wire, request)
        if self.silent_next:
            self.silent_next -= 1
            socket.is_mute_until = self.tick + SILENT_TICKS
        self.sockets.append(socket)
        for frame in self._greet(request):
            await self._send(socket, frame)
        try:
            async for message in wire:
                if message.type is WSMsgType.TEXT:
                    for frame in self._hear(socket, orjson.loads(message.data)):
                        await self._send(socket, frame)
                elif message.type is WSMsgType.PONG:
                    socket.read_up_to = max(socket.read_up_to, int(message.data))
                elif message.type is WSMsgType.PING:
                    await wire.pong(message.data)
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
        return wire

    def _book_of(self, symbol: str) -> tuple[int, list[Level], list[Level]]:
        """As it is, or as it was three seconds ago."""
        market = self.markets[symbol]
        is_late = self.tick < self.lag_until and len(market.past) > 3 * TICKS_A_SECOND
        return market.past[-3 * TICKS_A_SECOND] if is_late else market.snapshot()

    # ---- the venue's words

    @abstractmethod
    def _stream(self, symbol: str, channel: str) -> str: ...

    @abstractmethod
    def _trade_frame(self, symbol: str, number: int, price: Any, quantity: Any, at: int) -> bytes: ...

    @abstractmethod
    def _diff_frame(self, symbol: str, first: int, last: int, bids: list[Level], asks: list[Level], at: int) -> bytes: ...

    def _greet(self, request: web.Request) -> list[bytes]:
        return []

    @abstractmethod
    def _hear(self, socket: Socket, asked: dict[str, Any]) -> list[bytes]: ...

    @abstractmethod
    def _is_of_book(self, path: str) -> bool: ...

    @abstractmethod
    def _answer(self, request: web.Request) -> web.Response: ...


READABLE = {"1.0105e2": "101.05", "1010500e-4": "101.05"}
"""Prices that are written oddly and exactly a decimal: the message is a row, and the level is in the book."""


class ChaosBinance(ChaosVenue):
    """Combined streams; a ban is a 418."""

    kind = "binance"
    api = "/api/v3"
    status_key = "status"

    @property
    def environment(self) -> dict[str, str]:
        return {"BINANCE_REST_URL": self.url, "BINANCE_WS_URL": self.url.replace("http", "ws")}

    def error_frames(self) -> list[bytes]:
        return [b'{"error": {"code": 3, "msg": "Invalid JSON"}, "id": null}', b'{"code": 2, "msg": "Invalid request", "id": 77}']

    def ban_answer(self) -> web.Response:
        words = {"code": -1003, "msg": "Way too much; IP banned until 99999999999999999999999. Use websockets."}
        return web.json_response(words, status=418, headers={"Retry-After": "2"})

    def ask_for_rotation(self, market: Market) -> None:
        """It says that it is about to close, and does not."""
        self.say(orjson.dumps({"e": "serverShutdown", "E": time.time_ns() // 1_000}))

    def _stream(self, symbol: str, channel: str) -> str:
        return f"{symbol.lower()}@{'trade' if channel == 'trades' else 'depth@100ms'}"

    def _trade_frame(self, symbol: str, number: int, price: Any, quantity: Any, at: int) -> bytes:
        data = {"e": "trade", "E": at, "s": symbol, "t": number, "p": price, "q": quantity, "T": at, "m": True, "M": True}
        return orjson.dumps({"stream": self._stream(symbol, "trades"), "data": data})

    def _diff_frame(self, symbol: str, first: int, last: int, bids: list[Level], asks: list[Level], at: int) -> bytes:
        data = {"e": "depthUpdate", "E": at, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
        return orjson.dumps({"stream": self._stream(symbol, "depth"), "data": data})

    def _hear(self, socket: Socket, asked: dict[str, Any]) -> list[bytes]:
        socket.streams.update(asked["params"])
        return [orjson.dumps({"result": None, "id": asked["id"]})]

    def _is_of_book(self, path: str) -> bool:
        return path.endswith("/depth")

    def _answer(self, request: web.Request) -> web.Response:
        asked = request.query
        symbols = orjson.loads(asked["symbols"]) if "symbols" in asked else [asked["symbol"]] if "symbol" in asked else []
        match request.path.removeprefix(self.api):
            case "/time":
                return web.json_response({"serverTime": time.time_ns() // 1_000_000})
            case "/exchangeInfo":
                limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 600_000}]
                listed = [{"symbol": symbol, self.status_key: "TRADING"} for symbol in symbols or self.markets]
                return web.json_response({"rateLimits": limits, "symbols": listed})
            case "/depth":
                last, bids, asks = self._book_of(symbols[0])
                return web.json_response({"lastUpdateId": last, "bids": bids, "asks": asks})
            case "/trades":
                return web.json_response([self._rest_trade(*trade) for trade in self.markets[symbols[0]].recent])
            case "/historicalTrades" if self.api == "/api/v3":
                trades = [trade for trade in self.markets[symbols[0]].recent if trade[0] >= int(asked["fromId"])]
                return web.json_response([self._rest_trade(*trade) for trade in trades])
        return web.json_response({"code": -1, "msg": "not here"}, status=404)

    def _rest_trade(self, number: int, price: str, quantity: str, at: int) -> dict[str, Any]:
        return {
            "id": number,
            "price": price,
            "qty": quantity,
            "quoteQty": "1",
            "time": at,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }


class ChaosUsdm(ChaosBinance):
    """Each diff names the last id before it. There are mark prices, one in ten of them unreadable, and liquidations."""

    kind = "binance-usdm"
    api = "/fapi/v1"
    channels = ("trades", "depth", "mark_prices", "liquidations")

    @property
    def environment(self) -> dict[str, str]:
        sockets = self.url.replace("http", "ws")
        return {f"BINANCE_USDM_{name}_URL": sockets for name in ("PUBLIC_WS", "MARKET_WS")} | {"BINANCE_USDM_REST_URL": self.url}

    def _stream(self, symbol: str, channel: str) -> str:
        more = {"mark_prices": "markPrice@1s", "liquidations": "forceOrder"}
        return f"{symbol.lower()}@{more[channel]}" if channel in more else super()._stream(symbol, channel)

    def _move_rest(self, market: Market, at: int) -> None:
        price = f"{100 + self.tick % 97}.25"
        if self.tick % 5 == 0:
            is_good = self.tick % 50 != 0
            mark = {"p": price if is_good else f"-{price}", "i": price, "P": price, "r": "-0.0001", "T": at + 1_000}
            self._say_without_ids(market, "mark_prices", at, price, {"e": "markPriceUpdate", "s": market.symbol, **mark}, is_good)
        if self.tick % 40 == 0:
            order = {"s": market.symbol, "S": "SELL", "o": "LIMIT", "f": "IOC", "X": "FILLED"}
            order |= {"q": "1", "p": price, "ap": price, "l": "1", "z": "1"}
            self._say_without_ids(market, "liquidations", at, price, {"e": "forceOrder", "o": order})

    def _say_without_ids(
        self, market: Market, channel: str, at: int, price: str, data: dict[str, Any], is_good: bool = True
    ) -> None:
        """No two of a channel and symbol are of one millisecond."""
        sent = market.without_ids.setdefault(channel, [])
        at = max(at, sent[-1].last + 1) if sent else at
        sent.append(said := Sent(at, at, self.tick, Decimal(price), is_good))
        data = {**data, "E": at} | ({"o": {**data["o"], "T": at}} if "o" in data else {})
        self._say_of(market, channel, said, orjson.dumps({"stream": self._stream(market.symbol, channel), "data": data}))

    def _diff_frame(self, symbol: str, first: int, last: int, bids: list[Level], asks: list[Level], at: int) -> bytes:
        ids = {"U": last, "u": last, "pu": first - 1}
        data = {"e": "depthUpdate", "E": at // 1_000, "T": at // 1_000, "s": symbol, **ids, "b": bids, "a": asks}
        return orjson.dumps({"stream": self._stream(symbol, "depth"), "data": data})


class ChaosCoinm(ChaosUsdm):
    """The same by other addresses."""

    kind = "binance-coinm"
    api = "/dapi/v1"
    status_key = "contractStatus"

    @property
    def environment(self) -> dict[str, str]:
        return {"BINANCE_COINM_REST_URL": self.url, "BINANCE_COINM_WS_URL": self.url.replace("http", "ws")}


class ChaosKucoin(ChaosVenue):
    """Topics, a token for each connection; a ban is a 429 with digits that no window has."""

    kind = "kucoin"

    @property
    def environment(self) -> dict[str, str]:
        return {"KUCOIN_REST_URL": self.url}

    def error_frames(self) -> list[bytes]:
        return [
            b'{"id":"77","type":"error","code":404,"data":"topic /x is not found"}',
            b'{"id":"78","type":"error","code":"509","data":"exceed max permits per second"}',
        ]

    def ban_answer(self) -> web.Response:
        headers = {"gw-ratelimit-limit": "2000", "gw-ratelimit-remaining": "0", "gw-ratelimit-reset": "9" * 23}
        return web.json_response({"code": "429000", "msg": "too many requests"}, status=429, headers=headers)

    def _stream(self, symbol: str, channel: str) -> str:
        return f"/market/{'match' if channel == 'trades' else 'level2'}:{symbol}"

    def _trade_frame(self, symbol: str, number: int, price: Any, quantity: Any, at: int) -> bytes:
        data = {
            "makerOrderId": "a",
            "price": price,
            "sequence": str(number),
            "side": "buy",
            "size": quantity,
            "symbol": symbol,
            "takerOrderId": "b",
            "time": str(at * 1_000),
            "tradeId": str(number),
            "type": "match",
        }
        return orjson.dumps(
            {"topic": self._stream(symbol, "trades"), "type": "message", "subject": "trade.l3match", "data": data}
        )

    def _diff_frame(self, symbol: str, first: int, last: int, bids: list[Level], asks: list[Level], at: int) -> bytes:
        numbers = iter(range(first, first + len(bids) + len(asks)))
        changes = {side: [[*level, str(next(numbers))] for level in levels] for side, levels in (("bids", bids), ("asks", asks))}
        data = {"changes": changes, "sequenceStart": first, "sequenceEnd": last, "symbol": symbol, "time": at // 1_000}
        return orjson.dumps(
            {"topic": self._stream(symbol, "depth"), "type": "message", "subject": "trade.l2update", "data": data}
        )

    def _greet(self, request: web.Request) -> list[bytes]:
        return [orjson.dumps({"id": request.query.get("connectId", ""), "type": "welcome"})]

    def _hear(self, socket: Socket, asked: dict[str, Any]) -> list[bytes]:
        if asked["type"] == "ping":
            return [orjson.dumps({"id": asked["id"], "type": "pong"})]
        prefix, _, symbols = asked["topic"].partition(":")
        socket.streams.update(f"{prefix}:{symbol}" for symbol in symbols.split(","))
        return [orjson.dumps({"id": str(asked["id"]), "type": "ack"})]

    def _is_of_book(self, path: str) -> bool:
        return "level2_" in path

    def _answer(self, request: web.Request) -> web.Response:
        path, symbol = request.path, request.query.get("symbol", "")
        if path == "/api/v1/bullet-public":
            server = {
                "endpoint": self.url.replace("http", "ws") + "/",
                "encrypt": False,
                "protocol": "websocket",
                "pingInterval": 18_000,
                "pingTimeout": 10_000,
            }
            return _kucoin({"token": f"token {self.connects}", "instanceServers": [server]})
        if path == "/api/v1/timestamp":
            return _kucoin(time.time_ns() // 1_000_000)
        if path == "/api/v2/symbols":
            return _kucoin([{"symbol": known, "enableTrading": True} for known in self.markets])
        if "level2_" in path:
            last, bids, asks = self._book_of(symbol)
            most = 20 if path.endswith("_20") else 100
            return _kucoin({"time": time.time_ns() // 1_000_000, "sequence": str(last), "bids": bids[:most], "asks": asks[:most]})
        if path == "/api/v1/market/histories":
            return _kucoin([self._rest_trade(*trade) for trade in list(self.markets[symbol].recent)[-100:]])
        return web.json_response({"code": "400100", "msg": "not here"}, status=404)

    def _rest_trade(self, number: int, price: str, quantity: str, at: int) -> dict[str, Any]:
        return {"sequence": str(number), "price": price, "size": quantity, "side": "buy", "time": at * 1_000}


def _kucoin(data: Any) -> web.Response:
    headers = {"gw-ratelimit-limit": "2000", "gw-ratelimit-remaining": "1900", "gw-ratelimit-reset": "20000"}
    return web.json_response({"code": "200000", "data": data}, headers=headers)

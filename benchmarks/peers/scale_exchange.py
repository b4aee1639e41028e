"""As much of Binance as a capture needs, and cheap: `scale_exchange.py SYMBOLS RATE WEIGHT_LIMIT [BUSY BUSY_RATE]`.

In a process of its own. Every symbol has RATE messages a second: three incremental updates of 20 levels, then a trade. With
BUSY, they are best bids and asks of USD-M futures, and the first BUSY symbols have BUSY_RATE a second. HTTP and WebSocket
are written by hand, and only as far as a capture needs them: the simulated exchange, which matches orders, is busy with 500
symbols. Requests above WEIGHT_LIMIT a minute get 429. GET /tally answers how many streams are subscribed, messages sent,
milliseconds that the sender is late, the most weight of a minute, and the requests refused.
"""

import asyncio
import base64
import hashlib
import sys
import time
from urllib.parse import parse_qs, urlsplit

import orjson

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_TICKS = 20
"""A second; a symbol's messages are spread over them."""

_LEVELS = ",".join(f'["{4_000 + number}.50","1.25000000"]' for number in range(10))
_ASKS = ",".join(f'["{4_100 + number}.50","1.25000000"]' for number in range(10))


class Market:
    """All symbols: their last ids, and who is subscribed to their streams."""

    def __init__(self, symbols: int, rate: float, weight_limit: int, busy: int = 0, busy_rate: float = 0.0) -> None:
        self.weight_limit, self.minute, self.weight, self.most_weight, self.refused = weight_limit, 0, 0, 0, 0
        self.names = [f"S{number:04}USDT" for number in range(symbols)]
        self.rates = [busy_rate] * busy + [rate] * (symbols - busy)
        self.has_tops = busy > 0
        self.update_ids = dict.fromkeys(self.names, 1_000)
        self.trade_ids = dict.fromkeys(self.names, 1_000)
        self.subscribers: dict[str, Socket] = {}
        self.sent = 0
        self.late = 0.0

    async def run(self) -> None:
        """Ticks without end; a tick that is late is made at once."""
        began, tick, turns = time.monotonic(), 0, [0] * len(self.names)
        while True:
            tick += 1
            self.late = time.monotonic() - began - tick / _TICKS
            await asyncio.sleep(max(0.0, -self.late))
            for place, name in enumerate(self.names):
                due = int((tick / _TICKS + place / len(self.names)) * self.rates[place])
                for turn in range(turns[place] + 1, due + 1):
                    self._send_top(name) if self.has_tops else self._send(name, is_trade=turn % 4 == 0)
                turns[place] = due
            for socket in set(self.subscribers.values()):
                socket.flush()

    def _send(self, name: str, *, is_trade: bool) -> None:
        stream = f"{name.lower()}@{'trade' if is_trade else 'depth@100ms'}"
        ids = self.trade_ids if is_trade else self.update_ids
        ids[name] += 1
        socket = self.subscribers.get(stream)
        if socket is None:
            return
        at, number = time.time_ns() // 1_000, ids[name]
        if is_trade:
            data = f'"e":"trade","E":{at},"s":"{name}","t":{number},"p":"4050.50","q":"0.01000000","T":{at},"m":true,"M":true'
        else:
            data = f'"e":"depthUpdate","E":{at},"s":"{name}","U":{number},"u":{number},"b":[{_LEVELS}],"a":[{_ASKS}]'
        socket.waiting += _framed(f'{{"stream":"{stream}","data":{{{data}}}}}'.encode())
        self.sent += 1

    def _send_top(self, name: str) -> None:
        self.update_ids[name] += 3
        stream = f"{name.lower()}@bookTicker"
        if (socket := self.subscribers.get(stream)) is None:
            return
        at, number = time.time_ns() // 1_000_000, self.update_ids[name]
        prices = f'"b":"4050.{number % 90 + 10}","B":"1.250","a":"4051.{number % 90 + 10}","A":"2.500"'
        data = f'"e":"bookTicker","u":{number},"s":"{name}",{prices},"T":{at},"E":{at}'
        socket.waiting += _framed(f'{{"stream":"{stream}","data":{{{data}}}}}'.encode())
        self.sent += 1

    def admit(self, target: str) -> bool:
        """Counts a request, and says whether the limit of its minute allows it."""
        minute = time.time_ns() // 60_000_000_000
        if minute != self.minute:
            self.minute, self.weight = minute, 0
        self.weight += _weight(target)
        self.most_weight = max(self.most_weight, self.weight)
        is_served = self.weight <= self.weight_limit
        self.refused += not is_served
        return is_served

    def answer(self, target: str) -> object:
        url = urlsplit(target)
        asked = parse_qs(url.query)
        if url.path == "/api/v3/depth":
            bids = [[f"{4_000 + number}.50", "1.25000000"] for number in range(10)]
            asks = [[f"{4_100 + number}.50", "1.25000000"] for number in range(10)]
            return {"lastUpdateId": self.update_ids[asked["symbol"][0]], "bids": bids, "asks": asks}
        if url.path.endswith("/exchangeInfo"):
            names = orjson.loads(asked["symbols"][0]) if "symbols" in asked else asked.get("symbol", self.names)
            limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.weight_limit}
            return {"rateLimits": [limit], "symbols": [{"symbol": name, "status": "TRADING"} for name in names]}
        if url.path == "/tally":
            weight = {"most_weight": self.most_weight, "refused": self.refused}
            return {"streams": len(self.subscribers), "sent": self.sent, "late_ms": round(self.late * 1_000), **weight}
        return {"serverTime": time.time_ns() // 1_000_000}


class Socket(asyncio.Protocol):
    """One connection: requests over HTTP, or a WebSocket after an upgrade."""

    def __init__(self, market: Market) -> None:
        self._market, self._data, self._is_upgraded = market, bytearray(), False
        self.waiting = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        subscribers = self._market.subscribers
        for name in [name for name, socket in subscribers.items() if socket is self]:
            del subscribers[name]

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._frame() if self._is_upgraded else self._request():
            pass

    def flush(self) -> None:
        assert self._transport is not None
        if self.waiting:
            self._transport.write(bytes(self.waiting))
            self.waiting.clear()

    def _request(self) -> bool:
        head, ended, rest = bytes(self._data).partition(b"\r\n\r\n")
        if not ended:
            return False
        self._data = bytearray(rest)
        first, *lines = head.split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if key := fields.get(b"sec-websocket-key"):
            accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            said = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            self._is_upgraded = True
            self.waiting += said + accept + b"\r\n\r\n"
        else:
            target = first.split()[1].decode()
            status = b"200 OK" if self._market.admit(target) else b"429 Too Many Requests"
            body = orjson.dumps(self._market.answer(target))
            used = b"X-MBX-USED-WEIGHT-1M: %d\r\n" % self._market.weight
            head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (status, used, len(body))
            self.waiting += head + body
        self.flush()
        return True

    def _frame(self) -> bool:
        """A client's frames are masked (RFC 6455, 5.3), and ours are short."""
        data = self._data
        if len(data) < 2:
            return False
        size, start = data[1] & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < start + 4 + size:
            return False
        mask, masked, kind = data[start : start + 4], data[start + 4 : start + 4 + size], data[0] & 15
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
        del data[: start + 4 + size]
        if kind == _TEXT:
            asked = orjson.loads(payload)
            self._market.subscribers |= dict.fromkeys(asked["params"], self)
            self.waiting += _framed(orjson.dumps({"result": None, "id": asked["id"]}))
        elif kind in (_PING, _CLOSE):
            self.waiting += _framed(payload, _PONG if kind == _PING else _CLOSE)
        self.flush()
        return True


def _framed(payload: bytes, kind: int = _TEXT) -> bytes:
    size = len(payload)
    length = bytes((size,)) if size < 126 else bytes((126,)) + size.to_bytes(2, "big")
    return bytes((0x80 | kind,)) + length + payload


def _weight(target: str) -> int:
    """As Binance counts it; /tally is not Binance's."""
    url = urlsplit(target)
    if url.path == "/api/v3/depth":
        levels = int(parse_qs(url.query).get("limit", ["100"])[0])
        return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if levels <= most)
    return {"/api/v3/exchangeInfo": 20, "/api/v3/historicalTrades": 25, "/api/v3/trades": 25, "/tally": 0}.get(url.path, 1)


async def main() -> None:
    symbols, rate, weight_limit, busy, busy_rate = [*sys.argv[1:], "0", "0"][:5]
    market = Market(int(symbols), float(rate), int(weight_limit), int(busy), float(busy_rate))
    server = await asyncio.get_running_loop().create_server(lambda: Socket(market), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await market.run()


if __name__ == "__main__":
    asyncio.run(main())

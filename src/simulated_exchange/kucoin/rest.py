"""KuCoin's public REST market data: paths, weights and their limit, answers. A question comes in, a `Reply` goes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from simulated_exchange.kucoin.messages import INTERVALS, spelled
from simulated_exchange.market.intervals import INTERVALS as OUR_INTERVALS
from simulated_exchange.market.klines import KlineQuery, KlineSource, NotRecorded
from simulated_exchange.server.http import Reply
from simulated_exchange.server.socket_limits import SECOND_US

TOKEN_PATH, SOCKET_PATH = "/api/v1/bullet-public", "/endpoint"
MOST_CANDLES = 1_500
MOST_TRADES = 100

WINDOW_US = 30 * SECOND_US

_EARLIEST = 1_504_224_000_000
CANDLES_PATH = "/api/v1/market/candles"
_WEIGHTS = {
    TOKEN_PATH: 10,
    "/api/v1/timestamp": 3,
    "/api/v2/symbols": 4,
    CANDLES_PATH: 3,
    "/api/v1/market/histories": 3,
    "/api/v1/market/orderbook/level2_20": 2,
    "/api/v1/market/orderbook/level2_100": 2,
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request meets: whether it is served, what is left, and microseconds to the window's end."""

    is_served: bool
    left: int
    reset_us: int


@dataclass(slots=True)
class PoolLimiter:
    """Weight per address in windows of 30 s, each beginning with the first request after the one before."""

    limit: int
    _windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def admit(self, address: str, weight: int, now: int) -> Allowance:
        """Counts one request; `now` in microseconds."""
        start, used = self._windows.get(address, (now, 0))
        if now >= start + WINDOW_US:
            start, used = now, 0
        used += weight
        self._windows[address] = start, used
        return Allowance(used <= self.limit, max(0, self.limit - used), start + WINDOW_US - now)

    def clear(self) -> None:
        self._windows.clear()


class Refused(Exception):
    """The venue's no: code and message, as HTTP 200 or 400."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Market(Protocol):
    """What answers are made of; symbols in the simulator's own spelling, times in milliseconds."""

    @property
    def source(self) -> KlineSource: ...

    def depth(self, symbol: str, now: int, levels: int) -> tuple[int, list[list[str]], list[list[str]]] | None:
        """Sequence, bids and asks."""

    def trades(self, symbol: str, now: int, most: int) -> list[dict[str, object]]:
        """The newest, oldest first."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request; `now` in microseconds, `endpoint` where sockets are."""

    method: str
    path: str
    sent: Mapping[str, str]
    now: int
    market: Market
    give_token: Callable[[], str]
    endpoint: str
    ping_ms: tuple[int, int]


def is_path(path: str) -> bool:
    return path in _WEIGHTS or path == SOCKET_PATH


def weight_of(path: str) -> int:
    return _WEIGHTS.get(path, 1)


def answer(question: Question) -> Reply:
    """What the venue says to a request that its limit lets through."""
    method = "POST" if question.path == TOKEN_PATH else "GET"
    if question.method != method:
        return said(405, "405", "Request method not supported")
    try:
        return Reply(200, orjson.dumps({"code": "200000", "data": _ANSWERS[question.path](question)}))
    except Refused as refused:
        return said(200 if refused.code.startswith("4") else 400, refused.code, str(refused))


def said(status: int, code: str, message: str) -> Reply:
    return Reply(status, orjson.dumps({"code": code, "msg": message}))


def _token(question: Question) -> dict[str, Any]:
    interval, timeout = question.ping_ms
    server = {"endpoint": question.endpoint, "encrypt": False, "protocol": "websocket"}
    return {
        "token": question.give_token(),
        "instanceServers": [{**server, "pingInterval": interval, "pingTimeout": timeout}],
    }


def _time(question: Question) -> int:
    return question.now // 1_000


def _symbols(question: Question) -> list[dict[str, Any]]:
    now, source = question.now // 1_000, question.market.source
    return [
        {
            "symbol": spelled(it),
            "name": spelled(it),
            "baseCurrency": it.base,
            "quoteCurrency": it.quote,
            "baseIncrement": _increment(it.step_decimals),
            "quoteIncrement": _increment(it.tick_decimals),
            "priceIncrement": _increment(it.tick_decimals),
            "enableTrading": not source.is_halted(it.symbol, now),
        }
        for it in source.instruments.values()
        if it.listed <= now
    ]


def _candles(question: Question) -> list[list[str]]:
    """Newest first, at most 1,500 of them; without a trade there is no row."""
    symbol, now = _symbol(question), question.now // 1_000
    name = INTERVALS.get(question.sent.get("type", ""))
    if name is None:
        raise Refused("400100", "Incorrect candle type")
    first, last = (_seconds(question.sent, key) for key in ("startAt", "endAt"))
    query = KlineQuery(
        symbol=symbol,
        interval=OUR_INTERVALS[name],
        first=_EARLIEST if first is None else first,
        last=now if last is None else min(last, now),
        limit=MOST_CANDLES,
        newest=True,
        now=now,
    )
    try:
        rows = orjson.loads(b"[%b]" % question.market.source.rows(query))
    except NotRecorded as error:
        raise Refused("400100", f"Incorrect candle type. {error}") from error
    return [
        [str(row[0] // 1_000), *(_short(row[place]) for place in (1, 4, 2, 3, 5, 7))]
        for row in reversed(rows)
        if row[5].strip("0.")
    ]


def _histories(question: Question) -> list[dict[str, object]]:
    return question.market.trades(_symbol(question), question.now // 1_000, MOST_TRADES)


def _depth(question: Question) -> dict[str, Any]:
    levels = int(question.path.rpartition("_")[2])
    found = question.market.depth(_symbol(question), question.now // 1_000, levels)
    if found is None:
        raise Refused("900001", "symbol not exists")
    sequence, bids, asks = found
    return {"time": question.now // 1_000, "sequence": str(sequence), "bids": bids, "asks": asks}


_ANSWERS: dict[str, Callable[[Question], Any]] = {
    TOKEN_PATH: _token,
    "/api/v1/timestamp": _time,
    "/api/v2/symbols": _symbols,
    CANDLES_PATH: _candles,
    "/api/v1/market/histories": _histories,
    "/api/v1/market/orderbook/level2_20": _depth,
    "/api/v1/market/orderbook/level2_100": _depth,
}


def _symbol(question: Question) -> str:
    wanted = question.sent.get("symbol", "")
    for name, instrument in question.market.source.instruments.items():
        if spelled(instrument) == wanted:
            return name
    raise Refused("400100", "This pair is not provided at present")


def _seconds(sent: Mapping[str, str], name: str) -> int | None:
    """As milliseconds."""
    text = sent.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise Refused("400100", f"{name} is no time")
    return int(text) * 1_000 or None


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _increment(decimals: int) -> str:
    return f"{10**-decimals:.{decimals}f}"

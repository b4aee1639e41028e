"""The venue's REST market data: paths, weights and answers. No sockets here: a `Call` comes in, a `Reply` goes out."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from simulated_exchange.binance.books import Books
from simulated_exchange.binance.exchange_info import BREAK, TRADING, exchange_info, symbol_info
from simulated_exchange.binance.limits import Verdict
from simulated_exchange.binance.parameters import (
    EARLIEST,
    LATEST_AHEAD,
    VenueError,
    known_interval,
    known_symbol,
    known_symbols,
    read_parameters,
    row_limit,
    time_bound,
    whole_number,
)
from simulated_exchange.market.klines import KlineQuery, KlineSource, TimeUnit

JSON = "application/json;charset=UTF-8"

_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
_DIGITS = re.compile(r"[0-9]{1,20}")
_BOOLEANS = ("true", "false")
_ADVICE = "Please use WebSocket Streams for live updates to avoid"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as an endpoint sees it; `now_us` in microseconds, times in answers in `unit`."""

    source: KlineSource
    pairs: Sequence[tuple[str, str]]
    now_us: int
    unit: TimeUnit
    weight_limit: int
    raw_request_limit: int
    books: Books

    @property
    def now(self) -> int:
        return self.now_us // 1000

    @property
    def server_time(self) -> int:
        return self.now_us if self.unit is TimeUnit.MICROSECOND else self.now


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def answer(path: str, call: Call) -> Reply:
    """What the venue says to a GET that its limits let through."""
    endpoint = _ENDPOINTS.get(path)
    if endpoint is None:
        return not_found(path)
    try:
        return Reply(200, endpoint(call))
    except VenueError as error:
        return refusal(error)


def weight_of(path: str, pairs: Sequence[tuple[str, str]]) -> int:
    """What a request costs, refused or not; unknown paths cost 1."""
    if path == "/api/v3/depth":
        limit = next((int(value) for name, value in pairs if name == "limit" and _DIGITS.fullmatch(value)), 100)
        return next((weight for most, weight in _DEPTH_WEIGHTS if limit <= most), 250)
    return _WEIGHTS.get(path, 1)


def refusal(error: VenueError) -> Reply:
    return Reply(error.status, error.body())


def not_found(path: str) -> Reply:
    """404, "unknown path, JSON body"."""
    return Reply(404, orjson.dumps({"status": 404, "error": "Not Found", "path": path}))


def over_limit(verdict: Verdict, weight_limit: int, raw_request_limit: int) -> Reply:
    """429 or 418 with Retry-After in seconds; both say -1003."""
    if verdict.is_ban:
        message = f"Way too much request weight used; IP banned until {verdict.banned_until}. {_ADVICE} bans."
    elif verdict.exceeded == "weight":
        message = (
            f"Too much request weight used; current limit is {weight_limit} request weight per 1 MINUTE. "
            f"{_ADVICE} polling the API."
        )
    else:
        message = f"Too many requests; current limit is {raw_request_limit} requests per 5 MINUTE. {_ADVICE} polling the API."
    body = VenueError(-1003, message).body()
    return Reply(verdict.status, body, headers={"Retry-After": str(verdict.retry_after)})


def _ping(call: Call) -> bytes:
    read_parameters(call.pairs)
    return b"{}"


def _time(call: Call) -> bytes:
    read_parameters(call.pairs)
    return b'{"serverTime":%d}' % call.server_time


def _exchange_info(call: Call) -> bytes:
    """symbol | symbols | all; not both (-1128)."""
    sent = read_parameters(call.pairs, optional=("symbol", "symbols", "showPermissionSets"))
    if "symbol" in sent and "symbols" in sent:
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    with_sets = sent.get("showPermissionSets", "true")
    if with_sets not in _BOOLEANS:
        raise VenueError(-1130, "Data sent for parameter 'showPermissionSets' is not valid.")
    infos = [
        symbol_info(call.source.instruments[symbol], _status(call, symbol), with_permission_sets=with_sets == "true")
        for symbol in _asked_symbols(call, sent)
    ]
    return orjson.dumps(exchange_info(infos, call.server_time, call.weight_limit, call.raw_request_limit))


def _asked_symbols(call: Call, sent: dict[str, str]) -> list[str]:
    listed = {symbol: it for symbol, it in call.source.instruments.items() if it.listed <= call.now}
    if "symbol" in sent:
        return [known_symbol(sent["symbol"], listed)]
    if "symbols" in sent:
        return known_symbols(sent["symbols"], listed)
    return list(listed)


def _status(call: Call, symbol: str) -> str:
    return BREAK if call.source.is_halted(symbol, call.now) else TRADING


def _klines(call: Call) -> bytes:
    """Neither bound: the most recent; startTime only: the oldest from there; endTime only: the most recent up to it."""
    sent = read_parameters(call.pairs, ("symbol", "interval"), ("startTime", "endTime", "limit"))
    symbol = known_symbol(sent["symbol"], call.source.instruments)
    interval = known_interval(sent["interval"])
    first = time_bound(sent, "startTime", call.now, rounding_up=True)
    last = time_bound(sent, "endTime", call.now, rounding_up=False)
    query = KlineQuery(
        symbol=symbol,
        interval=interval,
        first=EARLIEST if first is None else first,
        last=call.now + LATEST_AHEAD if last is None else last,
        limit=row_limit(sent, 500, 1000),
        newest=first is None,
        now=call.now,
        unit=call.unit,
    )
    return b"[%b]" % call.source.rows(query)


def _depth(call: Call) -> bytes:
    """100 levels a side unless asked otherwise, at most 5000; -1112 before the first trade."""
    sent = read_parameters(call.pairs, ("symbol",), ("limit",))
    symbol = known_symbol(sent["symbol"], call.source.instruments)
    limit = row_limit(sent, 100, 5000)
    body = call.books.depth(symbol, call.now, limit)
    if body is None:
        raise VenueError(-1112, "No orders on book for symbol.")
    return body.encode()


def _trades(call: Call) -> bytes:
    """The most recent trades."""
    sent = read_parameters(call.pairs, ("symbol",), ("limit",))
    symbol = known_symbol(sent["symbol"], call.source.instruments)
    return call.books.trades(symbol, call.now, None, row_limit(sent, 500, 1000), call.unit).encode()


def _historical_trades(call: Call) -> bytes:
    """From `fromId` (inclusive) on, or the most recent."""
    sent = read_parameters(call.pairs, ("symbol",), ("limit", "fromId"))
    symbol = known_symbol(sent["symbol"], call.source.instruments)
    from_id = whole_number(sent, "fromId")
    return call.books.trades(symbol, call.now, from_id, row_limit(sent, 500, 1000), call.unit).encode()


_ENDPOINTS: dict[str, Callable[[Call], bytes]] = {
    "/api/v3/ping": _ping,
    "/api/v3/time": _time,
    "/api/v3/exchangeInfo": _exchange_info,
    "/api/v3/klines": _klines,
    "/api/v3/depth": _depth,
    "/api/v3/trades": _trades,
    "/api/v3/historicalTrades": _historical_trades,
}
_WEIGHTS = {
    "/api/v3/ping": 1,
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
}

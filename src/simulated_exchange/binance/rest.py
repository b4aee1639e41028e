"""Binance's REST market data: paths, weights, answers, and the answers that faults give instead. No sockets here: a `Call` comes
in, a `Reply` goes out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from simulated_exchange.binance.agg_trades import LOOK, first_of_page, latest_of, page_of
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
from simulated_exchange.binance.tickers import STATUSES, DayFigures, day, day_weight, is_mini, price, top
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.klines import KlineQuery, KlineSource, NotRecorded, TimeUnit
from simulated_exchange.server.faults import Fault, FaultKind
from simulated_exchange.server.http import Reply, not_found
from simulated_exchange.server.tally import Cause

_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
_DIGITS = re.compile(r"[0-9]{1,20}")
_ADVICE = "Please use WebSocket Streams for live updates to avoid"


class Books(Protocol):
    """JSON texts; `now` and times in milliseconds."""

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        """The body of /api/v3/depth, None where there is no book."""

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        """A list of trades: from an id (inclusive) on, or the latest."""

    def day(self, symbol: str, now: int) -> DayFigures:
        """The last 24 hours."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as an endpoint sees it; `now_us` in microseconds, times in answers in `unit`."""

    source: KlineSource
    pairs: Sequence[tuple[str, str]]
    now_us: int
    unit: TimeUnit
    weight_limit: int
    books: Books

    @property
    def now(self) -> int:
        return self.now_us // 1000

    @property
    def server_time(self) -> int:
        return self.now_us if self.unit is TimeUnit.MICROSECOND else self.now


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
    if path in _TICKERS:
        sent = dict(pairs)
        named = 1 if "symbol" in sent else sent["symbols"].count(",") + 1 if "symbols" in sent else None
        return day_weight(named) if path == _DAY_PATH else 2 if "symbol" in sent else 4
    return _WEIGHTS.get(path, 1)


def refusal(error: VenueError) -> Reply:
    return Reply(error.status, error.body())


def over_limit(verdict: Verdict, weight_limit: int) -> Reply:
    """429 or 418 with Retry-After in seconds; both say -1003."""
    if verdict.is_ban:
        message = f"Way too much request weight used; IP banned until {verdict.banned_until}. {_ADVICE} bans."
    else:
        message = (
            f"Too much request weight used; current limit is {weight_limit} request weight per 1 MINUTE. "
            f"{_ADVICE} polling the API."
        )
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
    sent = read_parameters(call.pairs, optional=("symbol", "symbols"))
    if "symbol" in sent and "symbols" in sent:
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    symbols = [_symbol_info(call, call.source.instruments[symbol]) for symbol in _asked_symbols(call, sent)]
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": call.weight_limit}
    return orjson.dumps({"timezone": "UTC", "serverTime": call.server_time, "rateLimits": [limit], "symbols": symbols})


def _asked_symbols(call: Call, sent: dict[str, str]) -> list[str]:
    listed = {symbol: it for symbol, it in call.source.instruments.items() if it.listed <= call.now}
    if "symbol" in sent:
        return [known_symbol(sent["symbol"], listed)]
    if "symbols" in sent:
        return known_symbols(sent["symbols"], listed)
    return list(listed)


def _symbol_info(call: Call, instrument: Instrument) -> dict[str, str]:
    """What a recorder reads of a symbol; the venue's answer has filters, precisions and permissions too."""
    names = {"symbol": instrument.symbol, "baseAsset": instrument.base, "quoteAsset": instrument.quote}
    return {**names, "status": _status(call, instrument.symbol)}


def _status(call: Call, symbol: str) -> str:
    return "BREAK" if call.source.is_halted(symbol, call.now) else "TRADING"


def klines(call: Call, most: int = 1_000, *, newest: bool = False) -> bytes:
    """At most so many rows; `newest`: of a span too, the most recent.

    Neither bound: the most recent; startTime only: the oldest from there; endTime only: the most recent up to it."""
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
        limit=row_limit(sent, 500, most),
        newest=newest or first is None,
        now=call.now,
        unit=call.unit,
    )
    try:
        return b"[%b]" % call.source.rows(query)
    except NotRecorded as error:
        raise VenueError(-1120, f"Invalid interval. {error}") from error


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


def _agg_trades(call: Call) -> bytes:
    """From `fromId` on, in [startTime, endTime], or the most recent. By time only while the trades are among the latest."""
    sent = read_parameters(call.pairs, ("symbol",), ("limit", "fromId", "startTime", "endTime"))
    symbol, limit = known_symbol(sent["symbol"], call.source.instruments), row_limit(sent, 500, 1000)
    from_id = whole_number(sent, "fromId")
    first = time_bound(sent, "startTime", call.now, rounding_up=True)
    last = time_bound(sent, "endTime", call.now, rounding_up=False)
    if from_id is not None:
        if first is not None or last is not None:
            raise VenueError(-1128, "Combination of optional parameters invalid.")
        trades = call.books.trades(symbol, call.now, first_of_page(from_id), LOOK, call.unit)
        return orjson.dumps(page_of(orjson.loads(trades), from_id, limit))
    found, unknown = latest_of(orjson.loads(call.books.trades(symbol, call.now, None, LOOK, call.unit)))
    oldest = EARLIEST if unknown is None else unknown // call.unit + 1
    if (first is not None and first < oldest) or (last is not None and last < oldest):
        raise VenueError(-1000, "The simulated exchange finds aggregate trades by time among the latest 1000 trades: use fromId.")
    until = call.now + LATEST_AHEAD if last is None else last
    inside = [one for one in found if (first or EARLIEST) <= one["T"] // call.unit <= until]
    return orjson.dumps(inside[-limit:] if first is None else inside[:limit])


def _tickers(call: Call, one: Callable[[str, DayFigures, int, bool], dict[str, object]], *, typed: bool) -> bytes:
    """symbol | symbols | all; of one an object, else a list. Where nobody has traded all is zero."""
    sent = read_parameters(call.pairs, optional=("symbol", "symbols", "symbolStatus", *(("type",) if typed else ())))
    if "symbol" in sent and "symbols" in sent:
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    mini, status = is_mini(sent), sent.get("symbolStatus")
    if status not in (None, *STATUSES):
        raise VenueError(-1122, "Invalid symbolStatus.")
    found = []
    for symbol in _asked_symbols(call, sent):
        figures = call.books.day(symbol, call.now)
        if status in (None, _status(call, symbol)):
            found.append(one(symbol, figures, call.now, mini))
        elif "symbol" in sent:
            raise VenueError(-1220, "The symbol's status does not match the requested symbolStatus.")
    return orjson.dumps(found[0] if "symbol" in sent else found)


_DAY_PATH = "/api/v3/ticker/24hr"
_TICKERS: dict[str, Callable[[Call], bytes]] = {
    _DAY_PATH: lambda call: _tickers(call, lambda symbol, it, now, mini: day(symbol, it, now, mini=mini), typed=True),
    "/api/v3/ticker/price": lambda call: _tickers(call, lambda symbol, it, *_: price(symbol, it), typed=False),
    "/api/v3/ticker/bookTicker": lambda call: _tickers(call, lambda symbol, it, *_: top(symbol, it), typed=False),
}
_ENDPOINTS: dict[str, Callable[[Call], bytes]] = {
    "/api/v3/ping": _ping,
    "/api/v3/time": _time,
    "/api/v3/exchangeInfo": _exchange_info,
    "/api/v3/klines": klines,
    "/api/v3/depth": _depth,
    "/api/v3/trades": _trades,
    "/api/v3/historicalTrades": _historical_trades,
    "/api/v3/aggTrades": _agg_trades,
    **_TICKERS,
}
_WEIGHTS = {
    "/api/v3/ping": 1,
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
    "/api/v3/aggTrades": 4,
}


_UNKNOWN = "An unknown error occurred while processing the request."
_BUSY = "Spot server is currently overloaded with other requests. Please try again in a few minutes."
_FORBIDDEN = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"


def injected_reply(fault: Fault, banned: Verdict | None, weight_limit: int) -> Reply | None:
    """The answer instead of the real one, None where the real one is only spoiled; `banned` goes with http_418."""
    match fault.kind:
        case FaultKind.HTTP_500:
            return refusal(VenueError(-1000, _UNKNOWN, status=500))
        case FaultKind.HTTP_503_BUSY:
            return refusal(VenueError(-1008, _BUSY, status=503))
        case FaultKind.HTTP_403:
            return Reply(403, _FORBIDDEN, "text/html")
        case FaultKind.HTTP_429:
            verdict = Verdict(429, 0, retry_after=fault.amount, cause=Cause.INJECTED)
            return over_limit(verdict, weight_limit)
        case FaultKind.HTTP_418 if banned:
            return over_limit(banned, weight_limit)
        case _:
            return None

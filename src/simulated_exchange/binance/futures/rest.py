"""Futures' REST market data: what differs from spot's paths, weights and answers."""

from collections.abc import Callable, Sequence

import orjson

from simulated_exchange.binance import rest as spot
from simulated_exchange.binance.futures.history import OPEN_INTEREST, funding_rates, open_interest_history
from simulated_exchange.binance.futures.messages import FuturesWording
from simulated_exchange.binance.futures.product import Product
from simulated_exchange.binance.parameters import VenueError, known_symbol, read_parameters, time_bound, whole_number
from simulated_exchange.binance.rest import Call
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.server.http import Reply, not_found

_DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_KLINE_WEIGHTS = ((99, 1), (499, 2), (1000, 5), (1500, 10))
_WEIGHTS = {"trades": 5, "aggTrades": 20, "historicalTrades": 200}
_USUAL_ROWS = 500


def answer(product: Product, path: str, call: Call) -> Reply:
    """What the venue says to a GET that its limits let through."""
    name = name_of(product, path)
    try:
        if name in _OWN:
            return Reply(200, _OWN[name](product, call))
        return spot.answer(f"/api/v3/{name}", call) if name in _AS_SPOT else not_found(path)
    except VenueError as error:
        return spot.refusal(error)


def weight_of(product: Product, path: str, pairs: Sequence[tuple[str, str]]) -> int:
    """What a request costs, refused or not."""
    name, sent = name_of(product, path), dict(pairs)
    limit = int(sent["limit"]) if sent.get("limit", "").isdecimal() else _USUAL_ROWS
    if name == "depth":
        return _DEPTH_WEIGHTS.get(limit, 1)
    if name == "klines":
        return next((weight for most, weight in _KLINE_WEIGHTS if limit <= most), 10)
    if name in ("fundingRate", "openInterestHist"):
        return 1 if product.has_contracts else 0
    return _WEIGHTS.get(name, 1)


def name_of(product: Product, path: str) -> str:
    """Of an endpoint; the whole path of one that is none of this market."""
    return "openInterestHist" if path == OPEN_INTEREST else path.removeprefix(f"{product.api}/")


def _exchange_info(product: Product, call: Call) -> bytes:
    """All contracts, whatever is asked."""
    listed = [_contract_info(product, call, it) for it in call.source.instruments.values() if it.listed <= call.now]
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": call.weight_limit}
    return orjson.dumps({"timezone": "UTC", "serverTime": call.now, "rateLimits": [limit], "symbols": listed})


def _contract_info(product: Product, call: Call, instrument: Instrument) -> dict[str, object]:
    status = "BREAK" if call.source.is_halted(instrument.symbol, call.now) else "TRADING"
    info: dict[str, object] = {
        "symbol": instrument.symbol,
        "pair": f"{instrument.base}{instrument.quote}",
        "contractType": "PERPETUAL",
        "onboardDate": instrument.listed,
        product.status_key: status,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.base if product.has_contracts else instrument.quote,
    }
    return {**info, "contractSize": product.contract_size(instrument)} if product.has_contracts else info


def _depth(product: Product, call: Call) -> bytes:
    """5, 10, 20, 50, 100, 500 or 1,000 levels; 500 unless asked otherwise."""
    sent = read_parameters(call.pairs, ("symbol",), ("limit",))
    symbol = known_symbol(sent["symbol"], call.source.instruments)
    limit = whole_number(sent, "limit") or _USUAL_ROWS
    if limit not in _DEPTH_WEIGHTS:
        raise VenueError(-4021, f"{limit} is not valid depth limit.")
    body = call.books.depth(symbol, call.now, limit)
    if body is None:
        raise VenueError(-1112, "No orders on book for symbol.")
    return body.encode()


def _klines(product: Product, call: Call) -> bytes:
    """At most 1,500. Of COIN-M: of 200 days at most, and the newest of them."""
    longest, sent = product.longest_klines_ms, dict(call.pairs)
    if longest is not None and "startTime" in sent and "endTime" in sent:
        first, last = (time_bound(sent, name, call.now, rounding_up=False) or 0 for name in ("startTime", "endTime"))
        if last - first > longest:
            raise VenueError(-4146, "Invalid time interval: at most 200 days.")
    return spot.klines(call, 1_500, newest=longest is not None)


def _open_interest(product: Product, call: Call) -> bytes:
    """What is open now; of COIN-M contracts, with the pair."""
    sent = read_parameters(call.pairs, ("symbol",))
    instrument = call.source.instruments[known_symbol(sent["symbol"], call.source.instruments)]
    more = {"pair": f"{instrument.base}{instrument.quote}", "contractType": "PERPETUAL"} if product.has_contracts else {}
    told = FuturesWording(instrument).open_interest(call.now)
    return orjson.dumps({"symbol": instrument.symbol, **more, "openInterest": told, "time": call.now})


def _historical_trades(product: Product, call: Call) -> bytes:
    raise VenueError(-2014, "API-key format invalid.", status=401)


_OWN: dict[str, Callable[[Product, Call], bytes]] = {
    "exchangeInfo": _exchange_info,
    "depth": _depth,
    "klines": _klines,
    "openInterest": _open_interest,
    "historicalTrades": _historical_trades,
    "fundingRate": funding_rates,
    "openInterestHist": open_interest_history,
}
_AS_SPOT = ("ping", "time", "trades", "aggTrades")

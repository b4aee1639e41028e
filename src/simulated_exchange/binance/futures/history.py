"""Futures' REST history of settled funding rates and of open interest, with the limits that both have beside request weight."""

from collections.abc import Iterator

import orjson

from simulated_exchange.binance.futures.product import Product
from simulated_exchange.binance.parameters import VenueError, known_symbol, read_parameters, row_limit, time_bound
from simulated_exchange.binance.rest import Call
from simulated_exchange.market.derivatives import FUNDING_EVERY, funding_after, funding_rate, open_interest
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import DAY, INTERVALS, MINUTE
from simulated_exchange.market.klines import decimal_text

OPEN_INTEREST = "/futures/data/openInterestHist"
"""The same path at both markets' hosts: USD-M's takes a symbol, COIN-M's a pair and a contract type."""

FUNDING_REQUESTS, OPEN_INTEREST_REQUESTS, WINDOW = 500, 1_000, 5 * MINUTE
"""Requests per address and five minutes: of USD-M's funding rates, and of open interest."""

_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_OLDEST = 30 * DAY
_LATE = 7
"""Milliseconds, at most, that a rate's time is after the hour."""


def funding_rates(product: Product, call: Call) -> bytes:
    """Ascending. "If the number of data between startTime and endTime is larger than limit, return as startTime + limit"."""
    sent = read_parameters(call.pairs, ("symbol",), ("startTime", "endTime", "limit"))
    instrument = call.source.instruments[known_symbol(sent["symbol"], call.source.instruments)]
    first = time_bound(sent, "startTime", call.now, rounding_up=True)
    last = time_bound(sent, "endTime", call.now, rounding_up=False)
    limit = row_limit(sent, 100, 1_000)
    start = instrument.listed if first is None else first
    settled = list(_settlements(call, instrument, start, min(call.now, call.now if last is None else last)))
    settled = settled[-limit:] if first is None else settled[:limit]
    return orjson.dumps([_rate(product, call, instrument, at) for at in settled])


def open_interest_history(product: Product, call: Call) -> bytes:
    """Ascending, the newest where there are more than `limit`; nothing older than 30 days can be requested."""
    named = ("pair", "contractType") if product.has_contracts else ("symbol",)
    sent = read_parameters(call.pairs, (*named, "period"), ("startTime", "endTime", "limit"))
    symbol = f"{sent['pair']}_PERP" if product.has_contracts else sent["symbol"]
    instrument = call.source.instruments[known_symbol(symbol, call.source.instruments)]
    if sent["period"] not in _PERIODS or sent.get("contractType", "PERPETUAL") != "PERPETUAL":
        raise VenueError(-1130, "Data sent for parameter 'period' or 'contractType' is not valid.")
    first = time_bound(sent, "startTime", call.now, rounding_up=True)
    last = time_bound(sent, "endTime", call.now, rounding_up=False)
    if first is not None and first < call.now - _OLDEST:
        raise VenueError(-1130, "parameter 'startTime' is invalid.")
    step = INTERVALS[sent["period"]].length
    start = max(instrument.listed, call.now - _OLDEST if first is None else first)
    end = min(call.now, call.now if last is None else last)
    times = [at for at in range(-(-start // step) * step, end + 1, step) if not call.source.is_halted(symbol, at)]
    return orjson.dumps([_open(product, call, instrument, at) for at in times[-row_limit(sent, 30, 500) :]])


def _settlements(call: Call, instrument: Instrument, first: int, last: int) -> Iterator[int]:
    """Instants of 8 hours each, whose rates have a time within [first, last]."""
    at = max(funding_after(instrument.listed), funding_after(first - FUNDING_EVERY - 1))
    while _time_of(instrument, at) <= last:
        if _time_of(instrument, at) >= first and not call.source.is_halted(instrument.symbol, at):
            yield at
        at += FUNDING_EVERY


def _rate(product: Product, call: Call, instrument: Instrument, settled: int) -> dict[str, object]:
    """COIN-M's has no mark price."""
    told: dict[str, object] = {"symbol": instrument.symbol, "fundingTime": _time_of(instrument, settled)}
    told["fundingRate"] = funding_rate(instrument.symbol, settled)
    return told if product.has_contracts else told | {"markPrice": _price(call, instrument, settled)}


def _open(product: Product, call: Call, instrument: Instrument, at: int) -> dict[str, object]:
    units = open_interest(instrument, at)
    price = call.source.minute_opens(instrument.symbol, at, 1)[0]
    if not product.has_contracts:
        worth = decimal_text(price * units * instrument.notional_scale)
        amount = decimal_text(units * instrument.quantity_scale)
        return {"symbol": instrument.symbol, "sumOpenInterest": amount, "sumOpenInterestValue": worth, "timestamp": at}
    worth = decimal_text(units * product.contract_size(instrument) * 10 ** (8 + instrument.tick_decimals) // price)
    pair = {"pair": f"{instrument.base}{instrument.quote}", "contractType": "PERPETUAL"}
    return {**pair, "sumOpenInterest": str(units), "sumOpenInterestValue": worth, "timestamp": at}


def _price(call: Call, instrument: Instrument, at: int) -> str:
    return decimal_text(call.source.minute_opens(instrument.symbol, at, 1)[0] * instrument.price_scale)


def _time_of(instrument: Instrument, settled: int) -> int:
    """Some milliseconds after the hour, as at the venue."""
    return settled + (settled // FUNDING_EVERY + len(instrument.symbol)) % (_LATE + 1)

"""PURE. Binance's REST tickers: the last 24 hours, the last price, the best of both sides; of one symbol, some or all."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from simulated_exchange.binance.parameters import VenueError
from simulated_exchange.lake.items import Pair
from simulated_exchange.market.intervals import DAY

STATUSES = ("TRADING", "HALT", "BREAK")
_MINI = (
    *("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
)
_WEIGHTS_OF_DAYS = ((20, 2), (100, 40))


_ZERO = "0.00000000"
_NOBODY = (_ZERO, _ZERO)


class DayFigures(NamedTuple):
    """The last 24 hours of a symbol, as the venue's texts; `last_id` is -1 where no trade is known."""

    last_price: str
    last_quantity: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    bid: Pair | None
    ask: Pair | None
    last_id: int
    trade_count: int


NOTHING_TRADED = DayFigures(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, bid=None, ask=None, last_id=-1, trade_count=0)


def day_weight(symbols: int | None) -> int:
    """Of ticker/24hr: one to twenty symbols 2, up to a hundred 40; more, or all (None), 80."""
    return 80 if symbols is None else next((weight for most, weight in _WEIGHTS_OF_DAYS if symbols <= most), 80)


def is_mini(sent: Mapping[str, str]) -> bool:
    """-1139 for a `type` that is neither FULL nor MINI."""
    kind = sent.get("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise VenueError(-1139, "Invalid ticker type.")
    return kind == "MINI"


def day(symbol: str, it: DayFigures, end: int, *, mini: bool) -> dict[str, object]:
    """ticker/24hr; `end` in milliseconds. What it was before the 24 hours is not known: prevClosePrice is the first price."""
    last, first, volume = Decimal(it.last_price), Decimal(it.open), Decimal(it.volume)
    change = last - first
    average = Decimal(it.quote_volume) / volume if volume else Decimal(0)
    (bid, bid_size), (ask, ask_size) = it.bid or _NOBODY, it.ask or _NOBODY
    full: dict[str, object] = {
        "symbol": symbol,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": f"{change / first * 100 if first else 0:.3f}",
        "weightedAvgPrice": f"{average:.8f}",
        "prevClosePrice": it.open,
        "lastPrice": it.last_price,
        "lastQty": it.last_quantity,
        "bidPrice": bid,
        "bidQty": bid_size,
        "askPrice": ask,
        "askQty": ask_size,
        "openPrice": it.open,
        "highPrice": it.high,
        "lowPrice": it.low,
        "volume": it.volume,
        "quoteVolume": it.quote_volume,
        "openTime": end - DAY,
        "closeTime": end,
        "firstId": max(it.last_id - it.trade_count + 1, 0) if it.trade_count else -1,
        "lastId": it.last_id if it.trade_count else -1,
        "count": it.trade_count,
    }
    return {name: full[name] for name in _MINI} if mini else full


def top(symbol: str, it: DayFigures) -> dict[str, object]:
    """ticker/bookTicker."""
    (bid, bid_size), (ask, ask_size) = it.bid or _NOBODY, it.ask or _NOBODY
    return {"symbol": symbol, "bidPrice": bid, "bidQty": bid_size, "askPrice": ask, "askQty": ask_size}


def price(symbol: str, it: DayFigures) -> dict[str, object]:
    """ticker/price."""
    return {"symbol": symbol, "price": it.last_price}

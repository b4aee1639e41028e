"""PURE. Binance's streams, `btcusdt@depth@100ms`, `!miniTicker@arr`, …, and its JSON of one instrument: what goes over the
sockets, trades and depth of REST.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from simulated_exchange.binance.tickers import DayFigures
from simulated_exchange.market.instruments import DECIMALS, Instrument
from simulated_exchange.market.intervals import INTERVALS, Interval
from simulated_exchange.market.klines import Kline, TimeUnit, decimal_text
from simulated_exchange.market.live_market import DepthDiff, Top
from simulated_exchange.market.order_book import Level
from simulated_exchange.market.rolling_day import MiniTicker
from simulated_exchange.market.trade_log import Trade
from simulated_exchange.server.messages import Channel

ALL_MINI_TICKERS = "!miniTicker@arr"

CHANNELS = {"trade": Channel.TRADE, "bookTicker": Channel.BOOK_TICKER, "depth@100ms": Channel.DEPTH}
"""By what stands behind the symbol."""

_KLINE = "kline_"


@dataclass(frozen=True, slots=True)
class Stream:
    """Symbols are lower case in the name. `interval` of klines only."""

    name: str
    symbol: str
    channel: Channel
    interval: Interval | None = None


def parse_stream(name: str, symbols: Mapping[str, str], channels: Mapping[str, Channel] = CHANNELS) -> Stream | None:
    """The stream of that name, None if there is no such one; `symbols` by their lower-case spelling."""
    if name == ALL_MINI_TICKERS:
        return Stream(name, "", Channel.ALL_MINI_TICKERS)
    lower, _, suffix = name.partition("@")
    symbol = symbols.get(lower)
    if symbol is None:
        return None
    if suffix.startswith(_KLINE):
        interval = INTERVALS.get(suffix.removeprefix(_KLINE))
        return Stream(name, symbol, Channel.KLINE, interval) if interval else None
    channel = channels.get(suffix)
    return Stream(name, symbol, channel) if channel else None


@lru_cache(maxsize=1_024)  # a recording has some dozen streams and 100,000 messages
def channel_of(name: str) -> tuple[str, Channel]:
    """Symbol (upper case) and channel of any stream name, recorded ones included."""
    lower = name.partition("@")[0]
    stream = parse_stream(name, {lower: lower.upper()})
    if stream:
        return stream.symbol, stream.channel
    return lower.upper(), Channel.OTHER


class Wording:
    """The venue's JSON for one instrument; `at` and other times are microseconds."""

    CHANNELS: ClassVar[Mapping[str, Channel]] = CHANNELS

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self._price_scale = instrument.price_scale
        self._quantity_scale = instrument.quantity_scale
        self._instrument = instrument
        self._price = decimals_of(instrument.tick_decimals)
        self._quantity = decimals_of(instrument.step_decimals)

    def update_ids(self, diff: DepthDiff) -> tuple[int, int]:
        """The first and the last id that a diff accounts for, as the venue counts."""
        return diff.first_id, diff.last_id

    def update_id(self, of_book: int) -> int:
        """The venue's id of a state of the book."""
        return of_book

    def book_id(self, update_id: int) -> int:
        """The other way round."""
        return update_id

    def diff(self, diff: DepthDiff, at: int, unit: TimeUnit) -> str:
        return (
            f'{{"e":"depthUpdate","E":{at * unit // 1000},"s":"{self.symbol}","U":{diff.first_id},"u":{diff.last_id},'
            f'"b":{self.levels(diff.bids)},"a":{self.levels(diff.asks)}}}'
        )

    def snapshot(self, last_update_id: int, bids: Sequence[Level], asks: Sequence[Level], now: int) -> str:
        """`now` in milliseconds: futures' snapshots have a time."""
        return f'{{"lastUpdateId":{last_update_id},"bids":{self.levels(bids)},"asks":{self.levels(asks)}}}'

    def levels(self, levels: Sequence[Level]) -> str:
        price, quantity = self._price, self._quantity
        return "[" + ",".join([f'["{price(at)}","{quantity(size)}"]' for at, size in levels]) + "]"

    def pairs(self, levels: Sequence[Level]) -> list[list[str]]:
        return [[self._price(at), self._quantity(size)] for at, size in levels]

    def trade(self, trade: Trade, at: int, unit: TimeUnit) -> str:
        return (
            f'{{"e":"trade","E":{at * unit // 1000},"s":"{self.symbol}","t":{trade.trade_id},"p":"{self._price(trade.price)}",'
            f'"q":"{self._quantity(trade.quantity)}","T":{trade.time_us * unit // 1000},'
            f'"m":{json_of(trade.is_buyer_maker)},"M":true}}'
        )

    def top(self, top: Top, at: int) -> str:
        """Without a time, unlike futures'."""
        update_id, bid, bid_size, ask, ask_size = top
        return (
            f'{{"u":{update_id},"s":"{self.symbol}","b":"{self._price(bid)}","B":"{self._quantity(bid_size)}",'
            f'"a":"{self._price(ask)}","A":"{self._quantity(ask_size)}"}}'
        )

    def mark_price(self, reference: int, top: tuple[int, int, int, int], at: int) -> str:
        """Of futures only, as `liquidation`. `reference` and the prices of the best of both sides are in ticks."""
        raise NotImplementedError

    def liquidation(self, trade: Trade, at: int) -> str:
        """As if this trade had been forced."""
        raise NotImplementedError

    def kline(self, kline: Kline, interval: Interval, last_trade_id: int, at: int, unit: TimeUnit, *, closed: bool) -> str:
        """`last_trade_id` of the kline; its first one follows, since ids are contiguous; -1 where nobody traded."""
        first, last = (last_trade_id - kline.trade_count + 1, last_trade_id) if kline.trade_count else (-1, -1)
        price, quantity = self._price, self._quantity
        return (
            f'{{"e":"kline","E":{at * unit // 1000},"s":"{self.symbol}","k":{{"t":{kline.open_time * unit},'
            f'"T":{interval.next_open(kline.open_time) * unit - 1},"s":"{self.symbol}","i":"{interval.name}",'
            f'"f":{first},"L":{last},"o":"{price(kline.open)}","c":"{price(kline.close)}","h":"{price(kline.high)}",'
            f'"l":"{price(kline.low)}","v":"{quantity(kline.volume)}","n":{kline.trade_count},"x":{json_of(closed)},'
            f'"q":"{self._turnover(kline.volume, kline.quote_volume)}","V":"{quantity(kline.taker_buy_volume)}",'
            f'"Q":"{self._turnover(kline.taker_buy_volume, kline.taker_buy_quote_volume)}","B":"0"}}}}'
        )

    def mini_ticker(self, ticker: MiniTicker, at: int, unit: TimeUnit) -> str:
        price = self._price
        return (
            f'{{"e":"24hrMiniTicker","E":{at * unit // 1000},"s":"{self.symbol}","c":"{price(ticker.close)}",'
            f'"o":"{price(ticker.open)}","h":"{price(ticker.high)}","l":"{price(ticker.low)}",'
            f'"v":"{self._quantity(ticker.volume)}","q":"{self._turnover(ticker.volume, ticker.quote_volume)}"}}'
        )

    def day(self, ticker: MiniTicker, last: Trade | None, best: tuple[int, int, int, int]) -> DayFigures:
        """`best`: bid, its quantity, ask, its quantity; a price of 0 for a side without orders."""
        bid, bid_size, ask, ask_size = best
        return DayFigures(
            self._price(last.price if last else ticker.close),
            self._quantity(last.quantity if last else 0),
            self._price(ticker.open),
            self._price(ticker.high),
            self._price(ticker.low),
            self._quantity(ticker.volume),
            self._turnover(ticker.volume, ticker.quote_volume),
            (self._price(bid), self._quantity(bid_size)) if bid else None,
            (self._price(ask), self._quantity(ask_size)) if ask else None,
            last.trade_id if last else -1,
            ticker.trade_count,
        )

    def rest_trade(self, trade: Trade, unit: TimeUnit) -> str:
        quote = self._turnover(trade.quantity, trade.price * trade.quantity)
        return (
            f'{{"id":{trade.trade_id},"price":"{self._price(trade.price)}","qty":"{self._quantity(trade.quantity)}",'
            f'"quoteQty":"{quote}","time":{trade.time_us * unit // 1000},'
            f'"isBuyerMaker":{json_of(trade.is_buyer_maker)},"isBestMatch":true}}'
        )

    def _turnover(self, steps: int, notional: int) -> str:
        return decimal_text(self._instrument.turnover(steps, notional))


def json_of(value: bool) -> str:
    return "true" if value else "false"


def decimals_of(decimals: int) -> Callable[[int], str]:
    """Writes a whole number of 10^-decimals with the venue's eight: decimals 2, 4200 -> "42.00000000"."""
    if not decimals:
        return lambda units: f"{units}.{'0' * DECIMALS}"
    one, zeros = 10**decimals, "0" * (DECIMALS - decimals)

    def text(units: int) -> str:
        whole, part = divmod(units, one)
        return f"{whole}.{part:0{decimals}d}{zeros}"

    return text

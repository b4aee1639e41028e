"""PURE. The JSON of Binance's futures: spot's with the id before each diff, times of matching, and numbers as long as they are.

Update ids jump, as one counter serves all symbols: of a book's ids, one in three is told.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from simulated_exchange.binance.messages import CHANNELS, Wording, json_of
from simulated_exchange.market.derivatives import funding_after, funding_rate, open_interest
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.klines import TimeUnit, decimal_text
from simulated_exchange.market.live_market import DepthDiff, Top
from simulated_exchange.market.order_book import Level
from simulated_exchange.market.trade_log import Trade
from simulated_exchange.server.messages import Channel

ID_STEP = 3


class FuturesWording(Wording):
    """Times are always milliseconds."""

    CHANNELS: ClassVar[Mapping[str, Channel]] = {
        **CHANNELS,
        "markPrice@1s": Channel.MARK_PRICE,
        "forceOrder": Channel.LIQUIDATION,
    }

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self._instrument = instrument
        self._price = _as_long(instrument.tick_decimals)
        self._quantity = _as_long(instrument.step_decimals)

    def update_ids(self, diff: DepthDiff) -> tuple[int, int]:
        return (diff.first_id - 1) * ID_STEP + 1, diff.last_id * ID_STEP

    def update_id(self, of_book: int) -> int:
        return of_book * ID_STEP

    def book_id(self, update_id: int) -> int:
        return update_id // ID_STEP

    def diff(self, diff: DepthDiff, at: int, unit: TimeUnit) -> str:
        first, last = self.update_ids(diff)
        return (
            f'{{"e":"depthUpdate","E":{at // 1000},"T":{at // 1000},"s":"{self.symbol}",'
            f'"U":{first + 1},"u":{last},"pu":{first - 1},"b":{self.levels(diff.bids)},"a":{self.levels(diff.asks)}}}'
        )

    def snapshot(self, last_update_id: int, bids: Sequence[Level], asks: Sequence[Level], now: int) -> str:
        sides = f'"bids":{self.levels(bids)},"asks":{self.levels(asks)}'
        return f'{{"lastUpdateId":{self.update_id(last_update_id)},"E":{now},"T":{now},{sides}}}'

    def trade(self, trade: Trade, at: int, unit: TimeUnit) -> str:
        return (
            f'{{"e":"trade","E":{at // 1000},"T":{trade.time_us // 1000},"s":"{self.symbol}","t":{trade.trade_id},'
            f'"p":"{self._price(trade.price)}","q":"{self._quantity(trade.quantity)}","X":"MARKET",'
            f'"m":{json_of(trade.is_buyer_maker)}}}'
        )

    def top(self, top: Top, at: int) -> str:
        update_id, bid, bid_size, ask, ask_size = top
        return (
            f'{{"e":"bookTicker","u":{self.update_id(update_id)},"s":"{self.symbol}","b":"{self._price(bid)}",'
            f'"B":"{self._quantity(bid_size)}","a":"{self._price(ask)}","A":"{self._quantity(ask_size)}",'
            f'"T":{at // 1000},"E":{at // 1000}}}'
        )

    def mark_price(self, reference: int, top: tuple[int, int, int, int], at: int) -> str:
        """The mark price is half the way from the index to the middle of the book; without one of its sides it is the index."""
        bid, _, ask, _ = top
        scale, now = self._price_scale, at // 1000
        index = reference * scale
        mark = (2 * index + (bid + ask) * scale) // 4 if bid and ask else index
        settled = funding_after(now)
        return (
            f'{{"e":"markPriceUpdate","E":{now},"s":"{self.symbol}","p":"{decimal_text(mark)}","ap":"{decimal_text(mark)}",'
            f'"P":"{decimal_text(index)}","i":"{decimal_text(index)}","r":"{funding_rate(self.symbol, settled)}","T":{settled}}}'
        )

    def liquidation(self, trade: Trade, at: int) -> str:
        """The order that took is the forced one."""
        side, price, quantity = (
            "SELL" if trade.is_buyer_maker else "BUY",
            self._price(trade.price),
            self._quantity(trade.quantity),
        )
        return (
            f'{{"e":"forceOrder","E":{at // 1000},"o":{{"s":"{self.symbol}","S":"{side}","o":"LIMIT","f":"IOC","q":"{quantity}",'
            f'"p":"{price}","ap":"{price}","X":"FILLED","l":"{quantity}","z":"{quantity}","T":{trade.time_us // 1000}}}}}'
        )

    def open_interest(self, at: int) -> str:
        """`at` in milliseconds."""
        return self._quantity(open_interest(self._instrument, at))

    def rest_trade(self, trade: Trade, unit: TimeUnit) -> str:
        other, amount = "base" if self._instrument.contract_size else "quote", trade.price * trade.quantity
        return (
            f'{{"id":{trade.trade_id},"price":"{self._price(trade.price)}","qty":"{self._quantity(trade.quantity)}",'
            f'"{other}Qty":"{self._turnover(trade.quantity, amount)}","time":{trade.time_us // 1000},'
            f'"isBuyerMaker":{json_of(trade.is_buyer_maker)}}}'
        )


def _as_long(decimals: int) -> Callable[[int], str]:
    """Writes a whole number of 10^-decimals with so many decimals."""
    if not decimals:
        return str
    one = 10**decimals

    def text(units: int) -> str:
        whole, part = divmod(units, one)
        return f"{whole}.{part:0{decimals}d}"

    return text

"""PURE. KuCoin's JSON for one instrument; times are microseconds. Trade sequences grow and are not consecutive."""

from collections.abc import Sequence

import orjson

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.klines import Kline
from simulated_exchange.market.live_market import DepthDiff
from simulated_exchange.market.order_book import Level
from simulated_exchange.market.trade_log import Trade

INTERVALS = {
    **{f"{number}min": f"{number}m" for number in (1, 3, 5, 15, 30)},
    **{f"{number}hour": f"{number}h" for number in (1, 2, 4, 6, 8, 12)},
    "1day": "1d",
    "1week": "1w",
    "1month": "1M",
}
"""The venue's names, and the simulator's own."""


def spelled(instrument: Instrument) -> str:
    """BTCUSDT is BTC-USDT here."""
    return f"{instrument.base}-{instrument.quote}"


def sequence_of(trade_id: int) -> int:
    """Of the simulator's consecutive trade ids: what the venue calls a sequence has holes."""
    return trade_id * 3 + trade_id % 2


class Words:
    """Numbers without trailing zeros, as the venue writes them."""

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = spelled(instrument)
        self._tick, self._step = instrument.tick_decimals, instrument.step_decimals

    def price(self, ticks: int) -> str:
        return _text(ticks, self._tick)

    def size(self, steps: int) -> str:
        return _text(steps, self._step)

    def levels(self, levels: Sequence[Level]) -> list[list[str]]:
        return [[self.price(at), self.size(size)] for at, size in levels]

    def diff(self, diff: DepthDiff, at: int) -> str:
        """Every change with its sequence; sequences that changed no level end in a placeholder with price 0."""
        number, changes = diff.first_id, {"bids": [], "asks": []}  # type: tuple[int, dict[str, list[list[str]]]]
        for side, levels in (("asks", diff.asks), ("bids", diff.bids)):
            for price, size in levels:
                changes[side].append([self.price(price), self.size(size), str(min(number, diff.last_id))])
                number += 1
        if number <= diff.last_id:
            changes["asks"].append(["0", "0", str(diff.last_id)])
        data = {"changes": changes, "sequenceEnd": diff.last_id, "sequenceStart": diff.first_id}
        return _message(f"/market/level2:{self.symbol}", "trade.l2update", data | {"symbol": self.symbol, "time": at // 1_000})

    def match(self, trade: Trade) -> str:
        data = {"symbol": self.symbol, "type": "match", "takerOrderId": "0", "makerOrderId": "0"} | self._trade(trade)
        data |= {"tradeId": str(sequence_of(trade.trade_id)), "time": f"{trade.time_us}000"}
        return _message(f"/market/match:{self.symbol}", "trade.l3match", data)

    def rest_trade(self, trade: Trade) -> dict[str, object]:
        return {**self._trade(trade), "time": trade.time_us * 1_000}

    def ticker(self, topic: str, sequence: int, last: tuple[int, int], best: tuple[int, int, int, int], at: int) -> str:
        """`last` trade's price and size; `best` bid, its size, ask, its size."""
        bid, bid_size, ask, ask_size = best
        data = {"bestAsk": self.price(ask), "bestAskSize": self.size(ask_size), "bestBid": self.price(bid)}
        data |= {"bestBidSize": self.size(bid_size), "price": self.price(last[0]), "sequence": str(sequence)}
        subject = self.symbol if topic.endswith(":all") else "trade.ticker"
        return _message(topic, subject, data | {"size": self.size(last[1]), "time": at // 1_000})

    def top(self, best: tuple[int, int, int, int], at: int) -> str:
        """`best` bid, its size, ask, its size."""
        bid, bid_size, ask, ask_size = best
        data = {"asks": [self.price(ask), self.size(ask_size)], "bids": [self.price(bid), self.size(bid_size)]}
        return _message(f"/spotMarket/level1:{self.symbol}", "level1", data | {"timestamp": at // 1_000})

    def candle(self, topic: str, kline: Kline, at: int, *, is_new: bool) -> str:
        subject = "trade.candles.add" if is_new else "trade.candles.update"
        return _message(topic, subject, {"symbol": self.symbol, "candles": self.candle_row(kline), "time": at * 1_000})

    def candle_row(self, kline: Kline) -> list[str]:
        """Time in seconds, open, close, high, low, volume, turnover."""
        prices = [self.price(ticks) for ticks in (kline.open, kline.close, kline.high, kline.low)]
        turnover = _text(kline.quote_volume, self._tick + self._step)
        return [str(kline.open_time // 1_000), *prices, self.size(kline.volume), turnover]

    def _trade(self, trade: Trade) -> dict[str, object]:
        side = "sell" if trade.is_buyer_maker else "buy"
        price, size = self.price(trade.price), self.size(trade.quantity)
        return {"sequence": str(sequence_of(trade.trade_id)), "price": price, "size": size, "side": side}


def _message(topic: str, subject: str, data: dict[str, object]) -> str:
    return orjson.dumps({"topic": topic, "type": "message", "subject": subject, "data": data}).decode()


def _text(units: int, decimals: int) -> str:
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}".rstrip("0") if part else str(whole)

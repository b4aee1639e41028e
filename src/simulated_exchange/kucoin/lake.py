"""KuCoin's messages and answers, made of rows of a lake again: the same sequences, levels, prices and times."""

from collections.abc import Iterable, Iterator

import orjson
import pyarrow as pa

from simulated_exchange.kucoin.messages import INTERVALS
from simulated_exchange.lake.items import Bar, Change, Day, Deal, Item, Pair, columns, sides
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.server.messages import Channel, Message
from tickhouse_core.datasets import DEPTH_DIFFS, TICKERS, TRADES, Dataset

_TOPICS = {TRADES.name: "/market/match", DEPTH_DIFFS.name: "/market/level2", TICKERS.name: "/market/ticker"}
_CANDLES = "/market/candles"


class KucoinWords:
    """See `lake.items.Words`."""

    name = "kucoin"

    def stream(self, dataset: Dataset, symbol: str) -> str:
        return f"{_TOPICS[dataset.name]}:{symbol}"

    def trades(self, rows: pa.Table) -> Iterator[Item]:
        """Their order ids are not in the lake."""
        names = ("symbol", "trade_id", "price", "quantity", "is_buyer_maker", "trade_time", "event_time")
        for name, *fields in columns(rows, *names):
            symbol, deal = str(name), Deal(*fields)  # type: ignore[arg-type]
            data = {"symbol": symbol, "type": "match", "takerOrderId": "0", "makerOrderId": "0"} | _said(deal)
            data |= {"tradeId": str(deal.trade_id), "time": f"{deal.at}000"}
            yield Item(deal.at, symbol, (_message(f"/market/match:{symbol}", "trade.l3match", data, deal.trade_id),), deal)

    def diffs(self, rows: pa.Table) -> Iterator[Item]:
        """Which sequence changed which level is not in the lake: all have the last one, in the order in which they came."""
        named = columns(rows, "symbol", "first_update_id", "last_update_id", "event_time")
        for (name, first, last, time), (bids, asks) in zip(named, sides(rows), strict=True):
            symbol, change, at = str(name), Change(int(first or 0), int(last or 0), bids, asks), int(time or 0)
            number = str(change.last_id)
            changes = {"asks": _levels(asks, number), "bids": _levels(bids, number)}
            if not bids and not asks:
                changes["asks"].append(["0", "0", number])
            data = {"changes": changes, "sequenceEnd": change.last_id, "sequenceStart": change.first_id}
            data |= {"symbol": symbol, "time": at // 1_000}
            message = _message(f"/market/level2:{symbol}", "trade.l2update", data, change.first_id, change.last_id)
            yield Item(at, symbol, (message,), change)

    def tickers(self, rows: pa.Table) -> Iterator[Item]:
        """Of one symbol and of all; the size of the last trade and the sequence are not in the lake."""
        names = ("symbol", "event_time", "close")
        best = ("best_bid_price", "best_bid_quantity", "best_ask_price", "best_ask_quantity")
        for name, at, close, *tops in columns(rows, *names, *best):
            symbol, price = str(name), str(close)
            keys = ("bestBid", "bestBidSize", "bestAsk", "bestAskSize")
            data: dict[str, object] = {
                key: None if top is None else _short(str(top)) for key, top in zip(keys, tops, strict=True)
            }
            data |= {"price": _short(price), "sequence": "0", "size": "0", "time": int(at or 0) // 1_000}
            messages = tuple(
                _message(topic, subject, data, 0)
                for topic, subject in ((f"/market/ticker:{symbol}", "trade.ticker"), ("/market/ticker:all", symbol))
            )
            yield Item(int(at or 0), symbol, messages, Day(int(at or 0), None, None, None, price, None, None))

    def kline_stream(self, name: str, symbols: Iterable[str]) -> tuple[str, str] | None:
        kind, _, rest = name.partition(":")
        symbol, _, interval = rest.rpartition("_")
        return (symbol, INTERVALS[interval]) if kind == _CANDLES and interval in INTERVALS and symbol in symbols else None

    def kline(self, stream: str, symbol: str, interval: str, bar: Bar) -> Iterator[Message]:
        """The last state of one, then the next one: nothing else says that it has closed."""
        at = (bar.close_time + 1) * 1_000_000
        yield _candle(stream, symbol, "update", row(bar), at)
        opened = str((bar.close_time + 1) // 1_000)
        price = _short(bar.close)
        yield _candle(stream, symbol, "add", [opened, price, price, price, price, "0", "0"], at)

    def base_and_quote(self, symbol: str) -> tuple[str, str]:
        base, _, quote = symbol.partition("-")
        return base, quote


class LakeBooks:
    """What REST answers, as of the moment of the replay."""

    def __init__(self, replay: LakeReplay) -> None:
        self._replay = replay

    def depth(self, symbol: str, levels: int) -> tuple[int, list[list[str]], list[list[str]]] | None:
        """Sequence, bids and asks."""
        book = self._replay.depth(symbol, levels)
        if book is None:
            return None
        bids, asks = ([[_short(text) for text in pair] for pair in side] for side in (book.bids, book.asks))
        return book.update_id, bids, asks

    def trades(self, symbol: str, most: int) -> list[dict[str, object]]:
        """The newest, oldest first."""
        return [{**_said(deal), "time": deal.at * 1_000} for deal in self._replay.trades(symbol, None, most)]


def row(bar: Bar) -> list[str]:
    """Time in seconds, open, close, high, low, volume, turnover."""
    texts = (bar.open, bar.close, bar.high, bar.low, bar.volume, bar.quote_volume)
    return [str(bar.open_time // 1_000), *map(_short, texts)]


def _said(deal: Deal) -> dict[str, object]:
    side = "sell" if deal.is_buyer_maker else "buy"
    return {"sequence": str(deal.trade_id), "price": _short(deal.price), "size": _short(deal.quantity), "side": side}


def _levels(pairs: Iterable[Pair], number: str) -> list[list[str]]:
    return [[_short(price), _short(quantity), number] for price, quantity in pairs]


def _candle(stream: str, symbol: str, what: str, candle: list[str], at_ns: int) -> Message:
    return _message(stream, f"trade.candles.{what}", {"symbol": symbol, "candles": candle, "time": at_ns}, int(candle[0]))


def _message(topic: str, subject: str, data: dict[str, object], first: int, last: int | None = None) -> Message:
    kind, _, symbol = topic.partition(":")
    channel = {"/market/level2": Channel.DEPTH, _CANDLES: Channel.KLINE}.get(kind, Channel.OTHER)
    said = {"topic": topic, "type": "message", "subject": subject, "data": data}
    return Message(topic, symbol, channel, (first, first if last is None else last), lambda _: orjson.dumps(said).decode())


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text

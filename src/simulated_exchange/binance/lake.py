"""Binance's messages and answers, made of rows of a lake again: the same ids, levels, prices and times."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from itertools import groupby
from operator import itemgetter

import orjson
import pyarrow as pa

from simulated_exchange.binance.messages import ALL_MINI_TICKERS, parse_stream
from simulated_exchange.binance.tickers import NOTHING_TRADED, DayFigures
from simulated_exchange.lake.items import Bar, Change, Day, Deal, Item, Pair, columns, in_unit, sides
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.market.intervals import DAY, INTERVALS
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.messages import Channel, Message
from simulated_exchange.server.recorded_klines import base_and_quote
from tickhouse_core.datasets import DEPTH_DIFFS, TICKERS, TRADES, Dataset

_SUFFIXES = {TRADES.name: "trade", DEPTH_DIFFS.name: "depth@100ms"}


class BinanceWords:
    """See `lake.items.Words`. A futures market has the name of its venue, and says which id was before a diff."""

    def __init__(self, name: str = "binance", *, has_previous_id: bool = False) -> None:
        self.name = name
        self._diff = _futures_diff if has_previous_id else _diff

    def stream(self, dataset: Dataset, symbol: str) -> str:
        return ALL_MINI_TICKERS if dataset is TICKERS else f"{symbol.lower()}@{_SUFFIXES[dataset.name]}"

    def trades(self, rows: pa.Table) -> Iterator[Item]:
        names = ("symbol", "trade_id", "price", "quantity", "is_buyer_maker", "trade_time", "event_time")
        for symbol, *fields in columns(rows, *names):
            deal = Deal(*fields)  # type: ignore[arg-type]
            ids = deal.trade_id, deal.trade_id
            message = Message(f"{symbol}".lower() + "@trade", str(symbol), Channel.TRADE, ids, partial(_trade, symbol, deal))
            yield Item(deal.at, str(symbol), (message,), deal)

    def diffs(self, rows: pa.Table) -> Iterator[Item]:
        named = columns(rows, "symbol", "first_update_id", "last_update_id", "event_time")
        for (name, first, last, time), (bids, asks) in zip(named, sides(rows), strict=True):
            symbol, change, at = str(name), Change(int(first or 0), int(last or 0), bids, asks), int(time or 0)
            stream = f"{symbol.lower()}@depth@100ms"
            ids = change.first_id, change.last_id
            yield Item(
                at, symbol, (Message(stream, symbol, Channel.DEPTH, ids, partial(self._diff, symbol, change, at)),), change
            )

    def tickers(self, rows: pa.Table) -> Iterator[Item]:
        """Rows that were received together were one message of the whole market."""
        names = ("receipt_time", "symbol", "event_time", "open", "high", "low", "close", "volume", "quote_volume")
        for _, group in groupby(columns(rows, *names), itemgetter(0)):
            days = [(str(symbol), Day(*fields)) for _, symbol, *fields in group]  # type: ignore[arg-type]
            at = days[0][1].at
            whole = Message(ALL_MINI_TICKERS, "", Channel.ALL_MINI_TICKERS, (at, at), partial(_mini_tickers, days))
            yield Item(at, "", (whole,), None)
            for symbol, day in days:
                one = Message(f"{symbol.lower()}@miniTicker", symbol, Channel.OTHER, (at, at), partial(_mini_ticker, symbol, day))
                yield Item(at, symbol, (one,), day)

    def kline_stream(self, name: str, symbols: Iterable[str]) -> tuple[str, str] | None:
        lower = name.partition("@")[0]
        stream = parse_stream(name, {symbol.lower(): symbol for symbol in symbols if symbol.lower() == lower})
        return (stream.symbol, stream.interval.name) if stream and stream.interval else None

    def kline(self, stream: str, symbol: str, interval: str, bar: Bar) -> Iterator[Message]:
        yield Message(stream, symbol, Channel.KLINE, (bar.open_time, bar.open_time), partial(_kline, symbol, interval, bar))

    def base_and_quote(self, symbol: str) -> tuple[str, str]:
        return base_and_quote(symbol)


class LakeBooks:
    """What REST answers, as of the moment of the replay; see `binance.rest.Books`."""

    def __init__(self, replay: LakeReplay) -> None:
        self._replay = replay

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        book = self._replay.depth(symbol, limit)
        if book is None:
            return None
        return f'{{"lastUpdateId":{book.update_id},"bids":{_levels(book.bids)},"asks":{_levels(book.asks)}}}'

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        found = self._replay.trades(symbol, from_id, limit)
        return orjson.dumps([_rest_trade(deal, unit) for deal in found]).decode()

    def day(self, symbol: str, now: int) -> DayFigures:
        """The last recorded ticker; where none was, the minutes of the lake; where there are none, the last trade."""
        last = next(iter(self._replay.trades(symbol, None, 1)), None)
        book, day = self._replay.depth(symbol, 1), self._replay.day(symbol)
        bid, ask = (next(iter(side), None) for side in (book.bids, book.asks)) if book else (None, None)
        bars = self._replay.bars(symbol, INTERVALS["1m"], now - DAY, now)
        price = last.price if last else day.close if day else bars[-1].close if bars else ""
        if not price:
            return NOTHING_TRADED._replace(bid=bid, ask=ask)
        figures = DayFigures(
            last_price=price,
            last_quantity=last.quantity if last else NOTHING_TRADED.last_quantity,
            open=bars[0].open if bars else price,
            high=max([price, *(bar.high for bar in bars)], key=Decimal),
            low=min([price, *(bar.low for bar in bars)], key=Decimal),
            volume=_sum(bar.volume for bar in bars),
            quote_volume=_sum(bar.quote_volume for bar in bars),
            bid=bid,
            ask=ask,
            last_id=last.trade_id if last else -1,
            trade_count=sum(bar.trade_count for bar in bars),
        )
        if day is None or day.open is None or day.high is None or day.low is None:
            return figures
        volume, quote_volume = (text or NOTHING_TRADED.volume for text in (day.volume, day.quote_volume))
        return figures._replace(open=day.open, high=day.high, low=day.low, volume=volume, quote_volume=quote_volume)


def _diff(symbol: str, change: Change, at: int, unit: TimeUnit) -> str:
    return (
        f'{{"e":"depthUpdate","E":{in_unit(at, unit)},"s":"{symbol}","U":{change.first_id},"u":{change.last_id},'
        f'"b":{_levels(change.bids)},"a":{_levels(change.asks)}}}'
    )


def _futures_diff(symbol: str, change: Change, at: int, unit: TimeUnit) -> str:
    """`U`, the first id of the change itself, is not in the lake: that after the one before."""
    return _diff(symbol, change, at, TimeUnit.MILLISECOND)[:-1] + f',"pu":{change.first_id - 1}}}'


def _levels(levels: Iterable[Pair]) -> str:
    return "[" + ",".join([f'["{price}","{quantity}"]' for price, quantity in levels]) + "]"


def _trade(symbol: object, deal: Deal, unit: TimeUnit) -> str:
    return (
        f'{{"e":"trade","E":{in_unit(deal.sent_at, unit)},"s":"{symbol}","t":{deal.trade_id},"p":"{deal.price}",'
        f'"q":"{deal.quantity}","T":{in_unit(deal.at, unit)},"m":{"true" if deal.is_buyer_maker else "false"},"M":true}}'
    )


def _rest_trade(deal: Deal, unit: TimeUnit) -> dict[str, object]:
    quote = f"{Decimal(deal.price) * Decimal(deal.quantity):.8f}"
    named = {"id": deal.trade_id, "price": deal.price, "qty": deal.quantity, "quoteQty": quote}
    return {**named, "time": in_unit(deal.at, unit), "isBuyerMaker": deal.is_buyer_maker, "isBestMatch": True}


def _mini_tickers(days: Iterable[tuple[str, Day]], unit: TimeUnit) -> str:
    return "[" + ",".join(_mini_ticker(symbol, day, unit) for symbol, day in days) + "]"


def _mini_ticker(symbol: str, day: Day, unit: TimeUnit) -> str:
    texts = {"c": day.close, "o": day.open, "h": day.high, "l": day.low, "v": day.volume, "q": day.quote_volume}
    said = "".join(f',"{key}":"{text}"' for key, text in texts.items() if text is not None)
    return f'{{"e":"24hrMiniTicker","E":{in_unit(day.at, unit)},"s":"{symbol}"{said}}}'


def _kline(symbol: str, interval: str, bar: Bar, unit: TimeUnit) -> str:
    """`f` and `L`, the ids of its trades, are not in the lake."""
    closes = (bar.close_time + 1) * unit - 1
    return (
        f'{{"e":"kline","E":{closes + 1},"s":"{symbol}","k":{{"t":{bar.open_time * unit},"T":{closes},"s":"{symbol}",'
        f'"i":"{interval}","f":-1,"L":-1,"o":"{bar.open}","c":"{bar.close}","h":"{bar.high}","l":"{bar.low}","v":"{bar.volume}",'
        f'"n":{bar.trade_count},"x":true,"q":"{bar.quote_volume}","V":"{bar.taker_buy_volume}",'
        f'"Q":"{bar.taker_buy_quote_volume}","B":"0"}}}}'
    )


def _sum(texts: Iterable[str]) -> str:
    return f"{sum(map(Decimal, texts), Decimal(0)):.8f}"

"""Turns the steps of running books into KuCoin's messages of the topics that somebody wants."""

from collections.abc import Callable, Iterable, Iterator

from simulated_exchange.kucoin.messages import INTERVALS, Words, spelled
from simulated_exchange.market.intervals import INTERVALS as OUR_INTERVALS
from simulated_exchange.market.live_market import LiveMarket, Step, SymbolMarket
from simulated_exchange.server.messages import Channel, Message
from simulated_exchange.server.publisher import Publisher

ALL_TICKERS = "/market/ticker:all"

_TICKS_AT_ONCE = 20  # then the event loop gets its turn
_CHANNELS = {
    "/market/level2": Channel.DEPTH,
    "/market/match": Channel.TRADE,
    "/market/ticker": Channel.OTHER,
    "/spotMarket/level1": Channel.BOOK_TICKER,
    "/market/candles": Channel.KLINE,
}


class TopicFeeds:
    """The generated market's `MessageSource`. Every 100 ms: what changed."""

    def __init__(self, live: LiveMarket, publisher: Publisher) -> None:
        self._live = live
        self._publisher = publisher
        self.symbols = {spelled(instrument): name for name, instrument in live.klines.instruments.items()}
        self._words = {name: Words(instrument) for name, instrument in live.klines.instruments.items()}
        self._wanted: dict[str, list[str]] = {}
        self._told_tops: dict[str, tuple[int, ...]] = {}
        self._opened: dict[str, int] = {}

    def want(self, names: Iterable[str], now: int) -> None:
        """Somebody subscribes (`now` in microseconds): books start, unless they run or the symbol is not listed yet."""
        self.advance(now, all_of_it=True)
        for name in names:
            for symbol in self._symbols_of(name):
                topics = self._wanted.setdefault(symbol, [])
                if name not in topics and self._live.start(symbol, now // 1_000) is not None:
                    topics.append(name)

    def unwant(self, names: Iterable[str]) -> None:
        """Some have lost a subscriber; topics without any are no longer made."""
        for name in names:
            if not self._publisher.is_wanted(name):
                for symbol in self._symbols_of(name):
                    if name in self._wanted.get(symbol, ()):
                        self._wanted[symbol].remove(name)

    def advance(self, now: int, *, all_of_it: bool = False) -> None:
        """Publishes what has happened by `now`, or the next part of it."""
        for market, step in self._live.advance(now // 1_000, None if all_of_it else _TICKS_AT_ONCE):
            for topic in self._wanted.get(market.instrument.symbol, ()):
                for message in self._messages(topic, market, step):
                    self._publisher.publish(message, step.at * 1_000)

    def is_behind(self, now: int) -> bool:
        return self._live.is_behind(now // 1_000)

    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        """Moves the book of a diff by `number` updates right after it."""
        market = self._live.markets.get(self.symbols.get(message.symbol, ""))
        hidden = market.jump(number) if market else None
        return (hidden.diff.first_id, hidden.diff.last_id) if hidden and hidden.diff else None

    def _symbols_of(self, topic: str) -> list[str]:
        if topic == ALL_TICKERS:
            return list(self.symbols.values())
        kind, _, symbol = topic.partition(":")
        symbol = symbol.rpartition("_")[0] if _CHANNELS.get(kind) is Channel.KLINE else symbol
        return [self.symbols[symbol]] if symbol in self.symbols else []

    def _messages(self, topic: str, market: SymbolMarket, step: Step) -> Iterator[Message]:
        words, at, kind = self._words[market.instrument.symbol], step.at * 1_000, topic.partition(":")[0]
        match _CHANNELS[kind]:
            case Channel.DEPTH if step.diff:
                yield _message(topic, words, (step.diff.first_id, step.diff.last_id), words.diff(step.diff, at))
            case Channel.TRADE:
                for trade in step.trades:
                    yield _message(topic, words, (trade.trade_id, trade.trade_id), words.match(trade))
            case Channel.KLINE:
                yield from self._candles(topic, market, words, step)
            case Channel.BOOK_TICKER:
                yield from self._tops(topic, market, words, step)
            case Channel.OTHER:
                yield from self._tickers(topic, market, words, step)

    def _tickers(self, topic: str, market: SymbolMarket, words: Words, step: Step) -> Iterator[Message]:
        best = market.book.top
        state = (*best, market.trades.next_id)
        if self._told_tops.get(f"{topic}{words.symbol}") == state or not (best[0] and best[2]):
            return
        self._told_tops[f"{topic}{words.symbol}"] = state
        last = market.trades.latest(1)
        price, size = (last[0].price, last[0].quantity) if last else (market.klines.current.close, 0)
        number = market.book.update_id
        yield _message(topic, words, (number, number), words.ticker(topic, number, (price, size), best, step.at * 1_000))

    def _tops(self, topic: str, market: SymbolMarket, words: Words, step: Step) -> Iterator[Message]:
        """The best of both sides after a step that changed it; its time stands in for a sequence."""
        best = market.book.top
        if self._told_tops.get(topic) == best or not (best[0] and best[2]):
            return
        self._told_tops[topic] = best
        yield _message(topic, words, (step.at, step.at), words.top(best, step.at * 1_000))

    def _candles(self, topic: str, market: SymbolMarket, words: Words, step: Step) -> Iterator[Message]:
        """The running candle after each step with trades; the last state of one that ended in this step comes first."""
        if not step.trades:
            return
        interval = OUR_INTERVALS[INTERVALS[topic.rpartition("_")[2]]]
        before = self._opened.get(topic, 0)
        for opened in dict.fromkeys(interval.floor(trade.time_us // 1_000) for trade in step.trades):
            kline = self._live.klines.kline(market.instrument.symbol, interval, opened)
            if kline is not None and kline.trade_count:
                text = words.candle(topic, kline, step.at * 1_000, is_new=opened != before)
                yield _message(topic, words, (opened, opened), text)
            before = opened
        self._opened[topic] = before


def _message(topic: str, words: Words, ids: tuple[int, int], text: str) -> Message:
    render: Callable[[object], str] = lambda _: text  # noqa: E731  # the same in every form
    return Message(topic, words.symbol, _CHANNELS[topic.partition(":")[0]], ids, render)

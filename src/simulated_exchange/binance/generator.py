"""Turns the steps of running books into messages of the streams that somebody wants; what nobody wants is never rendered."""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from simulated_exchange.binance.messages import ALL_MINI_TICKERS, Stream, Wording, parse_stream
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import MINUTE, Interval
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.market.live_klines import LiveKlines
from simulated_exchange.market.live_market import STEP, LiveMarket, Step, SymbolMarket
from simulated_exchange.market.rolling_day import MiniTicker, RollingDay
from simulated_exchange.server.messages import Channel, Message, Render
from simulated_exchange.server.publisher import Publisher

_SECOND = 1000
_QUIET = 60  # symbols without a running book are in the mini tickers once in so many seconds
_TRADES_A_LIQUIDATION = 25  # one in so many trades is a forced one, if the second has none yet
_TICKS_AT_ONCE = 20  # then the event loop gets its turn


class Feeds:
    """The generated market's `MessageSource`."""

    def __init__(self, live: LiveMarket, publisher: Publisher, words: type[Wording] = Wording) -> None:
        """`words`: the venue's JSON of an instrument."""
        self._live = live
        self._publisher = publisher
        self._words = words
        self._symbols = {symbol.lower(): symbol for symbol in live.klines.instruments}
        self._wordings: dict[str, Wording] = {}
        self._feeds: dict[str, SymbolFeed] = {}
        self.tickers = Tickers(live, self._wording)
        self._streams: dict[str, Stream] = {}

    def want(self, names: Iterable[str], now: int) -> None:
        """Somebody subscribes (`now` in microseconds): books start, unless they run or the symbol is not listed yet."""
        self.advance(now, all_of_it=True)
        for name in names:
            stream = None if name in self._streams else parse_stream(name, self._symbols, self._words.CHANNELS)
            if stream is None:
                continue
            if stream.channel is Channel.ALL_MINI_TICKERS:
                self._streams[name] = stream
                self.tickers.load_all()
                continue
            market = self._live.start(stream.symbol, now // 1000)
            if market is None:
                continue
            self._streams[name] = stream
            feed = self._feeds.get(stream.symbol)
            if feed is None:
                feed = SymbolFeed(market, self._wording(market.instrument), self._live.klines)
                self._feeds[stream.symbol] = feed
            feed.add(stream)

    def unwant(self, names: Iterable[str]) -> None:
        """Some have lost a subscriber; those without any are no longer made."""
        for name in names:
            if name in self._streams and not self._publisher.is_wanted(name):
                stream = self._streams.pop(name)
                if stream.symbol:
                    self._feeds[stream.symbol].remove(stream)

    def advance(self, now: int, *, all_of_it: bool = False) -> None:
        """Publishes what has happened by `now`, or the next part of it."""
        wants_all = ALL_MINI_TICKERS in self._streams
        for market, step in self._live.advance(now // 1000, None if all_of_it else _TICKS_AT_ONCE):
            feed = self._feeds.get(market.instrument.symbol)
            if feed:
                for message in feed.messages(step):
                    self._publisher.publish(message, step.at * 1000)
        if wants_all:
            for message in self.tickers.messages(now // 1000):
                self._publisher.publish(message, now)

    def is_behind(self, now: int) -> bool:
        return self._live.is_behind(now // 1000)

    def jump(self, message: Message, number: int) -> tuple[int, int] | None:
        """Moves the book of a 100 ms diff by `number` updates right after it."""
        feed = self._feeds.get(message.symbol)
        if feed is None:
            return None
        hidden = feed.market.jump(number)
        for unseen in feed.messages_of_jump(hidden):
            self._publisher.publish(unseen, hidden.at * 1000)
        return self._wording(feed.market.instrument).update_ids(hidden.diff) if hidden.diff else None

    def _wording(self, instrument: Instrument) -> Wording:
        wording = self._wordings.get(instrument.symbol)
        if wording is None:
            wording = self._wordings[instrument.symbol] = self._words(instrument)
        return wording


class SymbolFeed:
    """The wanted streams of one symbol."""

    def __init__(self, market: SymbolMarket, wording: Wording, klines: LiveKlines) -> None:
        self.market = market
        self._wording = wording
        self._klines = klines
        self._streams: dict[Channel, list[Stream]] = {}
        self._opened: dict[str, int] = {}
        self._liquidated_at = 0

    def add(self, stream: Stream) -> None:
        self._streams.setdefault(stream.channel, []).append(stream)
        if stream.interval:
            self._opened[stream.name] = stream.interval.floor(self.market.at)
        self.market.wants_tops = Channel.BOOK_TICKER in self._streams

    def remove(self, stream: Stream) -> None:
        self._streams[stream.channel].remove(stream)
        if not self._streams[stream.channel]:
            del self._streams[stream.channel]
        self.market.wants_tops = Channel.BOOK_TICKER in self._streams

    def messages(self, step: Step) -> list[Message]:
        """Everything to be sent after one step."""
        found: list[Message] = []
        for channel, streams in self._streams.items():
            match channel:
                case Channel.TRADE if step.trades:
                    found += self._trades(streams[0], step)
                case Channel.BOOK_TICKER if step.tops:
                    found += self._tops(streams[0], step)
                case Channel.DEPTH if step.diff:
                    ids = self._wording.update_ids(step.diff)
                    render = partial(self._wording.diff, step.diff, step.at * 1000)
                    found.append(Message(streams[0].name, streams[0].symbol, channel, ids, render))
                case Channel.MARK_PRICE if step.at % _SECOND < STEP:
                    found.append(self._mark_price(streams[0], step.at))
                case Channel.LIQUIDATION:
                    found += self._liquidations(streams[0], step)
                case Channel.KLINE:
                    for stream in streams:
                        found += self._kline_updates(stream, step.at)
        return found

    def messages_of_jump(self, hidden: Step) -> list[Message]:
        """The top of the book is sent; the diff is lost."""
        return [message for stream in self._streams.get(Channel.BOOK_TICKER, ()) for message in self._tops(stream, hidden)]

    def _trades(self, stream: Stream, step: Step) -> list[Message]:
        at = step.at * 1000
        return [_message(stream, it.trade_id, partial(self._wording.trade, it, at)) for it in step.trades]

    def _tops(self, stream: Stream, step: Step) -> list[Message]:
        return [
            _message(stream, self._wording.update_id(top[0]), _always(self._wording.top(top, step.at * 1000)))
            for top in step.tops
        ]

    def _mark_price(self, stream: Stream, at: int) -> Message:
        text = self._wording.mark_price(self.market.reference, self.market.book.top, at * 1000)
        return _message(stream, at, _always(text))

    def _liquidations(self, stream: Stream, step: Step) -> list[Message]:
        """At most one a second, as the venue sends no more."""
        forced = next((trade for trade in step.trades if trade.trade_id % _TRADES_A_LIQUIDATION == 0), None)
        if forced is None or step.at - self._liquidated_at < _SECOND:
            return []
        self._liquidated_at = step.at
        return [_message(stream, forced.trade_id, _always(self._wording.liquidation(forced, step.at * 1000)))]

    def _kline_updates(self, stream: Stream, at: int) -> list[Message]:
        """The final state of a kline as soon as it is over, the running one at its pace."""
        interval = stream.interval
        if interval is None:
            return []
        opened, before = interval.floor(at), self._opened[stream.name]
        is_over, is_due = opened > before, at % _pace(interval) < STEP
        if not is_over and not is_due:
            return []
        self._opened[stream.name] = opened
        current = self._klines.kline(stream.symbol, interval, opened)
        last, text = self.market.trades.next_id - 1, self._wording.kline
        found: list[Message] = []
        final = self._klines.kline(stream.symbol, interval, before) if is_over else None
        if final:
            last_before = last - (current.trade_count if current else 0)
            found.append(_message(stream, before, partial(text, final, interval, last_before, at * 1000, closed=True)))
        if is_due and current:
            found.append(_message(stream, opened, partial(text, current, interval, last, at * 1000, closed=False)))
        return found


def _message(stream: Stream, number: int, render: Render) -> Message:
    return Message(stream.name, stream.symbol, stream.channel, (number, number), render)


def _pace(interval: Interval) -> int:
    """Milliseconds between two states of a running kline."""
    return _SECOND if interval.name == "1s" else 2 * _SECOND


def _always(text: str) -> Render:
    """For messages without a time, or with one in milliseconds whatever the client asked for."""
    return lambda _: text


class Tickers:
    """24 h statistics, looked up in the history when a symbol is first asked for; for all symbols, one after the other."""

    def __init__(self, live: LiveMarket, wording: Callable[[Instrument], Wording]) -> None:
        self._live = live
        self._wording = wording
        self._days: dict[str, RollingDay] = {}
        self._to_load: deque[str] | None = None
        self._second = -1
        self._told: dict[str, int] = {}

    def load_all(self) -> None:
        """They will be in `messages` as soon as they are loaded."""
        if self._to_load is None:
            self._to_load = deque(self._live.klines.instruments)

    def of(self, symbol: str, now: int) -> MiniTicker | None:
        """`now` in milliseconds; None before anything has traded."""
        day = self._days.get(symbol)
        if day is None:
            day = self._days[symbol] = RollingDay(self._live.klines, symbol)
        market = self._live.markets.get(symbol)
        return day.at(now, market.klines.current if market else None)

    def messages(self, now: int) -> list[Message]:
        """Once a second all symbols that have traded since they were last told of."""
        if self._to_load:
            self.of(self._to_load.popleft(), now - now % MINUTE)
        second = now // _SECOND
        if second == self._second:
            return []
        self._second = second
        texts = [
            (self._wording(self._live.klines.instruments[symbol]), ticker)
            for number, symbol in enumerate(self._live.klines.instruments)
            if symbol in self._days and self._has_changed(symbol, number) and (ticker := self.of(symbol, now))
        ]
        if not texts:
            return []

        def render(unit: TimeUnit) -> str:
            return "[" + ",".join(wording.mini_ticker(ticker, now * 1000, unit) for wording, ticker in texts) + "]"

        return [Message(ALL_MINI_TICKERS, "", Channel.ALL_MINI_TICKERS, (now, now), render)]

    def _has_changed(self, symbol: str, number: int) -> bool:
        market = self._live.markets.get(symbol)
        if market is None:
            return self._second % _QUIET == number % _QUIET or symbol not in self._told
        if self._told.get(symbol) == market.trades.next_id:
            return False
        self._told[symbol] = market.trades.next_id
        return True

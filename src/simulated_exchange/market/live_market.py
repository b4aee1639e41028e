"""PURE. The running books of the generated market: each takes a step of orders every 100 ms, and all that follows from it are
trades, changed levels, best prices, klines. The same seed and the same start give the same market, whatever is asked of it.

A book starts when somebody first wants it and then runs for good. Symbols step at ten different phases of each 100 ms, so that
not all of them have something to say at once. Nothing here reads a clock: `advance` is told the time.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import MINUTE
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.market.live_klines import LiveKlines
from simulated_exchange.market.order_book import Changes, Level, OrderBook
from simulated_exchange.market.order_flow import OrderFlow, Taken
from simulated_exchange.market.price_path import ReferencePath
from simulated_exchange.market.trade_log import Trade, TradeLog

STEP = 100  # milliseconds
STEPS_REMEMBERED = 100

_WINDOW_US = 10_000  # the trades of a step happen in the last 10 ms of it, so that no step spans two minutes
_PART = 20  # milliseconds of a step that one order takes when somebody looks at the book in between
# More than a book of 7 to 25 updates a step, 60 in a storm, can use: ids grow whenever the book is started.
_UPDATE_IDS_A_STEP, _TRADE_IDS_A_SECOND = 100, 8

Top = tuple[int, int, int, int, int]
"""Update id, best bid, its quantity, best ask, its quantity."""

TICK = 10  # milliseconds
LONGEST_CATCH_UP = 10 * MINUTE  # a clock that jumps farther skips that time: nobody traded

_PHASES = STEP // TICK


class DepthDiff(NamedTuple):
    """Absolute quantities of the levels that changed, 0 = gone."""

    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]


class Step(NamedTuple):
    """What one step brought; `tops` only while somebody wants them."""

    at: int
    trades: list[Trade]
    tops: list[Top]
    diff: DepthDiff | None


class _Past(NamedTuple):
    last_id: int
    changes: Changes


class SymbolMarket:
    """Runs from `start` (milliseconds), a multiple of 100 plus the symbol's own phase."""

    def __init__(
        self, source: KlineSource, klines: LiveKlines, instrument: Instrument, seed: int, start: int, pace: int = 1
    ) -> None:
        """`pace`: so many times the usual orders."""
        age = start - instrument.listed
        self.instrument = instrument
        self.at = start
        self.wants_tops = False
        self._source = source
        self._path = ReferencePath(source, instrument.symbol, f"{seed}/{instrument.symbol}/path", instrument.listed // 1000 + age)
        price = self._path.at(start)
        self._pace = pace
        self._flow = OrderFlow(f"{seed}/{instrument.symbol}/orders", instrument, price)
        self.book: OrderBook = self._flow.background(price, age // STEP * _UPDATE_IDS_A_STEP * pace)
        self.trades = TradeLog(age // 1000 * _TRADE_IDS_A_SECOND * pace)
        self.klines = klines.start(instrument.symbol, start, price, self.trades)
        self._first_id = self.book.update_id + 1
        self._past: deque[_Past] = deque([_Past(self.book.update_id, Changes({}, {}))], STEPS_REMEMBERED)
        self._running: Iterator[Taken | None] | None = None
        self._done = 0
        self._new_trades: list[Trade] = []
        self._tops: list[Top] = []
        self._top = self.book.top

    @property
    def reference(self) -> int:
        """The price that orders are drawn to, in ticks: an index of other markets, so to say."""
        return self._path.at(self.at)

    def set_source(self, source: KlineSource) -> None:
        """Another history with the same prices: halts have changed."""
        self._source = source

    def step(self) -> Step:
        """The next 100 ms, as far as `look` has not let them happen already."""
        if self._running is None:
            self._begin()
        for taken in self._running or ():
            self._on_order(taken)
        self.at += STEP
        self._running, self._done = None, 0
        trades, tops = self._new_trades, self._tops
        self._new_trades, self._tops = [], []
        self._roll(self.at - 1)
        for trade in trades:
            self.trades.append(trade)
            self.klines.add(trade)
        self._roll(self.at)
        return Step(self.at, trades, tops, self._diff())

    def look(self, now: int, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Update id, bids and asks in the middle of a step: some orders of the next step are already in the book."""
        if self._running is None:
            self._begin()
        while self._running and self._done < (now - self.at) // _PART:
            self._on_order(next(self._running, None))
        return self.book.update_id, self.book.bids.levels(limit), self.book.asks.levels(limit)

    def skip_to(self, now: int) -> None:
        """Nothing happens until `now`: the next step is the one after it."""
        self._running, self._done = None, 0
        self.at += (now - self.at) // STEP * STEP
        self._roll(self.at)

    def jump(self, number: int) -> Step:
        """`number` updates that no diff will ever tell of; nobody trades."""
        goal = self.book.update_id + number
        price = self._path.at(self.at)
        chance = 0
        while self.book.update_id < goal:
            chance += 1
            self._flow.quiet_order(self.book, price, self.book.update_id * 1000 + chance)
            self._on_order(None, counts=False)
        tops, self._tops = self._tops, []
        return Step(self.at, [], tops, self._diff())

    def remembered(self, update_id: int | None, limit: int) -> tuple[int, list[Level], list[Level]] | None:
        """The book right after the diff that ended with `update_id` (None: the latest one), None if it is not remembered."""
        ids = [past.last_id for past in self._past]
        wanted = ids[-1] if update_id is None else update_id
        if wanted not in ids:
            return None
        bids, asks = self.book.bids.pending(), self.book.asks.pending()
        for past in reversed(self._past):
            if past.last_id > wanted:
                bids.update(past.changes.bids)
                asks.update(past.changes.asks)
        return (
            wanted,
            sorted(_with(self.book.bids.levels(limit + len(bids)), bids), reverse=True)[:limit],
            sorted(_with(self.book.asks.levels(limit + len(asks)), asks))[:limit],
        )

    def _begin(self) -> None:
        at = self.at + STEP
        if self._source.is_halted(self.instrument.symbol, at - 1):
            self._running = iter(())
        else:
            number, price = at // STEP * self._pace, self._path.at(at)
            self._running = chain.from_iterable(self._flow.step(self.book, number + part, price) for part in range(self._pace))

    def _on_order(self, taken: Taken | None, *, counts: bool = True) -> None:
        self._done += counts
        if taken:
            self._on_fills(taken)
        if self.wants_tops:
            top = self.book.top
            if top != self._top:
                self._top = top
                self._tops.append((self.book.update_id, *top))

    def _on_fills(self, taken: Taken) -> None:
        """Trades of one order have one time; at most some tens of orders come in a step, and they come one after another."""
        start = (self.at + STEP) * 1000 - _WINDOW_US
        time_us = start + min(self._done * 100, _WINDOW_US - 1)
        for at, quantity in taken.fills:
            number = self.trades.next_id + len(self._new_trades)
            self._new_trades.append(Trade(number, at, quantity, time_us, not taken.buy))

    def _diff(self) -> DepthDiff | None:
        first, last = self._first_id, self.book.update_id
        if last < first:
            return None
        self._first_id = last + 1
        changes = self.book.collect()
        self._past.append(_Past(last, changes))
        bid, ask = self.book.bids.total, self.book.asks.total
        bids = [(price, bid(price)) for price in sorted(changes.bids, reverse=True)]
        return DepthDiff(first, last, bids, [(price, ask(price)) for price in sorted(changes.asks)])

    def _roll(self, now: int) -> None:
        while self.klines.roll(now):
            pass


def _with(levels: list[Level], before: dict[int, int]) -> list[Level]:
    return [(price, quantity) for price, quantity in {**dict(levels), **before}.items() if quantity]


class LiveMarket:
    """Running books by symbol; `klines` are the history with theirs laid over it."""

    def __init__(self, source: KlineSource, seed: int, pace: int = 1) -> None:
        self.klines = LiveKlines(source)
        self._pace = pace
        self.markets: dict[str, SymbolMarket] = {}
        self._source = source
        self._seed = seed
        self._phases: list[list[SymbolMarket]] = [[] for _ in range(_PHASES)]
        self._phase_of = {symbol: number % _PHASES for number, symbol in enumerate(source.instruments)}
        self._tick = 0

    def set_source(self, source: KlineSource) -> None:
        """Another history with the same instruments: halts have changed."""
        self._source = self.klines.history = source
        for market in self.markets.values():
            market.set_source(source)

    def start(self, symbol: str, now: int) -> SymbolMarket | None:
        """The symbol's running book, None if it is not listed yet. Call `advance` up to `now` before."""
        market = self.markets.get(symbol)
        if market:
            return market
        phase = self._phase_of[symbol]
        start = now - (now - phase * TICK) % STEP
        if start < self._source.instruments[symbol].listed:
            return None
        if not self.markets:
            self._tick = now // TICK
        market = SymbolMarket(self._source, self.klines, self._source.instruments[symbol], self._seed, start, self._pace)
        self.markets[symbol] = market
        self._phases[phase].append(market)
        return market

    def advance(self, now: int, most_ticks: int | None = None) -> Iterator[tuple[SymbolMarket, Step]]:
        """Every step that ended by `now`, in time order; consume it all. Leaves the rest for later after `most_ticks`."""
        goal = now // TICK
        if goal - self._tick > LONGEST_CATCH_UP // TICK:
            for market in self.markets.values():
                market.skip_to(now)
            self._tick = goal
        if most_ticks is not None:
            goal = min(goal, self._tick + most_ticks)
        while self.markets and self._tick < goal:
            self._tick += 1
            for market in self._phases[self._tick % _PHASES]:
                while market.at < self._tick * TICK:
                    yield market, market.step()

    def is_behind(self, now: int) -> bool:
        return bool(self.markets) and self._tick < now // TICK

"""PURE. All running books of the generated market: who is due when, and where REST finds them.

A book starts when somebody first wants it and then runs for good. Symbols step at ten different phases of each 100 ms, so that
not all of them have something to say at once. Nothing here reads a clock: `advance` is told the time.
"""

from collections.abc import Iterator

from simulated_exchange.market.intervals import MINUTE
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.market.live_klines import LiveKlines
from simulated_exchange.market.symbol_market import STEP, Step, SymbolMarket

TICK = 10  # milliseconds
LONGEST_CATCH_UP = 10 * MINUTE  # a clock that jumps farther skips that time: nobody traded

_PHASES = STEP // TICK


class LiveMarket:
    """Running books by symbol; `klines` are the history with theirs laid over it."""

    def __init__(self, source: KlineSource, seed: int) -> None:
        self.klines = LiveKlines(source)
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
        market = SymbolMarket(self._source, self.klines, self._source.instruments[symbol], self._seed, start)
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

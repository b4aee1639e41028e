"""PURE. The price a running book is drawn to: through the history's prices at whole minutes, and in between about the straight
line as restless as the minute's own move says. What it is at an instant depends on seed, symbol and instant alone.
"""

from collections.abc import Sequence
from hashlib import blake2b

from simulated_exchange.market.intervals import MINUTE
from simulated_exchange.market.klines import KlineSource

_FEWEST_MINUTES = 600  # read at a time; `spread` makes it a little more, so that 500 symbols do not all read at once
_WAVES = ((20_000, 0.5), (5_000, 0.3), (1_000, 0.14))  # (milliseconds between two random values, swing)
_LEAST_SWING, _SWING = 2e-4, 0.5  # of the price, and of the minute's move: together the swing of a wave of 1.0


class ReferencePath:
    """One symbol's path; it looks the history's minutes up a few hundred at a time."""

    def __init__(self, source: KlineSource, symbol: str, key: str, spread: int) -> None:
        """`key` has the seed in it."""
        self._source = source
        self._symbol = symbol
        self._key = key
        self._minutes = _FEWEST_MINUTES + spread % _FEWEST_MINUTES
        self._start = 0
        self._prices: Sequence[int] = ()
        self._ends: dict[int, tuple[int, float, float]] = {}

    def at(self, now: int) -> int:
        """The price in ticks at an instant in milliseconds."""
        index = (now - self._start) // MINUTE
        if not 0 <= index < len(self._prices) - 1:
            self._start = now - now % MINUTE
            self._prices = self._source.minute_opens(self._symbol, self._start, self._minutes)
            index = 0
        price, move = self._prices[index], self._prices[index + 1] - self._prices[index]
        line = price + move * (now % MINUTE) // MINUTE
        if not move:  # a recording that has ended: nothing is known of how it moves
            return line
        return max(1, line + round((price * _LEAST_SWING + abs(move) * _SWING) * self._swing(now)))

    def _swing(self, now: int) -> float:
        return sum(swing * self._wave(now, every) for every, swing in _WAVES)

    def _wave(self, now: int, every: int) -> float:
        """Straight lines between random values in [-1, 1]; 0 at whole minutes."""
        cell, inside = divmod(now, every)
        known = self._ends.get(every)
        if known is None or known[0] != cell:
            known = self._ends[every] = (cell, self._value(cell, every), self._value(cell + 1, every))
        _, left, right = known
        return left + (right - left) * inside / every

    def _value(self, cell: int, every: int) -> float:
        if cell * every % MINUTE == 0:
            return 0.0
        digest = blake2b(b"%b/%d/%d" % (self._key.encode(), every, cell), digest_size=2).digest()
        return int.from_bytes(digest, "big") / 32_767.5 - 1

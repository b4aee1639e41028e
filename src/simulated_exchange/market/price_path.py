"""PURE. The price from a seed. Minutes a day at a time: hashed noise fixes the price at every midnight, a bridge with clustered,
fat-tailed returns joins two midnights, so that no day needs the days before it. Seconds are exact parts of a minute, and a
running book is drawn along a path through the minutes.
"""

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise

import pyarrow as pa
import pyarrow.compute as pc

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import DAY, MINUTE, SECOND
from simulated_exchange.market.klines import Kline, KlineSource

MINUTES = DAY // MINUTE
FEWEST_STEPS = 2_000  # a minute trades at least this many steps and trades, so that sixty seconds can share it
FEWEST_TRADES = 60

_OCTAVES = ((1, 0.009), (4, 0.022), (16, 0.05), (64, 0.13), (256, 0.26), (1024, 0.45))  # (days, swing of log price)
_VOLATILITY_OCTAVES = ((3, 0.35), (20, 0.45))
_MINUTE_VOLATILITY = 0.00055
_INDEX = pa.arange(0, MINUTES)
_HOUR = pc.divide(_INDEX, 60)
_ELAPSED = pc.divide(pc.add(_INDEX, 1).cast(pa.float64()), float(MINUTES))
# Europe's morning and America's session are busy, the Asian night is quiet.
_SESSION = [0.75 + 0.35 * math.cos((hour - 14.5) / 24 * 2 * math.pi) for hour in range(24)]


def day_of_minutes(seed: int, instrument: Instrument, day: int) -> pa.Table:
    """All 1440 minutes of the day that opens at `day` (milliseconds), columns and units as in `Kline`."""
    key = f"{seed}/{instrument.follows or instrument.symbol}"
    uniform = pc.random(MINUTES * 6, initializer=_hashed(f"{key}/minutes", day) >> 1)
    unit = [uniform.slice(number * MINUTES, MINUTES) for number in range(6)]
    radius, angle = pc.sqrt(pc.multiply(_exponential(unit[0]), 2.0)), pc.multiply(unit[1], 2 * math.pi)
    surprise, crowd = pc.multiply(radius, pc.cos(angle)), pc.multiply(radius, pc.sin(angle))
    activity = pc.multiply(_activity(key, day), pc.exp(pc.multiply(crowd, 0.55)))
    volatility = pc.multiply(activity, _MINUTE_VOLATILITY)

    opens, closes = _bridge(key, instrument, day, pc.multiply(surprise, volatility))
    reach = pc.multiply(pc.multiply(volatility, 0.7), closes)
    highs = pc.add(pc.max_element_wise(opens, closes), _whole(pc.multiply(reach, _exponential(unit[2]))))
    lows = pc.subtract(pc.min_element_wise(opens, closes), _whole(pc.multiply(reach, _exponential(unit[3]))))
    lows = pc.max_element_wise(lows, 1)
    return _with_volumes(instrument, day, (opens, highs, lows, closes), activity, unit[4:])


def _with_volumes(
    instrument: Instrument, day: int, prices: Sequence[pa.Array], activity: pa.Array, chances: Sequence[pa.Array]
) -> pa.Table:
    """Quote volume is the volume at a price 30 % to 70 % of the way from low to high, so it never leaves that range."""
    _, highs, lows, _ = prices
    tilt, taking = chances
    usual_steps = instrument.usual_quantity * 10**instrument.step_decimals
    volume = pc.add(_whole(pc.multiply(pc.power(activity, 1.6), usual_steps)), FEWEST_STEPS)
    taken = _whole(pc.multiply(volume, pc.add(pc.multiply(taking, 0.5), 0.25)))
    premium = pc.multiply(pc.subtract(highs, lows), pc.add(pc.multiply(tilt, 0.4), 0.3))
    columns = {
        "open_time": pc.add(pc.multiply(_INDEX, MINUTE), day),
        **dict(zip(("open", "high", "low", "close"), prices, strict=True)),
        "volume": volume,
        "quote_volume": pc.add(pc.multiply(volume, lows), _whole(pc.multiply(volume, premium))),
        "trade_count": pc.add(pc.divide(volume, 700), FEWEST_TRADES),
        "taker_buy_volume": taken,
        "taker_buy_quote_volume": pc.add(pc.multiply(taken, lows), _whole(pc.multiply(taken, premium))),
    }
    return pa.table(columns)


def _bridge(key: str, instrument: Instrument, day: int, returns: pa.Array) -> tuple[pa.Array, pa.Array]:
    start, end = _midnight(key, instrument, day), _midnight(key, instrument, day + DAY)
    path = pc.cumulative_sum(returns)
    drift = math.log(end / start) - path[-1].as_py()
    growth = pc.exp(pc.add(path, pc.multiply(_ELAPSED, drift)))
    closes = pc.max_element_wise(pc.round(pc.multiply(growth, float(start))).cast(pa.int64()), 1)
    return pa.concat_arrays([pa.array([start], pa.int64()), closes.slice(0, MINUTES - 1)]), closes


def _activity(key: str, day: int) -> pa.Array:
    """How busy each minute's hour is; 1 is usual. Days cluster by slow noise, hours differ by session and by chance."""
    mood = math.exp(_noise(f"{key}/volatility", day // DAY, _VOLATILITY_OCTAVES))
    chances = blake2b(f"{key}/hours/{day}".encode(), digest_size=24).digest()
    hours = [mood * session * math.exp((chance / 255 - 0.5) * 1.1) for session, chance in zip(_SESSION, chances, strict=True)]
    return pc.take(pa.array(hours), _HOUR)


def _midnight(key: str, instrument: Instrument, day: int) -> int:
    price = instrument.usual_price * math.exp(_noise(f"{key}/price", day // DAY, _OCTAVES))
    return max(1, int(price * 10**instrument.tick_decimals))


def _noise(key: str, day_number: int, octaves: tuple[tuple[int, float], ...]) -> float:
    return sum(swing * _wave(f"{key}/{days}", day_number, days) for days, swing in octaves)


def _wave(key: str, day_number: int, days: int) -> float:
    """Hashed values in [-1, 1] every `days` days, joined by smooth steps."""
    cell, inside = divmod(day_number, days)
    left, right = (_hashed(key, at) / 2**63 - 1 for at in (cell, cell + 1))
    share = inside / days
    return left + (right - left) * share * share * (3 - 2 * share)


def _hashed(key: str, number: int) -> int:
    return int.from_bytes(blake2b(f"{key}/{number}".encode(), digest_size=8).digest(), "big")


def _exponential(uniform: pa.Array) -> pa.Array:
    return pc.negate(pc.ln(pc.subtract(1.0, uniform)))


def _whole(column: pa.Array) -> pa.Array:
    return pc.floor(column).cast(pa.int64())


SECONDS = 60
_BURST_SHARE = 5  # the burst second takes a fifth of the volume


def seconds_of(minute: Kline, salt: str) -> list[Kline]:
    """Sixty klines whose opens follow the closes, touching the minute's high and low, every sum exact.

    All trades of a second are at its close, except in one burst second that sweeps the whole range and takes what rounding
    leaves over of the quote volume. Needs at least 2000 steps and 60 trades in the minute.
    """
    chances = blake2b(f"{salt}/{minute.open_time}".encode(), digest_size=SECONDS).digest()
    burst = chances[0] % SECONDS
    closes = _closes(minute, chances, burst)
    volumes = _volumes(minute, closes, chances, burst)
    quotes = [volume * close for volume, close in zip(volumes, closes, strict=True)]
    quotes[burst] += minute.quote_volume - sum(quotes)
    opens = [minute.open, *closes[:-1]]
    columns = (
        range(minute.open_time, minute.open_time + SECONDS * SECOND, SECOND),
        opens,
        _extremes(max, opens, closes, burst, minute.high),
        _extremes(min, opens, closes, burst, minute.low),
        closes,
        volumes,
        quotes,
        [1 + extra for extra in _split(minute.trade_count - SECONDS, volumes)],
        _split(minute.taker_buy_volume, volumes),
        _split(minute.taker_buy_quote_volume, quotes),
    )
    return [Kline(*values) for values in zip(*columns, strict=True)]


def _closes(minute: Kline, chances: bytes, burst: int) -> list[int]:
    """A random walk bridged from open to close; one second closes at the high and another one at the low."""
    walk = list(accumulate(chance - 127.5 for chance in chances))
    drift = walk[-1] / SECONDS
    swings = [step - drift * (second + 1) for second, step in enumerate(walk)]
    scale = (minute.high - minute.low) / (2 * max(map(abs, swings)) or 1)
    slope = (minute.close - minute.open) / SECONDS
    path = [minute.open + slope * (second + 1) + swing * scale for second, swing in enumerate(swings)]
    closes = [min(max(round(price), minute.low), minute.high) for price in path]
    free = [second for second in range(SECONDS - 1) if second != burst]
    top = max(free, key=closes.__getitem__)
    bottom = min((second for second in free if second != top), key=closes.__getitem__)
    closes[top], closes[bottom], closes[-1] = minute.high, minute.low, minute.close
    return closes


def _volumes(minute: Kline, closes: Sequence[int], chances: bytes, burst: int) -> list[int]:
    """Weights the seconds above and below the mean price so that the burst second is left with about the middle one."""
    burst_volume = minute.volume // _BURST_SHARE
    others = minute.volume - burst_volume
    mean = (minute.quote_volume - burst_volume * (minute.high + minute.low) / 2) / others
    weights = [0 if second == burst else 16 + chance for second, chance in enumerate(chances)]
    above = [weight * (close >= mean) for weight, close in zip(weights, closes, strict=True)]
    below = [weight * (close < mean) for weight, close in zip(weights, closes, strict=True)]
    high, low = _mean(closes, above), _mean(closes, below)
    share = (mean - low) / (high - low) if sum(above) and sum(below) else 1.0
    factors = share / (sum(above) or 1), (1 - share) / (sum(below) or 1)
    spread = others - SECONDS
    volumes = [1 + int(spread * (up * factors[0] + down * factors[1])) for up, down in zip(above, below, strict=True)]
    volumes[burst] += minute.volume - sum(volumes)
    return volumes


def _extremes(pick: Callable[[int, int], int], opens: Sequence[int], closes: Sequence[int], burst: int, edge: int) -> list[int]:
    extremes = [pick(first, last) for first, last in zip(opens, closes, strict=True)]
    extremes[burst] = edge
    return extremes


def _mean(values: Sequence[int], weights: Sequence[int]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / (sum(weights) or 1)


def _split(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to `weights`, whole numbers, exact in sum, and never more than a weight while total <= sum."""
    whole = sum(weights)
    edges = [total * reached // whole for reached in accumulate(weights, initial=0)]
    return [right - left for left, right in pairwise(edges)]


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

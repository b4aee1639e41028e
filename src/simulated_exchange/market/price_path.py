"""PURE. One day of one-minute klines from a seed: hashed noise fixes the price at every midnight, a bridge with clustered,
fat-tailed returns joins two midnights, so that no day needs the days before it.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import DAY, MINUTE

MINUTES = DAY // MINUTE
FEWEST_STEPS = 2_000  # a minute trades at least this many steps and trades, so that sixty seconds can share it
FEWEST_TRADES = 60

_OCTAVES = ((1, 0.009), (4, 0.022), (16, 0.05), (64, 0.13), (256, 0.26), (1024, 0.45))  # (days, swing of log price)
_VOLATILITY_OCTAVES = ((3, 0.35), (20, 0.45))
_MINUTE_VOLATILITY = 0.00055
_INDEX = pa.array(range(MINUTES), pa.int64())
_HOUR = pc.divide(_INDEX, 60)
_ELAPSED = pc.divide(pc.add(_INDEX, 1).cast(pa.float64()), float(MINUTES))
# Europe's morning and America's session are busy, the Asian night is quiet.
_SESSION = [0.75 + 0.35 * math.cos((hour - 14.5) / 24 * 2 * math.pi) for hour in range(24)]


def day_of_minutes(seed: int, instrument: Instrument, day: int) -> pa.Table:
    """All 1440 minutes of the day that opens at `day` (milliseconds), columns and units as in `Kline`."""
    key = f"{seed}/{instrument.symbol}"
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

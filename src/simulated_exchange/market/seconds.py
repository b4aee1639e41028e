"""PURE. The sixty one-second klines inside a one-minute kline: merged again they are exactly that minute."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise

from simulated_exchange.market.intervals import SECOND
from simulated_exchange.market.klines import Kline

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

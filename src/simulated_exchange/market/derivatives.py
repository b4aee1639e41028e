"""PURE. What a futures market has beside its orders: funding, and contracts that are open. The same symbol and instant have the
same value, whoever asks and how often; times are milliseconds.
"""

from hashlib import blake2b
from math import pi, sin

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import HOUR, SECOND

FUNDING_EVERY = 8 * HOUR
_RATES = (-30_000, 50_000)
"""In units of 1e-8, both included: from -0.03 % to 0.05 %."""

_USUAL_MINUTES = 600
"""So many quiet minutes' volume is open."""


def funding_after(at: int) -> int:
    """When the period that runs at `at` is settled."""
    return at - at % FUNDING_EVERY + FUNDING_EVERY


def funding_rate(symbol: str, settled: int) -> str:
    """Of the period that is settled at this instant: `-0.00012345`, as a fraction."""
    least, most = _RATES
    units = least + _hashed(f"{symbol}/funding/{settled}") % (most - least + 1)
    return f"{'-' if units < 0 else ''}0.{abs(units):08d}"


def open_interest(instrument: Instrument, at: int) -> int:
    """In the instrument's steps: slow waves, and every second a little of chance."""
    usual = int(instrument.usual_quantity * _USUAL_MINUTES * 10.0**instrument.step_decimals)
    wave = sin(at / FUNDING_EVERY * 2 * pi + _hashed(instrument.symbol) % 100)
    chance = _hashed(f"{instrument.symbol}/open/{at // SECOND}") % 1_000
    return usual + int(usual * wave) // 10 + usual * chance // 1_000_000


def _hashed(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")

"""PURE. What is listed on the generated market: names, tick and step sizes, listing dates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count, islice
from math import log10

from simulated_exchange.market.intervals import DAY, HOUR

MOST = 4_096  # names that can be coined
DECIMALS = 8  # the venue writes every price and quantity with eight

_LISTED_2017_08_17 = 1_502_942_400_000 + 4 * HOUR
_LISTED_2024_03_12 = 1_710_237_600_000  # at 10:00, inside a day
_SYLLABLES = ("KA", "LO", "MI", "RU", "VE", "TA", "NO", "SI", "PE", "DU", "ZO", "FI", "GA", "XE", "BO", "YU")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol. A tick is 10^-tick_decimals of the quote asset, a step is 10^-step_decimals of the base asset.

    `tick_decimals + step_decimals <= 8`, so that price times quantity is exact in the venue's eight decimals.
    """

    symbol: str
    base: str
    quote: str
    tick_decimals: int
    step_decimals: int
    listed: int
    usual_price: float
    usual_quantity: float
    """Base asset that changes hands in a quiet minute."""

    contract_size: int = 0
    """What a unit of quantity is worth in the quote asset; 0: quantities are of the base asset."""

    follows: str = ""
    """The symbol whose minutes are this one's too, with the same tick; empty: it has a price of its own."""

    @property
    def price_scale(self) -> int:
        return int(10 ** (DECIMALS - self.tick_decimals))

    @property
    def quantity_scale(self) -> int:
        return int(10 ** (DECIMALS - self.step_decimals))

    @property
    def notional_scale(self) -> int:
        return int(10 ** (DECIMALS - self.tick_decimals - self.step_decimals))

    def turnover(self, steps: int, notional: int) -> int:
        """What changed hands in the other asset than `steps` are of, in 10^-8. `notional`: the sum of ticks times steps.

        The quote asset; of contracts the base asset, which is what they are worth at their mean price.
        """
        if not self.contract_size:
            return notional * self.notional_scale
        per_contract = self.contract_size * 10 ** (DECIMALS + self.tick_decimals - self.step_decimals)
        return steps * steps * int(per_contract) // notional if notional else 0


def listed_instruments(number: int) -> Mapping[str, Instrument]:
    """The first `number` instruments, by symbol: BTCUSDT, ETHUSDT, one non-ASCII, one listed in 2024-03, then generated."""
    return {instrument.symbol: instrument for instrument in islice(_all_instruments(), number)}


def _all_instruments() -> Iterator[Instrument]:
    yield Instrument("BTCUSDT", "BTC", "USDT", 2, 5, _LISTED_2017_08_17, 42_000.0, 8.0)
    yield Instrument("ETHUSDT", "ETH", "USDT", 2, 4, _LISTED_2017_08_17, 2_400.0, 90.0)
    yield Instrument("币安人生USDT", "币安人生", "USDT", 5, 1, 1_759_881_600_000, 0.21, 24_000.0)
    yield Instrument("NOVAUSDT", "NOVA", "USDT", 4, 2, _LISTED_2024_03_12, 1.7, 3_000.0)
    for index in count():
        yield _generated(index)


def _generated(index: int) -> Instrument:
    """Coined names and dates do not depend on the seed, so that a test can rely on them."""
    digits = blake2b(index.to_bytes(4, "big"), digest_size=4).digest()
    price = 10 ** (digits[0] / 255 * 4 - 2)
    tick_decimals = max(1, min(6, round(4 - log10(price))))
    return Instrument(
        symbol=f"{_coined(index)}USDT",
        base=_coined(index),
        quote="USDT",
        tick_decimals=tick_decimals,
        step_decimals=min(2, 8 - tick_decimals),
        listed=_LISTED_2017_08_17 + (digits[1] * 256 + digits[2]) % 2_900 * DAY,
        usual_price=price,
        usual_quantity=4_000.0,
    )


def _coined(index: int) -> str:
    """A name of three syllables; an odd stride through 4096 of them, so that no two are equal."""
    text = f"{(index * 1103 + 0x2B7) % MOST:03x}"
    return "".join(_SYLLABLES[int(digit, 16)] for digit in text)

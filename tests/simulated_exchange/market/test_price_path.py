import statistics
from itertools import pairwise

import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_exchange.market.instruments import Instrument, listed_instruments
from simulated_exchange.market.intervals import DAY, MINUTE
from simulated_exchange.market.price_path import FEWEST_STEPS, FEWEST_TRADES, MINUTES, day_of_minutes

INSTRUMENTS = listed_instruments(40)
days = st.integers(17_000, 21_500).map(lambda number: number * DAY)
instruments = st.sampled_from(list(INSTRUMENTS.values()))


@settings(max_examples=40)
@given(st.integers(0, 2**40), instruments, days)
def test_every_minute_of_a_day_is_a_possible_kline(seed: int, instrument: Instrument, day: int) -> None:
    table = day_of_minutes(seed, instrument, day)
    column = {name: table.column(name).to_pylist() for name in table.column_names}
    assert column["open_time"] == list(range(day, day + DAY, MINUTE))
    for low, high, *inside in zip(*(column[name] for name in ("low", "high", "open", "close")), strict=True):
        assert 1 <= low <= min(inside)
        assert max(inside) <= high
    assert column["open"][1:] == column["close"][:-1]
    assert min(column["volume"]) >= FEWEST_STEPS
    assert min(column["trade_count"]) >= FEWEST_TRADES


@settings(max_examples=40)
@given(st.integers(0, 2**40), instruments, days)
def test_quote_volumes_lie_between_volume_at_the_low_and_at_the_high(seed: int, instrument: Instrument, day: int) -> None:
    for row in day_of_minutes(seed, instrument, day).to_pylist():
        assert row["low"] * row["volume"] <= row["quote_volume"] <= row["high"] * row["volume"]
        assert 0 < row["taker_buy_volume"] <= row["volume"] >= row["trade_count"]
        assert row["low"] * row["taker_buy_volume"] <= row["taker_buy_quote_volume"] <= row["quote_volume"]


@settings(max_examples=40)
@given(st.integers(0, 2**40), instruments, days)
def test_a_day_opens_where_the_day_before_closed(seed: int, instrument: Instrument, day: int) -> None:
    before, after = (day_of_minutes(seed, instrument, at) for at in (day - DAY, day))
    assert before.column("close")[MINUTES - 1] == after.column("open")[0]


def test_another_seed_or_symbol_is_another_day() -> None:
    bitcoin, ether = INSTRUMENTS["BTCUSDT"], INSTRUMENTS["ETHUSDT"]
    day = 19_800 * DAY
    closes = [day_of_minutes(seed, it, day).column("close") for seed, it in ((1, bitcoin), (2, bitcoin), (1, ether))]
    assert len({str(close.to_pylist()) for close in closes}) == 3


def test_returns_look_like_a_market() -> None:
    """Fat tails, days of 1 to 10 %, volatile minutes in company: what charts and gap rules meet in real data."""
    bitcoin = INSTRUMENTS["BTCUSDT"]
    days_of_closes = [day_of_minutes(7, bitcoin, day * DAY).column("close").to_pylist() for day in range(19_700, 19_760)]
    returns = [right / left - 1 for closes in days_of_closes for left, right in pairwise(closes)]
    spread = statistics.pstdev(returns)
    kurtosis = statistics.fmean((value / spread) ** 4 for value in returns)
    assert 0.0002 < spread < 0.002
    assert kurtosis > 4
    daily = statistics.pstdev(closes[-1] / closes[0] - 1 for closes in days_of_closes)
    assert 0.008 < daily < 0.08
    sizes = [abs(value) for value in returns]
    assert statistics.correlation(sizes[:-60], sizes[60:]) > 0.03


def test_volume_is_bursty() -> None:
    volume = day_of_minutes(7, INSTRUMENTS["ETHUSDT"], 19_800 * DAY).column("volume")
    assert pc.max(volume).as_py() > 4 * pc.mean(volume).as_py()

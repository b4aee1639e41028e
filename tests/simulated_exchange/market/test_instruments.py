import pytest

from simulated_exchange.market.instruments import MOST, listed_instruments
from simulated_exchange.market.intervals import MINUTE


def test_the_first_symbols_are_the_ones_that_tests_rely_on() -> None:
    assert list(listed_instruments(4)) == ["BTCUSDT", "ETHUSDT", "币安人生USDT", "NOVAUSDT"]


@pytest.mark.parametrize("number", [1, 10, MOST])
def test_as_many_symbols_are_listed_as_were_asked_for(number: int) -> None:
    assert len(listed_instruments(number)) == number


def test_one_symbol_was_listed_inside_a_day_of_march_2024() -> None:
    assert listed_instruments(10)["NOVAUSDT"].listed == 1_710_237_600_000


def test_there_are_as_many_as_asked_for() -> None:
    assert len(listed_instruments(500)) == 500


def test_price_times_quantity_fits_eight_decimals() -> None:
    for instrument in listed_instruments(500).values():
        assert instrument.tick_decimals + instrument.step_decimals <= 8
        assert instrument.notional_scale >= 1
        assert instrument.listed % MINUTE == 0


def test_a_year_of_volume_never_overflows_the_sums_of_a_day() -> None:
    for instrument in listed_instruments(500).values():
        busy_day = instrument.usual_quantity * instrument.usual_price * 10**8 * 1440
        assert busy_day * 50 < 2**63

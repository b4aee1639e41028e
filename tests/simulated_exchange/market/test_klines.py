from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.market.klines import Rows, decimal_text, joined_rows

ROWS = joined_rows([(time, f'[{time},"x"]') for time in (10, 20, 30, 40)])


@given(st.integers(0, 2**63 - 1))
def test_decimal_text_is_the_number_with_eight_decimals(units: int) -> None:
    text = decimal_text(units)
    whole, _, fraction = text.partition(".")
    assert len(fraction) == 8
    assert int(whole + fraction) == units
    assert whole == str(int(whole))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 6), st.booleans())
def test_pick_is_a_slice_of_what_lies_between(first: int, last: int, limit: int, newest: bool) -> None:
    inside = [time for time in ROWS.open_times if first <= time <= last]
    expected = inside[max(0, len(inside) - limit) :] if newest else inside[:limit]
    text, number = ROWS.pick(first, last, limit, newest=newest)
    assert number == len(expected)
    assert text == b"".join(f'[{time},"x"],'.encode() for time in expected)


def test_no_rows_are_no_text() -> None:
    assert Rows((), (0,), b"").pick(0, 99, 10, newest=True) == (b"", 0)

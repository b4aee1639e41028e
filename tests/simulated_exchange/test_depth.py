from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_exchange.depth import depth_body
from simulated_exchange.instruments import Instrument, listed_instruments

INSTRUMENTS = list(listed_instruments(20).values())


@settings(deadline=None)
@given(st.sampled_from(INSTRUMENTS), st.integers(1, 10_000_000), st.integers(1_760_000_000_000, 1_900_000_000_000))
def test_a_book_is_sorted_on_the_tick_and_never_crossed(instrument: Instrument, price: int, now: int) -> None:
    book = depth_body(instrument, price, now, 100)
    bids, asks = ([Decimal(level[0]) for level in book[side]] for side in ("bids", "asks"))
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    tick = Decimal(1).scaleb(-instrument.tick_decimals)
    assert all(value > 0 and value % tick == 0 for value in bids + asks)
    assert all(Decimal(quantity) > 0 for side in ("bids", "asks") for _, quantity in book[side])
    assert book["lastUpdateId"] < depth_body(instrument, price, now + 100, 1)["lastUpdateId"]

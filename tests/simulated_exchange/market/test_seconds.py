from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.market.klines import Kline, merge
from simulated_exchange.market.price_path import SECONDS, seconds_of


@st.composite
def minutes(draw: st.DrawFn) -> Kline:
    """Any minute that `price_path` can make."""
    low = draw(st.integers(1, 10_000_000))
    high = low + draw(st.integers(0, 200_000))
    inside = st.integers(low, high)
    volume = draw(st.integers(2_000, 100_000_000))
    share = draw(st.floats(0.3, 0.7))
    taken = draw(st.integers(0, volume))
    quote = volume * low + int(volume * (high - low) * share)
    return Kline(
        draw(st.integers(25_000_000, 30_000_000)) * 60_000,
        draw(inside),
        high,
        low,
        draw(inside),
        volume,
        quote,
        draw(st.integers(60, 2_000)),
        taken,
        taken * low,
    )


@given(minutes(), st.text(max_size=5))
def test_sixty_seconds_merge_to_exactly_their_minute(minute: Kline, salt: str) -> None:
    seconds = seconds_of(minute, salt)
    assert len(seconds) == SECONDS
    assert merge(seconds, minute.open_time) == minute


@given(minutes())
def test_every_second_is_a_possible_kline(minute: Kline) -> None:
    seconds = seconds_of(minute, "")
    assert [second.open for second in seconds[1:]] == [second.close for second in seconds[:-1]]
    for second in seconds:
        assert second.low <= min(second.open, second.close)
        assert second.high >= max(second.open, second.close)
        assert second.volume > 0
        assert second.trade_count > 0
        assert 0 <= second.taker_buy_volume <= second.volume
        assert second.low * second.volume <= second.quote_volume <= second.high * second.volume
        assert 0 <= second.taker_buy_quote_volume <= second.quote_volume

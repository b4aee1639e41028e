import pytest

from simulated_exchange.intervals import INTERVALS
from simulated_exchange.stream_names import Channel, Stream, channel_of, parse_stream

SYMBOLS = {"btcusdt": "BTCUSDT", "币安人生usdt": "币安人生USDT"}


@pytest.mark.parametrize(
    ("name", "channel", "pace", "levels", "interval"),
    [
        ("btcusdt@trade", Channel.TRADE, 0, 0, None),
        ("btcusdt@aggTrade", Channel.AGG_TRADE, 0, 0, None),
        ("btcusdt@bookTicker", Channel.BOOK_TICKER, 0, 0, None),
        ("btcusdt@depth", Channel.DEPTH, 1000, 0, None),
        ("btcusdt@depth@100ms", Channel.DEPTH, 100, 0, None),
        ("btcusdt@depth20", Channel.PARTIAL_DEPTH, 1000, 20, None),
        ("btcusdt@depth5@100ms", Channel.PARTIAL_DEPTH, 100, 5, None),
        ("btcusdt@kline_1s", Channel.KLINE, 1000, 0, "1s"),
        ("btcusdt@kline_1M", Channel.KLINE, 2000, 0, "1M"),
        ("btcusdt@miniTicker", Channel.MINI_TICKER, 1000, 0, None),
    ],
)
def test_names_say_symbol_channel_and_pace(name: str, channel: Channel, pace: int, levels: int, interval: str | None) -> None:
    expected = Stream(name, "BTCUSDT", channel, pace, levels, INTERVALS[interval] if interval else None)
    assert parse_stream(name, SYMBOLS) == expected


def test_symbols_may_be_in_any_script() -> None:
    stream = parse_stream("币安人生usdt@trade", SYMBOLS)
    assert stream
    assert stream.symbol == "币安人生USDT"


@pytest.mark.parametrize(
    "name",
    ["", "btcusdt", "BTCUSDT@trade", "nope@trade", "btcusdt@depth7", "btcusdt@kline_9m", "btcusdt@trade@100ms", "!ticker@arr"],
)
def test_other_names_are_no_streams(name: str) -> None:
    assert parse_stream(name, SYMBOLS) is None


def test_recorded_names_have_a_channel_too() -> None:
    assert channel_of("nknusdt@kline_1m") == ("NKNUSDT", Channel.KLINE)
    assert channel_of("nknusdt@ticker") == ("NKNUSDT", Channel.OTHER)
    assert channel_of("!miniTicker@arr") == ("", Channel.ALL_MINI_TICKERS)

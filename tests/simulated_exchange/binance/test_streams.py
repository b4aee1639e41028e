import pytest

from simulated_exchange.binance.messages import Stream, channel_of, parse_stream
from simulated_exchange.market.intervals import INTERVALS
from simulated_exchange.server.messages import Channel

SYMBOLS = {"btcusdt": "BTCUSDT", "币安人生usdt": "币安人生USDT"}


@pytest.mark.parametrize(
    ("name", "channel", "interval"),
    [
        ("btcusdt@trade", Channel.TRADE, None),
        ("btcusdt@bookTicker", Channel.BOOK_TICKER, None),
        ("btcusdt@depth@100ms", Channel.DEPTH, None),
        ("btcusdt@kline_1s", Channel.KLINE, "1s"),
        ("btcusdt@kline_1M", Channel.KLINE, "1M"),
    ],
)
def test_names_say_symbol_and_channel(name: str, channel: Channel, interval: str | None) -> None:
    expected = Stream(name, "BTCUSDT", channel, INTERVALS[interval] if interval else None)
    assert parse_stream(name, SYMBOLS) == expected


def test_symbols_may_be_in_any_script() -> None:
    stream = parse_stream("币安人生usdt@trade", SYMBOLS)
    assert stream
    assert stream.symbol == "币安人生USDT"


@pytest.mark.parametrize(
    "name",
    ["", "btcusdt", "BTCUSDT@trade", "nope@trade", "btcusdt@depth5", "btcusdt@kline_9m", "btcusdt@trade@100ms", "!ticker@arr"],
)
def test_other_names_are_no_streams(name: str) -> None:
    assert parse_stream(name, SYMBOLS) is None


def test_recorded_names_have_a_channel_too() -> None:
    assert channel_of("nknusdt@kline_1m") == ("NKNUSDT", Channel.KLINE)
    assert channel_of("nknusdt@ticker") == ("NKNUSDT", Channel.OTHER)
    assert channel_of("!miniTicker@arr") == ("", Channel.ALL_MINI_TICKERS)

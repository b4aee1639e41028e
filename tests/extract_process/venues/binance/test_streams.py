"""Stream names and SUBSCRIBE messages within the venue's limits."""

import orjson
import pytest

from extract_process.stream_ids import StreamKey
from extract_process.venues.api import split_over_connections
from extract_process.venues.binance.ws import key_of_stream, stream_names, subscribe_messages


def test_streams_are_lower_case_and_a_symbols_are_together() -> None:
    wanted = {"BTCUSDT": ("trades", "depth"), "ETHUSDT": ("klines", "ticker", "depth")}
    assert stream_names(wanted, {"ETHUSDT": "1m"}) == [
        *("btcusdt@trade", "btcusdt@depth@100ms"),
        *("ethusdt@depth@100ms", "ethusdt@kline_1m", "!miniTicker@arr"),
    ]


@pytest.mark.parametrize(
    ("stream", "key"),
    [
        ("btcusdt@trade", StreamKey("trades", "btcusdt")),
        ("btcusdt@depth@100ms", StreamKey("depth", "btcusdt")),
        ("btcusdt@bookTicker", StreamKey("book_tickers", "btcusdt")),
        ("btcusdt@kline_1M", StreamKey("klines", "btcusdt", "1M")),
        ("!miniTicker@arr", StreamKey("ticker", "*")),
    ],
)
def test_a_stream_name_says_what_it_delivers(stream: str, key: StreamKey) -> None:
    assert key_of_stream(stream) == key


@pytest.mark.parametrize(
    ("streams", "most", "sizes"),
    [(1, 300, [1]), (300, 300, [300]), (301, 300, [151, 150]), (1_000, 300, [250] * 4), (0, 300, [])],
)
def test_streams_are_spread_evenly_over_as_few_connections_as_it_takes(streams: int, most: int, sizes: list[int]) -> None:
    names = [f"s{number}@trade" for number in range(streams)]
    parts = split_over_connections(names, most)
    assert [len(part) for part in parts] == sizes
    assert [name for part in parts for name in part] == names


def test_a_subscribe_message_has_at_most_100_names_and_4_kilobytes() -> None:
    names = [f"symbol{number:04}usdt@depth@100ms" for number in range(1_024)]
    messages = dict(subscribe_messages(names))
    bodies = [orjson.loads(message) for message in messages.values()]
    assert [body["id"] for body in bodies] == list(messages) == list(range(1, 12))
    assert [name for body in bodies for name in body["params"]] == names
    assert {body["method"] for body in bodies} == {"SUBSCRIBE"}
    assert max(map(len, messages.values())) < 4_096

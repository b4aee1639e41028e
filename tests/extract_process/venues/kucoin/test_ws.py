"""What only KuCoin's frames have: placeholders, sequences in levels, subjects that are symbols, times in four units."""

from typing import Any

import orjson
import pytest

from extract_process.records import DepthDiff, Ticker, UnreadableRow
from extract_process.venues.api import Pong, Welcome
from extract_process.venues.kucoin.ws import parse_frame
from extract_process.venues.parsing import FrameRefused

NOW = 1_786_190_400_000_000


def level2(bids: list[list[Any]], asks: list[list[Any]], **more: object) -> bytes:
    data = {"changes": {"bids": bids, "asks": asks}, "sequenceStart": 5, "sequenceEnd": 9, "symbol": "A-B", **more}
    return orjson.dumps({"type": "message", "topic": "/market/level2:A-B", "subject": "trade.l2update", "data": data})


def test_a_change_with_price_0_only_advances_the_sequence() -> None:
    (diff,) = parse_frame(level2([["0", "0", "9"]], [["0", "0", "7"], ["1.50", "0", "8"]]), NOW)
    assert isinstance(diff, DepthDiff)
    assert (diff.first_update_id, diff.last_update_id, diff.bids, diff.asks) == (5, 9, [], [["1.50", "0"]])


def test_the_last_change_of_a_price_comes_last_whatever_the_order() -> None:
    (diff,) = parse_frame(level2([["2", "7", "9"], ["2", "3", "5"]], []), NOW)
    assert isinstance(diff, DepthDiff)
    assert diff.bids == [["2", "3"], ["2", "7"]]


def test_a_diff_without_a_time_has_the_time_of_its_receipt() -> None:
    """As the recording of 2021: the venue sent none until 2023."""
    (without,), (given,) = parse_frame(level2([], []), NOW), parse_frame(level2([], [], time=1_700_000_000_123), NOW)
    assert (without.event_time, given.event_time) == (NOW, 1_700_000_000_123_000)  # type: ignore[union-attr]


def test_the_symbol_of_the_whole_markets_ticker_is_its_subject() -> None:
    data = {"price": "2", "bestBid": "1", "bestBidSize": "5", "bestAsk": "", "bestAskSize": None, "Time": 1_700_000_000_123}
    frame = {"type": "message", "topic": "/market/ticker:all", "subject": "KCS-BTC", "data": data}
    (ticker,) = parse_frame(orjson.dumps(frame), NOW)
    assert isinstance(ticker, Ticker)
    assert (ticker.symbol, ticker.event_time) == ("KCS-BTC", 1_700_000_000_123_000)
    assert (ticker.best_bid_price, ticker.best_ask_price, ticker.best_ask_quantity) == ("1", None, None)


def test_welcome_and_pong() -> None:
    assert parse_frame(b'{"id":"x","type":"welcome"}', NOW) == [Welcome()]
    assert parse_frame(b'{"id":"1","type":"pong","timestamp":1}', NOW) == [Pong()]


@pytest.mark.parametrize(
    "frame",
    [
        level2([], [], sequenceStart=10),
        level2([], [], sequenceEnd="9"),
        level2([], [], time="soon"),
        level2([], [], time=1_700_000_000),  # seconds: a day of 1970
        level2([], [], time=4_102_444_800_000),
        b'{"type":"message","topic":"/market/match:A-B","subject":"s","data":{"side":"hold"}}',
        b'{"type":"message","topic":"/market/candles:A-B_7min","subject":"s","data":{}}',
        b'{"type":"message","topic":"/market/level2:A-B","subject":"s","data":[]}',
    ],
)
def test_a_frame_of_another_shape_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameRefused):
        parse_frame(frame, NOW)


@pytest.mark.parametrize(
    "change",
    [*([price, "1", "3"] for price in ("-1", "", 2, None, "1e-30", "abc")), ["1", "2"], ["1", "2", "x"], ["1", "2", 3], 7],
)
def test_a_message_with_an_unreadable_change_keeps_its_ids(change: Any) -> None:
    (row,) = parse_frame(level2([change], [["5", "1", "4"]], sequenceStart=3, sequenceEnd=4), NOW)
    assert isinstance(row, UnreadableRow)
    assert (row.channel, row.symbol, row.first_id, row.last_id) == ("depth", "A-B", 3, 4)

"""plain_top reads what the JSON path reads, as all three markets send it, and nothing else."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.records import BookTicker
from extract_process.venues.binance import ws as spot
from extract_process.venues.binance.futures import ws as futures
from extract_process.venues.binance.plain_top import MOST_TOP_BYTES, plain_top
from extract_process.venues.parsing import FrameRefused

MS = 1_672_515_782_136
PRICES = {"b": "25.3519", "B": "31.21", "a": "25.3652", "A": "40"}
SPOT = {"u": 7, "s": "BNBBTC", **PRICES}
USDM = {"e": "bookTicker", "u": 7, "s": "BNBBTC", **PRICES, "T": MS - 1, "E": MS}
COINM = {"u": 7, "e": "bookTicker", "s": "BNBBTC", "ps": "BNBUSD", **PRICES, "T": MS - 1, "E": MS}


def combined(message: dict[str, Any]) -> bytes:
    return orjson.dumps({"stream": "bnbbtc@bookTicker", "data": message})


@pytest.mark.parametrize("message", [SPOT, USDM, COINM], ids=["spot", "usdm", "coinm"])
def test_every_markets_frames_are_plain(message: dict[str, Any]) -> None:
    expected = BookTicker("BNBBTC", 7, "25.3519", "31.21", "25.3652", "40", MS * 1_000 if "E" in message else None)
    assert plain_top(orjson.dumps(message)) == plain_top(combined(message)) == expected
    assert len(combined(message)) < MOST_TOP_BYTES


def read(parse: Any, frame: bytes) -> Any:
    try:
        return parse(frame, 0)
    except FrameRefused as refused:
        return refused.reason


@given(
    st.sampled_from([SPOT, USDM, COINM]),
    st.dictionaries(
        st.sampled_from(["b", "A", "u", "s", "E", "e", "T", "ps"]),
        st.sampled_from(
            ["1", "1.50", "1e-8", "-1", "", "1.", "9" * 21, "币USDT", 0, 7, -1, MS, 10**18, 2**64, None, [], "trade"]
        ),
        max_size=3,
    ),
    st.booleans(),
    st.sampled_from([spot, futures]),
)
def test_a_plain_frame_is_read_as_any_other_one(
    message: dict[str, Any], other: dict[str, Any], is_combined: bool, of: Any
) -> None:
    """One more field is enough to have it read as JSON."""
    sent = message | {key: value for key, value in other.items() if key in message}
    try:
        frames = [combined(one) if is_combined else orjson.dumps(one) for one in (sent, sent | {"more": 1})]
    except orjson.JSONEncodeError:  # 2**64
        return
    plain, as_json = (read(of.parse_frame, frame) for frame in frames)
    assert plain == as_json


@pytest.mark.parametrize("change", [(b"}}", b"}"), (b"}}", b"}}}"), (b'"u":7', b'"u":07'), (b"{", b"[")])
def test_what_is_no_json_is_not_plain(change: tuple[bytes, bytes]) -> None:
    for message in (SPOT, USDM, COINM):
        frame = combined(message).replace(*change)
        assert plain_top(frame) is None
        assert isinstance(read(futures.parse_frame, frame), str)


def test_a_frame_that_is_no_text_is_not_plain() -> None:
    assert plain_top(combined(SPOT)[:-3] + b"\xff") is None

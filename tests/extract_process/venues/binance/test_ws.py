"""Frames of the venue in our records: the documented shapes, the recorded ones, and garbage."""

import gzip
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.decimals import plain_number
from extract_process.level_text import LevelText
from extract_process.records import BookTicker, DepthDiff, Kline, Ticker, Trade, UnreadableRow
from extract_process.venues.api import Reply, ServerShutdown, Unknown
from extract_process.venues.binance import VENUE
from extract_process.venues.binance.ws import parse_frame
from extract_process.venues.parsing import FrameRefused

MS = 1_672_515_782_136
DIFF = {"e": "depthUpdate", "E": MS, "s": "BNBBTC", "U": 157, "u": 160, "b": [["0.0024", "10"]], "a": [["0.0026", "100"]]}
TRADE = {"e": "trade", "E": MS, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": MS - 1, "m": True, "M": True}
TICKER = {"e": "24hrMiniTicker", "E": MS, "s": "BNBBTC", "c": "4", "o": "1", "h": "5", "l": "0.5", "v": "10000", "q": "18"}
TOP = {"u": 400_900_217, "s": "BNBBTC", "b": "25.3519", "B": "31.21", "a": "25.3652", "A": "40.66"}
KLINE = {
    "e": "kline", "E": MS, "s": "BNBBTC",
    "k": {
        "t": 1_672_515_780_000, "T": 1_672_515_839_999, "s": "BNBBTC", "i": "1m", "f": 100, "L": 200, "o": "1", "c": "4",
        "h": "5", "l": "0.5", "v": "1000", "n": 100, "x": True, "q": "10", "V": "500", "Q": "0.5", "B": "123456",
    },
}  # fmt: skip
PARSED: list[tuple[dict[str, Any], object]] = [
    (DIFF, DepthDiff("BNBBTC", 157, 160, [["0.0024", "10"]], [["0.0026", "100"]], MS * 1_000)),
    (TRADE, Trade("BNBBTC", 12345, "0.001", "100", True, MS * 1_000 - 1_000, MS * 1_000)),
    (TICKER, Ticker("BNBBTC", MS * 1_000, "1", "5", "0.5", "4", "10000", "18")),
    (
        KLINE,
        Kline(
            "BNBBTC",
            "1m",
            1_672_515_780_000_000,
            1_672_515_839_999_000,
            "1",
            "5",
            "0.5",
            "4",
            "1000",
            "10",
            100,
            "500",
            "0.5",
            True,
        ),
    ),
    ({"e": "serverShutdown", "E": MS}, ServerShutdown(MS * 1_000)),
    ({"e": "somethingNew", "E": MS}, Unknown("somethingNew")),
    (TOP, BookTicker("BNBBTC", 400_900_217, "25.3519", "31.21", "25.3652", "40.66", None)),
    (
        {**TOP, "e": "bookTicker", "E": MS, "T": MS - 1},  # as the futures send it
        BookTicker("BNBBTC", 400_900_217, "25.3519", "31.21", "25.3652", "40.66", MS * 1_000),
    ),
    ({"lastUpdateId": 160, "bids": [], "asks": []}, Unknown("partialDepth")),
    ({"result": None, "id": 1}, Reply(1, "")),
    ({"result": ["btcusdt@depth"], "id": "a"}, Reply("a", "")),
    ({"code": 2, "msg": "Invalid request: x"}, Reply(None, "2 Invalid request: x")),
]


@pytest.mark.parametrize(("message", "record"), PARSED, ids=lambda value: type(value).__name__)
def test_every_documented_shape_is_read_raw_and_combined(message: dict[str, Any], record: object) -> None:
    assert parse_frame(orjson.dumps(message)) == [record]
    assert parse_frame(orjson.dumps({"stream": "x", "data": message})) == [record]


@given(
    st.sampled_from(["0", "1", "007", "1.50000000", "0.000000000000000001", "9" * 20, "1e-8", "-1", ".5", "", "1."]),
    st.sampled_from(["BNBBTC", "1000SATSUSDT", "币安人生USDT", "a", ""]),
    st.sampled_from([0, 7, 10**18, 2**63, 2**64 - 1, -1]),
    st.booleans(),
)
def test_a_plain_best_bid_and_ask_is_read_as_any_other_one(number: str, symbol: str, update_id: int, combined: bool) -> None:
    """One more field is enough to have it read as JSON."""
    message = {**TOP, "u": update_id, "s": symbol, "A": number}
    found = []
    for sent in (message, {**message, "more": 1}):
        try:
            found += parse_frame(orjson.dumps({"stream": "x", "data": sent} if combined else sent))
        except FrameRefused as refused:
            found.append(refused.reason)  # type: ignore[arg-type]
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "frame",
    [
        b'{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}}',
        b'{"stream":"x","data":{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}',
        b'{"u":01,"s":"A","b":"1","B":"1","a":"1","A":"1"}',
    ],
)
def test_what_looks_like_a_best_bid_and_ask_and_is_no_json_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameRefused):
        parse_frame(frame)


def test_an_array_of_tickers_is_many_records() -> None:
    frame = orjson.dumps({"stream": "!miniTicker@arr", "data": [TICKER, {**TICKER, "s": "ETHBTC"}]})
    assert [getattr(record, "symbol", "") for record in parse_frame(frame)] == ["BNBBTC", "ETHBTC"]
    assert VENUE.channel_of_frame(frame) == "ticker"


def test_times_in_microseconds_are_what_they_are() -> None:
    (diff,) = parse_frame(orjson.dumps({**DIFF, "E": MS * 1_000 + 7}))
    assert diff == PARSED[0][1]._replace(event_time=MS * 1_000 + 7)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not_json"),
        (b'{"e":"trade"', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"17", "wrong_type"),
        (b"[17]", "wrong_type"),
        (b"{}", "unknown_shape"),
        (b'{"e":"trade"}', "missing_key"),
        (orjson.dumps({**TRADE, "t": -1}), "wrong_id"),
        (orjson.dumps({**TRADE, "t": True}), "wrong_id"),
        (orjson.dumps({**TRADE, "t": "5"}), "wrong_id"),
        (orjson.dumps({**TRADE, "m": "true"}), "wrong_type"),
        (orjson.dumps({**TRADE, "T": 0}), "wrong_time"),
        (orjson.dumps({**TRADE, "T": 10**18}), "wrong_time"),
        (orjson.dumps({**TRADE, "T": 4_102_444_800_000}), "wrong_time"),  # the year 2100
        (orjson.dumps({**TRADE, "E": 1_230_940_799_999_999}), "wrong_time"),  # before the first Bitcoin block
        (orjson.dumps({**DIFF, "E": -MS}), "wrong_time"),
        (orjson.dumps({**TICKER, "E": MS * 1_000_000}), "wrong_time"),  # nanoseconds
        (orjson.dumps({**KLINE, "k": {**KLINE["k"], "t": 60_000}}), "wrong_time"),  # type: ignore[dict-item]
        (orjson.dumps({**DIFF, "U": 161}), "wrong_id"),
        (orjson.dumps({**DIFF, "s": ""}), "wrong_type"),
        (orjson.dumps({**KLINE, "k": []}), "wrong_type"),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameRefused) as caught:
        parse_frame(frame)
    assert caught.value.reason == reason
    assert VENUE.channel_of_frame(frame) == ""


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list("eEsUubaktTpqmicohlvnxVQ")), inner),
    max_leaves=12,
)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_crash(frame: bytes) -> None:
    _parse_or_refuse(frame)


@given(st.sampled_from([DIFF, TRADE, TICKER, KLINE]), st.sampled_from(list("eEsUubaktTpqmicohlv")), _json)
def test_no_value_in_a_known_message_makes_it_crash(message: dict[str, Any], key: str, value: Any) -> None:
    _parse_or_refuse(_dumped({**message, key: value}))
    _parse_or_refuse(_dumped({"stream": "x", "data": [{**message, key: value}]}))


@given(_json)
def test_no_json_makes_it_crash(value: Any) -> None:
    _parse_or_refuse(_dumped(value))


@given(st.data())
def test_no_flipped_byte_makes_it_crash(data: st.DataObject) -> None:
    frame = bytearray(orjson.dumps(data.draw(st.sampled_from([DIFF, TRADE, KLINE]))))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    _parse_or_refuse(bytes(frame))


def test_recorded_sessions_are_read_whole(shared_data: Path) -> None:
    found: Counter[str] = Counter()
    with gzip.open(shared_data / "binance_session_BTCUSDT_20240808.jsonl.gz") as lines:
        for line in map(orjson.loads, lines):
            if line["src"] == "ws":
                found.update(type(record).__name__ for record in parse_frame(orjson.dumps(line["raw"])))
    assert found == {"DepthDiff": 6_495, "Trade": 19_904, "BookTicker": 73_174}


def test_recorded_samples_are_read_or_unknown(shared_data: Path) -> None:
    with gzip.open(shared_data / "binance_ws_samples.jsonl.gz") as lines:
        samples = [orjson.loads(line)["raw"] for line in lines]
    records = [record for sample in samples for record in parse_frame(orjson.dumps(sample))]
    kinds = Counter(type(record).__name__ for record in records)
    assert kinds["Ticker"] >= 26
    assert kinds["Trade"] and kinds["Kline"]  # noqa: PT018


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):  # integers beyond 64 bits: as text they are JSON all the same
        return repr(value).replace("'", '"').encode()


def _parse_or_refuse(frame: bytes) -> None:
    with suppress(FrameRefused):
        parse_frame(frame)


ODD = [
    ["1e-8x", "1"],
    [".", "1"],
    ["1.5", "."],
    ["-1", "1"],
    ["", "1"],
    [1, "1"],
    [None, None],
    [["1"], "5"],
    ["0.1234567890123456789", "5"],
    ["9" * 21, "5"],
]


@pytest.mark.parametrize("level", ODD)
@pytest.mark.parametrize("others", [[], [["1.5", "2.5"], ["1.5", "0.00000000"]]])
def test_a_message_with_an_unreadable_number_keeps_its_ids(level: list[Any], others: list[list[str]]) -> None:
    (row,) = parse_frame(orjson.dumps({"stream": "x", "data": {**DIFF, "b": [*others, level], "a": others}}))
    assert isinstance(row, UnreadableRow)
    assert (row.channel, row.symbol, row.first_id, row.last_id) == ("depth", DIFF["s"], DIFF["U"], DIFF["u"])
    (row,) = parse_frame(orjson.dumps({**TRADE, "p": level[0], "q": level[1]}))
    assert isinstance(row, UnreadableRow)
    assert (row.channel, row.first_id, row.last_id) == ("trades", TRADE["t"], TRADE["t"])


_texts = st.one_of(
    st.from_regex(r"[0-9]{1,22}(\.[0-9]{1,20})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,22}\.[0-9]{8}", fullmatch=True),
    st.text(alphabet='0123456789.eE-+,[]" ', max_size=30),
    st.sampled_from([1, 1.5, None, [], ["1"], {"a": 1}, True]),
)


@given(bids=st.lists(st.tuples(_texts, _texts), max_size=4), asks=st.lists(st.tuples(_texts, _texts), max_size=4))
def test_the_look_at_the_whole_frame_says_the_same_as_one_at_every_number(bids: list[Any], asks: list[Any]) -> None:
    """Compact frames are looked at as bytes, others level by level: both must agree."""
    data = {**DIFF, "b": bids, "a": asks}
    (compact,) = parse_frame(orjson.dumps({"stream": "x", "data": data}))
    (spread,) = parse_frame(json.dumps({"stream": "x", "data": data}).encode())
    assert compact == spread or (isinstance(compact, UnreadableRow) and isinstance(spread, UnreadableRow))
    if isinstance(compact, DepthDiff):
        assert all(number == plain_number(number) for level in (*compact.bids, *compact.asks) for number in level)


@pytest.mark.parametrize("symbol", ["S" * 257, "币" * 86])
@pytest.mark.parametrize("frame", [DIFF, TRADE, TICKER, KLINE], ids=lambda frame: str(frame["e"]))
def test_a_symbol_that_no_column_holds_is_refused_here(frame: dict[str, Any], symbol: str) -> None:
    """In an object, the loader would refuse it together with its sound neighbours. One of 256 bytes is a name."""
    broken = {**frame, "s": symbol} if "k" not in frame else {**frame, "k": {**frame["k"], "s": symbol}}
    with pytest.raises(FrameRefused, match="is no name"):
        parse_frame(orjson.dumps(broken))
    assert parse_frame(orjson.dumps({**TRADE, "s": "S" * 256}))


@pytest.mark.parametrize("levels", [None, [["1"]], ["1"], [["1", "2", "3"]], [["1", None]]])
def test_a_diff_with_an_unreadable_level_keeps_its_ids(levels: object) -> None:
    for side in ("b", "a"):
        (row,) = parse_frame(orjson.dumps({**DIFF, side: levels}))
        assert isinstance(row, UnreadableRow)
        assert (row.channel, row.symbol, row.first_id, row.last_id) == ("depth", DIFF["s"], DIFF["U"], DIFF["u"])


@pytest.mark.parametrize("is_combined", [True, False])
def test_levels_that_stand_elsewhere_in_the_frame_do_not_vouch_for_the_message(is_combined: bool) -> None:
    sound = {"b": [["1.5", "2.5"]], "a": []}
    diff = {**DIFF, "b": [["abc", "2.5"]], "a": [], **({} if is_combined else {"x": sound})}
    (row,) = parse_frame(orjson.dumps({"stream": "x", "data": diff, "x": sound} if is_combined else diff))
    assert isinstance(row, UnreadableRow)


USUAL = {**DIFF, "b": [["61737.63000000", "0.00000000"], ["0.50000000", "21.00000000"]], "a": [["61837.64000000", "1.54698000"]]}


@pytest.mark.parametrize("message", [USUAL, {"stream": "bnbbtc@depth@100ms", "data": USUAL}])
@pytest.mark.parametrize(("bids", "asks"), [(USUAL["b"], USUAL["a"]), ([], USUAL["a"]), (USUAL["b"], []), ([], [])])
def test_a_diff_as_the_venue_writes_it_is_not_taken_apart(message: dict[str, Any], bids: Any, asks: Any) -> None:
    frame = (
        orjson.dumps(message)
        .replace(orjson.dumps(USUAL["b"]), orjson.dumps(bids))
        .replace(orjson.dumps(USUAL["a"]), orjson.dumps(asks))
    )
    (diff,) = parse_frame(frame)
    assert isinstance(diff, DepthDiff)
    assert (type(diff.bids), type(diff.asks)) == (LevelText, LevelText)
    assert (diff.bids, diff.asks) == (bids, asks)
    assert parse_frame(json.dumps(orjson.loads(frame)).encode()) == [diff]


@pytest.mark.parametrize("number", ["061.50000000", "61.5", "61.500000000", "61", "1e2", ".50000000", "1" * 20 + ".50000000"])
def test_a_number_written_otherwise_is_the_same_number_and_its_side_a_list(number: str) -> None:
    """A LevelText promises that equal numbers are equal texts."""
    (diff,) = parse_frame(orjson.dumps({**USUAL, "b": [[number, "1.00000000"]]}))
    assert isinstance(diff, DepthDiff)
    assert [[plain_number(text) for text in level] for level in diff.bids] == [[plain_number(number), "1.00000000"]]
    assert isinstance(diff.bids, LevelText) is (number == "1" * 20 + ".50000000")


@given(st.data(), st.sampled_from([USUAL, {"stream": "bnbbtc@depth@100ms", "data": USUAL}]))
def test_a_frame_with_a_wrong_byte_is_read_as_its_json_says(data: st.DataObject, message: dict[str, Any]) -> None:
    """Levels are taken out of the bytes before anything is read: whatever is wrong there must be found all the same."""
    frame = bytearray(orjson.dumps(message))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(frame) - 1))
        wrong = data.draw(
            st.sampled_from([b"", b",", b'"', b"[", b"]", b"}", b"{", b"0", b".", b" ", b"b", b"\\", b"\xff", b"\n"])
        )
        frame[place : place + data.draw(st.integers(0, 1))] = wrong
    try:
        spread = json.dumps(orjson.loads(frame)).encode()
    except orjson.JSONDecodeError:
        with pytest.raises(FrameRefused, match="not JSON"):
            parse_frame(bytes(frame))
        return
    assert _parsed(bytes(frame)) == _parsed(spread)


def _parsed(frame: bytes) -> object:
    """With an unreadable number, what it says of it may differ."""
    try:
        return [(message[:5] if isinstance(message, UnreadableRow) else message) for message in parse_frame(frame)]
    except FrameRefused as refused:
        return refused.reason

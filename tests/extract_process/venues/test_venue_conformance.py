"""The conformance suite of a venue's parsers and streams: what every venue must take, refuse and leave alone."""

from dataclasses import dataclass
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_process.records import BookTicker, DepthDiff, Kline, Ticker, Trade, UnreadableRow
from extract_process.spool.row_buffer import RowBuffer
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue, venue_named
from extract_process.venues.api import Reply, Unknown
from extract_process.venues.parsing import FrameRefused

NOON = 1_786_190_400_000_000
PRICE = "67993.000000000001"
"""Twelve decimals."""


@dataclass(frozen=True)
class Sample:
    """One message of each kind as the venue sends it."""

    venue: str
    symbol: str
    diff: dict[str, object]
    trade: dict[str, object]
    kline: dict[str, object]
    ticker: dict[str, object]
    book_ticker: dict[str, object]
    accepted: dict[str, object]
    refused: dict[str, object]
    unheard_of: dict[str, object]
    trade_id: int
    book_ticker_id: int
    required: tuple[str, str, str, str, str]
    """Fields without which a diff, a trade, a kline, a ticker and a best bid and ask are none."""

    @property
    def messages(self) -> tuple[dict[str, object], ...]:
        """One of each channel, in the order of `required`."""
        return self.diff, self.trade, self.kline, self.ticker, self.book_ticker


def _futures(venue: str, symbol: str) -> Sample:
    """Milliseconds. Ids of a diff begin behind the one before it."""
    at = NOON // 1_000
    kline = {
        "t": at, "T": at + 59_999, "s": symbol, "i": "1m", "f": 1, "L": 1, "o": "1", "c": "2", "h": "3", "l": "0.5",
        "v": "4", "n": 1, "x": True, "q": "5", "V": "1", "Q": "2", "B": "0",
    }  # fmt: skip
    levels = {"b": [[PRICE, "1"]], "a": [["70000", "0"]]}
    return Sample(
        venue,
        symbol,
        {"e": "depthUpdate", "E": at, "T": at, "s": symbol, "ps": "BTCUSD", "st": 1, "U": 8, "u": 9, "pu": 6, **levels},
        {"e": "trade", "E": at, "T": at, "s": symbol, "t": 5, "p": PRICE, "q": "0.5", "X": "MARKET", "m": True},
        {"e": "kline", "E": at, "s": symbol, "k": kline},
        {"e": "24hrMiniTicker", "E": at, "s": symbol, "c": "2", "o": "1", "h": "3", "l": "0.5", "v": "4", "q": "5"},
        {"e": "bookTicker", "u": 9, "s": symbol, "b": PRICE, "B": "0.5", "a": "70000", "A": "2", "T": at, "E": at},
        {"result": None, "id": 1},
        {"code": 2, "msg": "Invalid request", "id": 1},
        {"e": "somethingNew", "E": at},
        5,
        9,
        ("E s U u pu b a", "E s t p q T m", "t T s i o c h l v n x q V Q", "E s c o h l v q", "s u b B a A"),
    )


def _kucoin(topic: str, subject: str, data: dict[str, object]) -> dict[str, object]:
    return {"type": "message", "topic": topic, "subject": subject, "data": data}


SAMPLES = (
    Sample(
        "binance",
        "BTCUSDT",
        {"e": "depthUpdate", "E": NOON, "s": "BTCUSDT", "U": 7, "u": 9, "b": [[PRICE, "1"]], "a": [["70000", "0"]]},
        {"e": "trade", "E": NOON, "s": "BTCUSDT", "t": 5, "p": PRICE, "q": "0.5", "T": NOON, "m": True, "M": True},
        {
            "e": "kline", "E": NOON, "s": "BTCUSDT",
            "k": {
                "t": NOON, "T": NOON + 59_999_999, "s": "BTCUSDT", "i": "1m", "o": "1", "c": "2", "h": "3", "l": "0.5",
                "v": "4", "n": 1, "x": True, "q": "5", "V": "1", "Q": "2",
            },
        },
        {"e": "24hrMiniTicker", "E": NOON, "s": "BTCUSDT", "c": "2", "o": "1", "h": "3", "l": "0.5", "v": "4", "q": "5"},
        {"u": 9, "s": "BTCUSDT", "b": PRICE, "B": "0.5", "a": "70000", "A": "2"},
        {"result": None, "id": 1},
        {"code": 2, "msg": "Invalid request", "id": 1},
        {"e": "somethingNew", "E": NOON},
        5,
        9,
        ("E s U u b a", "E s t p q T m", "t T s i o c h l v n x q V Q", "E s c o h l v q", "s u b B a A"),
    ),
    Sample(
        "kucoin",
        "BTC-USDT",
        _kucoin(
            "/market/level2:BTC-USDT", "trade.l2update",
            {
                "changes": {"asks": [["70000", "0", "9"], ["0", "0", "8"]], "bids": [[PRICE, "1", "7"]]},
                "sequenceStart": 7, "sequenceEnd": 9, "symbol": "BTC-USDT", "time": NOON // 1_000,
            },
        ),
        _kucoin(
            "/market/match:BTC-USDT", "trade.l3match",
            {
                "symbol": "BTC-USDT", "sequence": "11067996711960577", "side": "sell", "size": "0.5", "price": PRICE,
                "takerOrderId": "a", "makerOrderId": "b", "tradeId": "11067996711960577", "time": f"{NOON}000", "type": "match",
            },
        ),
        _kucoin(
            "/market/candles:BTC-USDT_1min", "trade.candles.update",
            {"symbol": "BTC-USDT", "candles": [str(NOON // 1_000_000), "1", "2", "3", "0.5", "4", "5"], "time": NOON * 1_000},
        ),
        _kucoin(
            "/market/ticker:BTC-USDT", "trade.ticker",
            {
                "sequence": "9", "price": "2", "size": "1", "bestAsk": "3", "bestAskSize": "4", "bestBid": "1",
                "bestBidSize": "5", "time": NOON // 1_000,
            },
        ),
        _kucoin(
            "/spotMarket/level1:BTC-USDT", "level1",
            {"asks": ["70000", "2"], "bids": [PRICE, "0.5"], "timestamp": NOON // 1_000},
        ),
        {"id": "1", "type": "ack"},
        {"id": "1", "type": "error", "code": 404, "data": "topic does not exist"},
        _kucoin("/market/somethingNew:BTC-USDT", "new", {}),
        11_067_996_711_960_577,
        NOON // 1_000,
        (
            *("changes sequenceStart sequenceEnd symbol", "symbol sequence side size price time", "symbol candles", "price time"),
            "asks bids timestamp",
        ),
    ),
    _futures("binance-usdm", "BTCUSDT"),
    _futures("binance-coinm", "BTCUSD_PERP"),
)  # fmt: skip

pytestmark = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.venue)


def parse(sample: Sample, message: object) -> list[object]:
    return venue_named(sample.venue).parse_frame(orjson.dumps(message), NOON)


def test_a_diff_has_its_ids_and_absolute_levels(sample: Sample) -> None:
    (diff,) = parse(sample, sample.diff)
    assert diff == DepthDiff(sample.symbol, 7, 9, [[PRICE, "1"]], [["70000", "0"]], NOON)


def test_a_trade_has_its_id_and_who_was_the_maker(sample: Sample) -> None:
    assert parse(sample, sample.trade) == [Trade(sample.symbol, sample.trade_id, PRICE, "0.5", True, NOON, NOON)]


def test_a_kline_has_its_columns_in_our_order(sample: Sample) -> None:
    (kline,) = parse(sample, sample.kline)
    assert isinstance(kline, Kline)
    assert (kline.symbol, kline.interval, kline.open_time, kline.close_time) == (sample.symbol, "1m", NOON, NOON + 59_999_000)
    assert (kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume) == ("1", "3", "0.5", "2", "4", "5")
    assert kline.is_closed == (venue_named(sample.venue).settle_seconds is None)


def test_a_ticker_has_its_time_and_price(sample: Sample) -> None:
    (ticker,) = parse(sample, sample.ticker)
    assert isinstance(ticker, Ticker)
    assert (ticker.symbol, ticker.event_time, ticker.close) == (sample.symbol, NOON, "2")


def test_a_best_bid_and_ask_have_their_id_and_the_venues_time_where_it_sends_one(sample: Sample) -> None:
    (top,) = parse(sample, sample.book_ticker)
    assert top == BookTicker(sample.symbol, sample.book_ticker_id, PRICE, "0.5", "70000", "2", top.event_time)  # type: ignore[attr-defined]
    assert top.event_time == (None if sample.venue == "binance" else NOON)
    assert "book_tickers" in venue_named(sample.venue).sparse_channels, "ids jump: a jump alone is no gap"


def test_a_best_price_that_is_no_number_is_a_row_that_cannot_be_read_with_its_id(sample: Sample) -> None:
    spoilt = orjson.loads(orjson.dumps(sample.book_ticker).replace(b'"70000"', b'"-1"'))
    (row,) = parse(sample, spoilt)
    assert isinstance(row, UnreadableRow)
    number = sample.book_ticker_id
    assert (row.channel, row.symbol, row.first_id, row.last_id) == ("book_tickers", sample.symbol, number, number)


def test_twelve_decimals_land_exactly(sample: Sample) -> None:
    venue = venue_named(sample.venue)
    landing = RowBuffer(venue, "main", frozenset({sample.symbol}))
    for message in (sample.diff, sample.trade, sample.book_ticker):
        landing.add_messages(parse(sample, message), NOON)
    tables = {key.split("/")[1]: pq.read_table(pa.BufferReader(body)).to_pylist() for key, body in landing.objects(1)}
    assert [row["price"] for row in tables["trades"]] == [Decimal(PRICE)]
    assert [(row["bid_price"], row["ask_quantity"]) for row in tables["book_tickers"]] == [(Decimal(PRICE), Decimal(2))]
    assert [row["bids"] for row in tables["depth_diffs"]] == [[{"price": Decimal(PRICE), "quantity": Decimal(1)}]]


def test_fields_that_nobody_knows_change_nothing(sample: Sample) -> None:
    for message in sample.messages:
        more = orjson.loads(orjson.dumps(message))
        inner = more.get("data", more)
        inner["invented"] = {"later": [1, 2.5, None]}
        more["alsoInvented"] = "x"
        assert parse(sample, more) == parse(sample, message)


def test_replies_say_whether_they_accept(sample: Sample) -> None:
    assert parse(sample, sample.accepted) == [Reply(1, "")]
    (refused,) = parse(sample, sample.refused)
    assert isinstance(refused, Reply)
    assert refused.id == 1
    assert refused.error


def test_a_kind_that_nobody_asked_for_is_tolerated(sample: Sample) -> None:
    (message,) = parse(sample, sample.unheard_of)
    assert isinstance(message, Unknown)


def test_what_cannot_be_read_is_refused_and_never_guessed(sample: Sample) -> None:
    venue = venue_named(sample.venue)
    for frame in (b"", b"\x00\xff", b'{"e":', b"7", b'"text"', b"null"):
        with pytest.raises(FrameRefused):
            venue.parse_frame(frame, NOON)
        assert venue.channel_of_frame(frame) == ""
    for message, names in zip(sample.messages, sample.required, strict=True):
        for name in names.split():
            less = orjson.loads(orjson.dumps(message))
            del less.get("data", less.get("k", less))[name]
            with pytest.raises(FrameRefused):
                parse(sample, less)


def test_the_channel_of_a_frame_is_told_without_landing_it(sample: Sample) -> None:
    channel_of = venue_named(sample.venue).channel_of_frame
    named = dict(zip(("depth", "trades", "klines", "ticker", "book_tickers"), sample.messages, strict=True)) | {
        "": sample.accepted
    }
    assert {channel: channel_of(orjson.dumps(message)) for channel, message in named.items()} == {name: name for name in named}


def test_every_stream_says_what_it_delivers(sample: Sample) -> None:
    venue = venue_named(sample.venue)
    names = venue.stream_names({sample.symbol: venue.channels}, {sample.symbol: "1m"})
    keys = {(key.channel, key.symbol.upper(), key.interval) for key in map(venue.key_of_stream, names)}
    assert keys >= {("trades", sample.symbol, ""), ("depth", sample.symbol, ""), ("klines", sample.symbol, "1m")}
    assert {channel for channel, _, _ in keys} == set(venue.channels) - venue.polls.keys(), "the others are polled"


def test_every_symbol_has_klines_of_its_own_interval(sample: Sample) -> None:
    venue = venue_named(sample.venue)
    intervals = dict(zip(("AA", "BB"), venue.intervals, strict=False))
    names = venue.stream_names(dict.fromkeys(intervals, ("klines",)), intervals)
    assert {key.symbol.upper(): key.interval for key in map(venue.key_of_stream, names)} == intervals


def test_subscriptions_name_every_stream_once(sample: Sample) -> None:
    venue = venue_named(sample.venue)
    names = venue.stream_names({f"A{number}": ("trades", "depth") for number in range(150)}, {})
    messages = list(venue.subscribe_messages(names))
    assert [number for number, _ in messages] == list(range(1, len(messages) + 1))
    text = b"".join(message for _, message in messages).decode()
    assert all(name.rpartition(":")[2] in text for name in names)
    assert max(len(message) for _, message in messages) < 4_096


def test_its_intervals_have_a_grid(sample: Sample) -> None:
    venue: Venue = venue_named(sample.venue)
    for interval in venue.intervals:
        grid = StreamKey("klines", sample.symbol, interval).grid
        assert grid.after(grid.floor(NOON)) > NOON
    assert set(venue.floating_intervals) <= set(venue.intervals)
    assert list(venue.snapshot_levels) == sorted(venue.snapshot_levels)

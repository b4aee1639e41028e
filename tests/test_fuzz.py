"""Whatever is read from outside is read or refused by name: seconds here, ten minutes each in `make test-long`.

Notifications, frames and REST answers of both venues, bulk files, Parquet files, keys. What a frame became must also land as an
object that the loader takes.
"""

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from tests.fuzzing import broken_bytes, broken_json, fuzz

from extract_process.spool.row_buffer import RowBuffer
from extract_process.venues import Venue
from extract_process.venues.binance import VENUE as BINANCE
from extract_process.venues.binance import klines as binance_klines
from extract_process.venues.binance import rest as binance
from extract_process.venues.binance.archive import parse_archive
from extract_process.venues.binance.futures.coinm import VENUE as COINM
from extract_process.venues.binance.futures.rest import parse_open_interest
from extract_process.venues.kucoin import VENUE as KUCOIN
from extract_process.venues.kucoin import rest as kucoin
from extract_process.venues.parsing import FrameRefused
from load_process.notifications import MOST_KEY_BYTES, NotificationRefused, parse_notification
from load_process.selection import span_of
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, KLINES, TRADES, dataset_of_key
from tickhouse_core.errors import ObjectRefused, VenueError
from tickhouse_core.lake_keys import hourly_key, klines_month_key, object_key, parse_object_key
from tickhouse_core.parquet_check import is_as_we_write, read_checked

MINUTES = [pytest.param(0, id="a_few_seconds"), pytest.param(10, id="ten_minutes", marks=pytest.mark.long)]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("minutes", MINUTES)]

NOW = 1_786_190_400_000_000
MS = NOW // 1_000
_S3 = {
    "bucket": {"name": "crypto"},
    "object": {"key": "data_sources/trades/venue%3Dbinance/a+b.parquet", "eTag": "0123", "size": 12},
}
_STRAIGHT = {"Records": [{"eventName": "ObjectCreated:Put", "s3": _S3}, {"eventName": "ObjectRemoved:Delete", "s3": _S3}]}
_BRIDGE = {"detail-type": "Object Created", "source": "aws.s3", "detail": _S3}
NOTIFICATIONS = [
    *(_STRAIGHT, _BRIDGE, {"Event": "s3:TestEvent"}, {"Type": "SubscriptionConfirmation", "Token": "t"}),
    *({"Type": "Notification", "Message": orjson.dumps(event).decode()} for event in (_STRAIGHT, _BRIDGE)),
]
_KLINE = {
    "t": MS,
    "T": MS + 59_999,
    "s": "BNBBTC",
    "i": "1m",
    "f": 100,
    "L": 200,
    "o": "1",
    "c": "4",
    "h": "5",
    "l": "0.5",
    "v": "1000",
    "n": 100,
    "x": True,
    "q": "10",
    "V": "500",
    "Q": "0.5",
    "B": "123456",
}
BINANCE_FRAMES = [
    {
        "stream": "bnbbtc@depth",
        "data": {"e": "depthUpdate", "E": MS, "s": "BNBBTC", "U": 157, "u": 160, "b": [["0.0024", "10.0"]], "a": []},
    },
    {"e": "trade", "E": MS, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": MS - 1, "m": True, "M": True},
    [{"e": "24hrMiniTicker", "E": MS, "s": "BNBBTC", "c": "4", "o": "1", "h": "5", "l": "0.5", "v": "10000", "q": "18"}],
    {"e": "kline", "E": MS, "s": "BNBBTC", "k": _KLINE},
    *(
        {"result": None, "id": 1},
        {"error": {"code": 2, "msg": "x"}, "id": 1},
        {"code": 2, "msg": "x"},
        {"e": "serverShutdown", "E": MS},
    ),
]
_ORDER = {"s": "BTCUSD_PERP", "ps": "BTCUSD", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "1", "p": "9425.5", "ap": "9496.5"}
_MARK_PRICE = {"e": "markPriceUpdate", "E": MS, "s": "BTCUSD_PERP", "p": "10934.6", "P": "10962.1", "i": "10933.6"}
FUTURES_FRAMES = [
    {"e": "depthUpdate", "E": MS, "T": MS, "s": "BTCUSD_PERP", "U": 157, "u": 160, "pu": 149, "b": [["24", "10"]], "a": []},
    {"e": "trade", "E": MS, "T": MS, "s": "BTCUSD_PERP", "t": 12345, "p": "24", "q": "1", "X": "MARKET", "m": True},
    {"stream": "btcusd_perp@markPrice@1s", "data": {**_MARK_PRICE, "r": "-0.00038167", "T": MS}},
    {**_MARK_PRICE, "s": "BTCUSD_201225", "r": "", "T": 0},
    {"e": "forceOrder", "E": MS, "o": {**_ORDER, "X": "FILLED", "l": "1", "z": "1", "T": MS}},
]
_LEVEL2 = {"changes": {"bids": [["1.5", "2", "7"]], "asks": [["0", "0", "8"]]}, "sequenceStart": 5, "sequenceEnd": 9, "time": MS}
_MATCH = {"symbol": "A-B", "side": "sell", "type": "match", "makerOrderId": "m", "sequence": "77", "size": "1", "price": "2"}
_TICKER = {"price": "2", "bestBid": "1", "bestBidSize": "5", "bestAsk": "3", "bestAskSize": "4", "time": MS}
KUCOIN_FRAMES = [
    {"type": "message", "topic": "/market/level2:A-B", "subject": "trade.l2update", "data": {**_LEVEL2, "symbol": "A-B"}},
    {"type": "message", "topic": "/market/match:A-B", "subject": "trade.l3match", "data": {**_MATCH, "time": str(NOW * 1_000)}},
    {"type": "message", "topic": "/market/ticker:A-B", "subject": "trade.ticker", "data": _TICKER},
    {"type": "message", "topic": "/market/ticker:all", "subject": "A-B", "data": _TICKER},
    {
        "type": "message",
        "topic": "/market/candles:A-B_1min",
        "subject": "trade.candles.update",
        "data": {"symbol": "A-B", "candles": [str(MS // 1_000), "1", "4", "5", "0.5", "10", "20"], "time": NOW * 1_000},
    },
    *({"id": "1", "type": "welcome"}, {"id": "1", "type": "ack"}, {"id": "1", "type": "error", "code": 404, "data": "no"}),
]
_ROW = [MS, "1", "5", "0.5", "4", "10", MS + 59_999, "40", 7, "5", "20", "0"]
_LIMITS = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}]
ANSWERS: dict[str, tuple[list[object], list[Callable[[bytes], object]]]] = {
    "binance": (
        [
            *(
                {"serverTime": MS},
                {"code": -1121, "msg": "Invalid symbol."},
                [_ROW, [MS + 60_000, *_ROW[1:6], MS + 119_999, *_ROW[7:]]],
            ),
            {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}], "rateLimits": _LIMITS},
            {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": [["0.0026", "100"]]},
            {"openInterest": "10659.509", "symbol": "BTCUSDT", "time": MS},
            [{"id": 28457, "price": "4.1", "qty": "12", "quoteQty": "48", "time": MS, "isBuyerMaker": True, "isBestMatch": True}],
        ],
        [
            *(binance.parse_server_time, binance.parse_exchange_info, binance.parse_error),
            lambda body: binance_klines.parse_klines(body, symbol="BTCUSDT", interval="1m", receipt_time=NOW),
            lambda body: binance.parse_depth(body, symbol="BTCUSDT", reason="start"),
            lambda body: binance.parse_trades(body, symbol="BTCUSDT"),
            lambda body: parse_open_interest(body, "BTCUSDT"),
        ],
    ),
    "kucoin": (
        [
            *({"code": "200000", "data": MS}, {"code": "400100", "msg": "no"}),
            {"code": "200000", "data": [{"symbol": "A-B", "enableTrading": True}]},
            {"code": "200000", "data": {"sequence": "9", "time": MS, "bids": [["1", "2"]], "asks": [["3", "4"]]}},
            {"code": "200000", "data": [{"sequence": "7", "price": "1", "size": "2", "side": "sell", "time": NOW * 1_000}]},
            {
                "code": "200000",
                "data": [[str(MS // 1_000 + 60 - 60 * row), "1", "4", "5", "0.5", "10", "20"] for row in range(2)],
            },
            {
                "code": "200000",
                "data": {
                    "token": "t",
                    "instanceServers": [{"endpoint": "wss://a/", "pingInterval": 18000, "pingTimeout": 10000}],
                },
            },
        ],
        [
            *(kucoin.parse_server_time, kucoin.parse_symbols, kucoin.parse_error, kucoin.parse_token),
            lambda body: kucoin.parse_klines(body, symbol="A-B", interval="1m", receipt_time=NOW),
            lambda body: kucoin.parse_depth(body, symbol="A-B", reason="start"),
            lambda body: kucoin.parse_trades(body, symbol="A-B"),
        ],
    ),
}


def test_a_notification_is_read_or_refused(minutes: float) -> None:
    def check(body: bytes) -> None:
        with suppress(NotificationRefused):
            for created in parse_notification(body.decode("utf-8", "surrogateescape")):
                assert len(created.key.encode(errors="replace")) <= MOST_KEY_BYTES
                assert isinstance(created.bucket, str)
                assert created.size >= 0
                dataset_of_key(created.key)

    fuzz(broken_json([orjson.dumps(body) for body in NOTIFICATIONS]), check, minutes=minutes)


FRAMES: list[tuple[Venue, list[object]]] = [(BINANCE, BINANCE_FRAMES), (KUCOIN, KUCOIN_FRAMES), (COINM, FUTURES_FRAMES)]


@pytest.mark.parametrize(("venue", "frames"), FRAMES, ids=[venue.name for venue, _ in FRAMES])
def test_a_frame_is_refused_or_becomes_objects_that_the_loader_takes(venue: Venue, frames: list[object], minutes: float) -> None:
    def check(frame: bytes) -> None:
        venue.channel_of_frame(frame)
        try:
            messages = venue.parse_frame(frame, NOW)
        except FrameRefused:
            return
        symbols = frozenset(str(getattr(message, "symbol", "")) for message in messages)
        landing = RowBuffer(venue, "fuzz", symbols)
        landing.add_messages(messages, NOW)
        for key, body in landing.objects(1):
            dataset = dataset_of_key(key)
            assert dataset is not None, key
            read_checked(body, dataset, key)

    fuzz(broken_json([orjson.dumps(frame) for frame in frames]), check, minutes=minutes)


@pytest.mark.parametrize("venue", ANSWERS)
def test_a_rest_answer_is_read_or_refused(venue: str, minutes: float) -> None:
    samples, parsers = ANSWERS[venue]

    def check(body: bytes) -> None:
        for parse in parsers:
            with suppress(VenueError):
                parse(body)

    fuzz(broken_json([orjson.dumps(sample) for sample in samples]), check, minutes=minutes)


def zipped(text: str, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as files:
        files.writestr("BTCUSDT-1m-2024-01.csv", text)
    return sink.getvalue()


def test_a_bulk_file_is_read_or_refused(minutes: float) -> None:
    lines = "".join(f"{MS + 60_000 * row},1,5,0.5,4,10,{MS + 60_000 * row + 59_999},40,7,5,20,0\n" for row in range(3))
    samples = [
        zipped(lines),
        zipped(lines, zipfile.ZIP_STORED),
        zipped(f"\ufeff{','.join(binance_klines.KLINE_COLUMNS)}\n{lines}"),
    ]

    def check(body: bytes) -> None:
        with suppress(VenueError):
            assert parse_archive(body, "x.zip", symbol="BTCUSDT", interval="1m", most_rows=5).num_rows <= 5

    fuzz(broken_bytes(samples), check, minutes=minutes)


MOST_BYTES = 16 * 1024**2


def rows_of(dataset: object) -> pa.Table:
    """Two plausible rows of a dataset."""
    schema = dataset.schema  # type: ignore[attr-defined]
    columns = [pa.array([_value(field.type)] * 2, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _value(kind: pa.DataType) -> object:
    if pa.types.is_decimal(kind):
        return Decimal("1.5")
    if pa.types.is_timestamp(kind):
        return datetime(2024, 1, 1, tzinfo=UTC)
    if pa.types.is_list(kind):
        return [{"price": Decimal("1.5"), "quantity": Decimal(2)}]
    if pa.types.is_boolean(kind):
        return True
    return 7 if pa.types.is_integer(kind) else "BTCUSDT"


def parquet_of(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("dataset", [KLINES, TRADES, DEPTH_DIFFS], ids=lambda dataset: dataset.name)
def test_a_parquet_file_is_read_or_refused(dataset: object, minutes: float) -> None:
    """Without checksums and compressed in several ways: what is wrong then arrives at the decoder."""
    rows = rows_of(dataset)
    kinds: list[dict[str, object]] = [{"compression": "zstd", "write_page_checksum": True}, {"compression": "none"}]
    samples = [parquet_of(rows, **kind) for kind in (*kinds, {"compression": "snappy", "use_dictionary": False})]
    before = pa.default_memory_pool().max_memory()

    def check(body: bytes) -> None:
        with suppress(ObjectRefused):
            assert read_checked(body, dataset, most_bytes=MOST_BYTES).nbytes <= MOST_BYTES  # type: ignore[arg-type]
            is_as_we_write(pq.ParquetFile(io.BytesIO(body)), dataset)  # type: ignore[arg-type]

    fuzz(broken_bytes(samples), check, minutes=minutes)
    grown = pa.default_memory_pool().max_memory() - before
    assert grown < 8 * MOST_BYTES, f"{grown:,} bytes at once"


def test_any_text_is_a_key_of_the_grammar_or_none(minutes: float) -> None:
    known = [klines_month_key("binance", "币安/USDT", "1m", "2024-01"), hourly_key(TRADES, "kucoin", NOW, "main", 3)]
    part = st.one_of(
        st.sampled_from(["data_sources", "venue=", "a=b", "", "..", "%2F", "date=2024-01-01", "=", "quarantine"]),
        st.text(max_size=9),
    )
    texts = st.one_of(
        st.lists(part, max_size=7).map("/".join),
        broken_bytes([key.encode() for key in known]).map(lambda key: key.decode(errors="surrogateescape")),
    )

    def check(key: str) -> None:
        parsed, dataset = parse_object_key(key), dataset_of_key(key)
        span_of(key)
        if parsed is not None and dataset is not None:
            again = parse_object_key(object_key(dataset, parsed.partitions, parsed.file_name))
            assert again is not None
            assert (again.partitions, again.file_name) == (parsed.partitions, parsed.file_name)

    fuzz(texts, check, minutes=minutes)


def test_every_dataset_has_rows_to_break(minutes: float) -> None:
    """The samples are sound: else the tests above look at nothing but the first refusal."""
    for dataset in DATASETS if not minutes else ():
        assert read_checked(parquet_of(rows_of(dataset)), dataset).num_rows == 2
    for venue, frames in FRAMES:
        assert all(isinstance(venue.parse_frame(orjson.dumps(frame), NOW), list) for frame in frames)

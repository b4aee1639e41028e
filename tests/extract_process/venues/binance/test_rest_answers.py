import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.venues.binance.klines import KLINE_COLUMNS, klines_table, parse_klines
from extract_process.venues.binance.rest import ExchangeInfo, parse_error, parse_exchange_info, parse_server_time, parse_trades
from extract_process.venues.binance.ws import INTERVALS
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.timestamps import MINUTE_US, parse_instant

OPEN_MS = 1_704_067_200_000
RECEIVED = 1_704_067_400_000_000
KLINE = [
    *(OPEN_MS, "42283.58000000", "42298.62000000", "42261.02000000", "42298.61000000", "35.92724000"),
    *(OPEN_MS + 59_999, "1519032.17423080", 1327, "23.18766000", "980394.59280420", "0"),
]
PRICES = st.decimals(0, 10**19, places=18, allow_nan=False).map(lambda value: format(value, "f"))


def parse(rows: Any) -> pa.Table:
    return parse_klines(json.dumps(rows).encode(), symbol="BTCUSDT", interval="1m", receipt_time=RECEIVED)


def minutes(count: int) -> list[list[Any]]:
    return [[OPEN_MS + n * 60_000, *KLINE[1:6], OPEN_MS + n * 60_000 + 59_999, *KLINE[7:]] for n in range(count)]


def test_the_twelve_places_of_a_kline_have_our_names() -> None:
    (row,) = parse([KLINE]).cast(plain_schema()).to_pylist()
    assert row == {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "interval": "1m",
        "open_time": 1_704_067_200_000_000,
        "close_time": 1_704_067_259_999_000,
        "open": Decimal("42283.58"),
        "high": Decimal("42298.62"),
        "low": Decimal("42261.02"),
        "close": Decimal("42298.61"),
        "volume": Decimal("35.92724"),
        "quote_volume": Decimal("1519032.1742308"),
        "trade_count": 1327,
        "taker_buy_volume": Decimal("23.18766"),
        "taker_buy_quote_volume": Decimal("980394.5928042"),
        "is_closed": True,
        "source": "rest",
        "receipt_time": 1_704_067_400_000_000,
    }


def plain_schema() -> pa.Schema:
    """Instants as the integers they are."""
    return pa.schema(
        [pa.field(field.name, pa.int64() if pa.types.is_timestamp(field.type) else field.type) for field in KLINES.schema]
    )


def test_rows_have_exactly_the_schema_of_the_dataset() -> None:
    assert parse(minutes(3)).schema.equals(KLINES.schema, check_metadata=True)
    assert parse([]).schema.equals(KLINES.schema, check_metadata=True)


def test_no_klines_are_no_rows() -> None:
    assert parse([]).num_rows == 0


@given(st.lists(PRICES, min_size=8, max_size=8))
def test_the_text_of_the_venue_is_the_stored_decimal(texts: list[str]) -> None:
    texts[1:3] = sorted(texts[1:3], key=Decimal, reverse=True)  # high, low
    row = [OPEN_MS, *texts[:5], OPEN_MS + 59_999, texts[5], 1, *texts[6:], "0"]
    table = parse([row])
    names = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]
    assert [table[name][0].as_py() for name in names] == [Decimal(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    ["0.00000001", "92233720368.54775807", "99999999999999999999.999999999999999999", "0.000000000000000001", "0", "1e-8"],
)
def test_the_smallest_and_the_largest_values_are_exact(text: str) -> None:
    assert parse([[OPEN_MS, text, *KLINE[2:]]])["open"].to_pylist() == [Decimal(text)]


@pytest.mark.parametrize(("unit", "end"), [(1, 59_999), (1_000, 59_999_999)])
def test_a_kline_is_the_same_row_in_milliseconds_and_in_microseconds(unit: int, end: int) -> None:
    table = parse([[OPEN_MS * unit, *KLINE[1:6], OPEN_MS * unit + end, *KLINE[7:]]])
    assert table["open_time"][0].value == 1_704_067_200_000_000
    assert table["close_time"][0].value == 1_704_067_259_999_000


@given(st.integers(parse_instant("2017-01-01"), parse_instant("2099-12-31")))
def test_an_open_time_in_microseconds_keeps_every_one_of_them(open_us: int) -> None:
    table = parse([[open_us, *KLINE[1:6], open_us + MINUTE_US - 1, *KLINE[7:]]])
    assert table["open_time"][0].value == open_us
    assert table["close_time"][0].value == (open_us + MINUTE_US - 1) // 1_000 * 1_000


@pytest.mark.parametrize("opened", [0, -(2**62), 60_000, 1_230_940_799_999, 4_102_444_800_000, OPEN_MS * 1_000_000, 2**62])
def test_a_kline_or_trade_of_a_time_that_no_market_can_have_is_refused(opened: int) -> None:
    with pytest.raises(VenueUnavailable, match="that a market can have"):
        parse([[opened, *KLINE[1:6], OPEN_MS + 59_999, *KLINE[7:]]])
    with pytest.raises(VenueUnavailable, match="that a market can have"):
        parse([[OPEN_MS, *KLINE[1:6], opened, *KLINE[7:]]])
    trade = {"id": 7, "price": "1", "qty": "2", "time": opened, "isBuyerMaker": True}
    with pytest.raises(VenueUnavailable, match="is no time"):
        parse_trades(json.dumps([trade]).encode(), symbol="BTCUSDT")


def test_lists_and_arrow_columns_give_the_same_table() -> None:
    rows = minutes(3)
    lists = dict(zip(KLINE_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    arrays = {name: pa.chunked_array([pa.array(values)]) for name, values in lists.items()}
    constants = {"symbol": "BTCUSDT", "interval": "1m", "source": "rest", "receipt_time": RECEIVED}
    expected = parse(rows)
    assert klines_table(lists, **constants).equals(expected)  # type: ignore[arg-type]
    assert klines_table(arrays, **constants).equals(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"1",
        b'"text"',
        b"[1, 2]",
        b"[[]]",
        b"[[1704067200000]]",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b"<html><body>Too many requests</body></html>",
        b"\xff\xfe",
        json.dumps([KLINE[:-1]]).encode(),
        json.dumps([[*KLINE, 1]]).encode(),
        json.dumps([KLINE, KLINE[:-1]]).encode(),
        json.dumps([KLINE, KLINE]).encode(),
        json.dumps(minutes(2)[::-1]).encode(),
    ],
)
def test_an_answer_of_another_shape_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(VenueUnavailable):
        parse_klines(body, symbol="BTCUSDT", interval="1m", receipt_time=RECEIVED)


@given(st.data())
def test_an_answer_cut_anywhere_is_asked_for_again(data: st.DataObject) -> None:
    body = json.dumps(minutes(2)).encode()
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(VenueUnavailable):
        parse_klines(cut, symbol="BTCUSDT", interval="1m", receipt_time=RECEIVED)


@given(st.binary(max_size=60))
def test_garbage_is_the_venues_passing_trouble(body: bytes) -> None:
    if not body.strip().startswith(b"["):
        with pytest.raises(VenueUnavailable):
            parse_klines(body, symbol="BTCUSDT", interval="1m", receipt_time=RECEIVED)
    for read in (parse_server_time, parse_exchange_info):
        with pytest.raises(VenueUnavailable):
            read(body)


def test_the_servers_time_is_in_microseconds() -> None:
    assert parse_server_time(b'{"serverTime":1499827319559}') == 1_499_827_319_559_000


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"serverTime":null}', b'{"serverTime":"noon"}', b'{"serverTime":14998'])
def test_a_time_without_a_number_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(VenueUnavailable):
        parse_server_time(body)


def exchange_info(limits: list[dict[str, object]]) -> bytes:
    symbols = [{"symbol": "BTCUSDT", "status": "TRADING"}, {"symbol": "币安人生USDT", "status": "CANCEL_ONLY", "filters": []}]
    return json.dumps({"timezone": "UTC", "rateLimits": limits, "symbols": symbols}).encode()


WEIGHT_LIMIT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
OTHER_LIMITS = [
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "DAY", "intervalNum": 1, "limit": 1},
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 5, "limit": 2},
]


def test_exchange_info_gives_statuses_and_the_weight_a_minute() -> None:
    info = parse_exchange_info(exchange_info([*OTHER_LIMITS, WEIGHT_LIMIT]))
    assert info == ExchangeInfo({"BTCUSDT": "TRADING", "币安人生USDT": "CANCEL_ONLY"}, 6_000)


def test_exchange_info_may_have_no_limits_at_all() -> None:
    assert parse_exchange_info(b'{"symbols":[{"symbol":"BTCUSDT","status":"BREAK"}]}') == ExchangeInfo({"BTCUSDT": "BREAK"}, None)


def test_exchange_info_without_the_weight_limit_is_not_believed() -> None:
    with pytest.raises(VenueUnavailable):
        parse_exchange_info(exchange_info(OTHER_LIMITS))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code":-1121,"msg":"Invalid symbol."}', (-1121, "Invalid symbol.")),
        (b'{"code":"-1003","msg":5}', (-1003, "5")),
        (b"<html>403 Forbidden</html>", (0, "<html>403 Forbidden</html>")),
        (b"", (0, "")),
        (b"[]", (0, "[]")),
        (b'{"code":1}', (0, '{"code":1}')),
        (b"x" * 300, (0, "x" * 200)),
        (b"\xff", (0, "�")),
    ],
)
def test_an_error_body_is_code_and_text_whatever_it_is(body: bytes, error: tuple[int, str]) -> None:
    assert parse_error(body) == error


def test_the_intervals_are_the_venues_in_its_spelling() -> None:
    assert (
        *("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h"),
        *("1d", "3d", "1w", "1M"),
    ) == INTERVALS

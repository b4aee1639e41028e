import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse_core.datasets import KLINES, STREAM_EVENTS
from tickhouse_core.lake_keys import ObjectKey, hourly_key, klines_month_key, klines_prefix, object_key, parse_object_key

TEXT = st.text(st.characters(codec="utf-8"))
NAMES = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)


def test_a_month_of_klines_has_one_key() -> None:
    key = klines_month_key("binance", "BTCUSDT", "1m", "2024-01")
    assert key == "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/2024-01.parquet"


def test_the_prefix_of_a_series_ends_where_the_month_begins() -> None:
    assert klines_prefix("binance", "BTCUSDT", "1m") == "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/"


def test_one_minute_and_one_month_do_not_share_a_prefix() -> None:
    assert not klines_month_key("binance", "BTCUSDT", "1M", "2024-01").startswith(klines_prefix("binance", "BTCUSDT", "1m"))


@pytest.mark.parametrize(
    ("first_receipt_us", "key"),
    [
        (1_704_067_200_000_000, "venue=binance/date=2024-01-01/hour=00/1704067200000000-worker-1-7.parquet"),
        (1_704_067_199_999_999, "venue=binance/date=2023-12-31/hour=23/1704067199999999-worker-1-7.parquet"),
    ],
)
def test_a_micro_batch_lies_in_the_hour_of_its_first_receipt(first_receipt_us: int, key: str) -> None:
    assert hourly_key(STREAM_EVENTS, "binance", first_receipt_us, "worker-1", 7) == f"data_sources/stream_events/{key}"


def test_an_instance_name_cannot_add_a_folder() -> None:
    key = hourly_key(STREAM_EVENTS, "binance", 0, "a/b c", 1)
    assert key == "data_sources/stream_events/venue=binance/date=1970-01-01/hour=00/0-a%2Fb%20c-1.parquet"


@pytest.mark.parametrize(
    ("symbol", "escaped"),
    [
        ("BTC-USDT", "BTC-USDT"),
        ("币安人生USDT", "币安人生USDT"),
        ("1000000MOGUSDT", "1000000MOGUSDT"),
        ("a=b", "a%3Db"),
        ("50%", "50%25"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("a+b", "a+b"),
        ("what?", "what%3F"),
        ("[x]^{y", "%5Bx%5D%5E%7By"),
        ("x\x7f\n", "x%7F%0A"),
    ],
)
def test_only_what_hive_escapes_is_escaped(symbol: str, escaped: str) -> None:
    key = object_key(KLINES, {"symbol": symbol}, "x.parquet")
    assert key == f"data_sources/klines_pricing/symbol={escaped}/x.parquet"
    assert parse_object_key(key) == ObjectKey("klines_pricing", {"symbol": symbol}, "x.parquet")


@given(st.dictionaries(NAMES, TEXT, max_size=4), st.from_regex(r"[0-9a-z.-]{1,20}", fullmatch=True))
def test_a_key_taken_apart_gives_what_it_was_made_of(partitions: dict[str, str], file_name: str) -> None:
    parsed = parse_object_key(object_key(KLINES, partitions, file_name))
    assert parsed == ObjectKey("klines_pricing", partitions, file_name)
    assert list(parsed.partitions) == list(partitions)


@given(TEXT, TEXT)
def test_two_symbols_never_share_a_key(one: str, other: str) -> None:
    keys = {klines_month_key("binance", symbol, "1m", "2024-01") for symbol in (one, other)}
    assert len(keys) == len({one, other})


@given(TEXT)
def test_parsing_any_text_gives_parts_or_none(text: str) -> None:
    parsed = parse_object_key(text)
    assert parsed is None or text.startswith(f"data_sources/{parsed.folder}/")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "data_sources",
        "data_sources/klines_pricing",
        "data_sources/klines_pricing/",
        "data_sources/klines_pricing/venue=binance/",
        "data_sources/klines_pricing/binance/x.parquet",
        "data_sources//x.parquet",
        "quarantine/data_sources/klines_pricing/x.parquet",
        "/data_sources/klines_pricing/x.parquet",
    ],
)
def test_what_does_not_follow_the_grammar_is_no_key(key: str) -> None:
    assert parse_object_key(key) is None

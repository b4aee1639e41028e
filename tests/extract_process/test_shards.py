"""Shards: every market is in one of them, one more takes its share and moves nothing else, and all processes agree."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from conftest import Lake
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.commands import run_python

from extract_process.feed.interface import FeedOptions
from extract_process.live.inherited import backfilled_ids, inherited_ids
from extract_process.markets import Markets
from extract_process.parquet import parquet_bytes
from extract_process.shards import Shard, shard_named, without_shard
from extract_process.stream_ids import StreamKey
from tickhouse.provision import provision_aws
from tickhouse_core.cells import Cell
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, TICKERS, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.lake_keys import hourly_key, klines_month_key, parse_object_key, stream_klines_key
from tickhouse_core.s3_store import S3Store
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US

NOON = 1_764_417_600_000_000
COINED = [f"COIN{number}USDT" for number in range(2_000)]

symbols = st.text(min_size=1, max_size=20)
counts = st.integers(1, 20)


def owner(venue: str, symbol: str, count: int) -> int:
    (found,) = [number for number in range(1, count + 1) if Shard(number, count).has(venue, symbol)]
    return found


@given(venue=st.sampled_from(["binance", "kucoin"]), symbol=symbols, count=counts)
def test_a_market_stays_where_it_is_or_moves_to_the_new_shard(venue: str, symbol: str, count: int) -> None:
    assert owner(venue, symbol, count + 1) in (owner(venue, symbol, count), count + 1)


@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 12))
def test_a_shard_more_takes_its_share_of_the_markets(count: int) -> None:
    moved = sum(owner("binance", symbol, count) != owner("binance", symbol, count + 1) for symbol in COINED)
    expected = len(COINED) / (count + 1)
    assert abs(moved - expected) < 5 * expected**0.5


def test_the_parts_of_all_shards_are_the_whole_and_alike_in_size() -> None:
    parts = [Shard(number, 4).part_of("binance", COINED) for number in range(1, 5)]
    assert Counter(symbol for part in parts for symbol in part) == Counter(COINED)
    assert all(400 < len(part) < 600 for part in parts)
    assert all(part == sorted(part, key=COINED.index) for part in parts)


def test_another_process_says_the_same_whatever_its_hash_seed_is() -> None:
    code = "from extract_process.shards import Shard; print([Shard(2, 4).has('binance', f'COIN{n}USDT') for n in range(50)])"
    here = str([Shard(2, 4).has("binance", symbol) for symbol in COINED[:50]])
    for seed in ("1", "2"):
        assert run_python("-c", code, environment={"PYTHONHASHSEED": seed}).stdout.strip() == here


def test_known_markets_are_where_every_release_has_them() -> None:
    """A change here would move markets between running recorders."""
    known = {"BTCUSDT": 1, "ETHUSDT": 4, "SOLUSDT": 3, "币安人生USDT": 3}
    assert {symbol: owner("binance", symbol, 4) for symbol in known} == known
    assert owner("kucoin", "BTCUSDT", 4) == 1


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2", "1/1001", " 1/4", "٢/4"])
def test_what_is_no_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="number/count, such as 2/4"):
        shard_named(text, Cell())


def test_a_shard_without_a_market_is_refused() -> None:
    empty = next(Shard(number, 9) for number in range(1, 10) if not Shard(number, 9).has("binance", "BTCUSDT"))
    with pytest.raises(UsageError, match=f"{empty}: none of the 1 symbols of binance is in it"):
        empty.part_of("binance", ["BTCUSDT"])
    assert empty.part_of("binance", []) == []


def test_a_shard_has_a_name_that_stays_when_shards_are_added() -> None:
    assert shard_named(None, Cell()) is None
    assert shard_named("2/4", Cell()) == Shard(2, 4)
    assert {Shard(2, count).instance("main") for count in (4, 5)} == {"main-shard-2"}
    assert [without_shard(name) for name in ("main", "main-shard-2", "a-shard-b")] == ["main", "main", "a-shard-b"]
    assert FeedOptions().sharers == 1
    assert FeedOptions(shard=Shard(2, 4)).sharers == 4


def test_cells_and_the_shards_in_them_share_the_markets_evenly() -> None:
    parts = [Shard(shard, 3, Cell(cell, 4)).part_of("binance", COINED) for cell in range(1, 5) for shard in range(1, 4)]
    assert Counter(symbol for part in parts for symbol in part) == Counter(COINED)
    assert all(110 < len(part) < 225 for part in parts), "a cell's markets are not all in one of its shards"


def test_a_process_of_a_cell_has_its_part_without_a_shard_too() -> None:
    alone = shard_named(None, Cell(2, 4))
    assert alone is not None
    assert 400 < len(alone.part_of("binance", COINED)) < 600
    assert (alone.count, alone.instance("main")) == (1, "main-cell-2")
    both = Shard(3, 9, Cell(2, 4))
    assert (both.instance("main"), str(both)) == ("main-cell-2-shard-3", "--shard 3/9 and TICKHOUSE_CELL=2/4")
    assert {without_shard(name) for name in ("main", "main-cell-2", "main-cell-2-shard-3", "main-shard-3")} == {"main"}


def test_a_market_of_another_cell_continues_from_its_newest_row_in_any_lake(moto_lake: Lake) -> None:
    for bucket, number, at in (("crypto-cell-2", 12, NOON - 5), ("crypto-cell-3", 9, NOON - HOUR_US)):
        provision_aws(bucket)
        lake = Lake(S3Store(bucket))
        put(lake, TRADES, hourly_key(TRADES, "binance", at, "main-cell-2", 1), {"A": number}, at)
    put(moto_lake, TRADES, hourly_key(TRADES, "binance", NOON - 9, "main", 1), {"A": 11}, NOON - 9)
    stores = [moto_lake.store, *(S3Store(f"crypto-cell-{number}") for number in (2, 3, 4))]  # the fourth is not there yet
    found = inherited_ids(stores, "binance", "main-cell-4", [StreamKey("trades", "A")], {}, NOON)
    assert found == {StreamKey("trades", "A"): (12, NOON - 5)}


def test_markets_keep_their_order_channels_and_priorities() -> None:
    markets = Markets({"A": ("trades",), "B": ("depth",), "C": ("klines",)}, {"C": "5m"}, {"A": 1})
    assert markets.only(["C", "A"]) == Markets({"A": ("trades",), "C": ("klines",)}, {"C": "5m"}, {"A": 1})


def put(lake: Lake, dataset: Dataset, key: str, ids: dict[str, int], at: int) -> None:
    """An object with one row of each symbol."""
    said: dict[str, list[Any]] = {"symbol": list(ids), "receipt_time": [at] * len(ids), dataset.id_column: list(ids.values())}
    said |= {"venue": [parsed(key)["venue"]] * len(ids), "interval": ["1m"] * len(ids)}
    columns = [filled(said.get(field.name), field.type, len(ids), at) for field in dataset.schema]
    lake.store.write(key, parquet_bytes(pa.table(columns, schema=dataset.schema), dataset))


def parsed(key: str) -> dict[str, str]:
    found = parse_object_key(key)
    assert found is not None
    return found.partitions


def filled(values: list[Any] | None, type_: pa.DataType, count: int, at: int) -> pa.Array:
    """A column; where nothing is said of it, of any values that it may have."""
    if values is None and pa.types.is_timestamp(type_):
        values = [at] * count
    elif values is None:
        is_text, is_list = pa.types.is_dictionary(type_) or pa.types.is_string(type_), pa.types.is_nested(type_)
        values = ["x" if is_text else [] if is_list else 1] * count
    if pa.types.is_timestamp(type_):
        return pa.array(values, pa.int64()).cast(type_)
    if pa.types.is_boolean(type_):
        return pa.array([bool(value) for value in values])
    return pa.array(values, pa.int64()).cast(type_) if pa.types.is_decimal(type_) else pa.array(values, type_)


def test_a_market_of_another_shard_continues_from_its_newest_row_in_the_lake(moto_lake: Lake) -> None:
    put(moto_lake, TRADES, hourly_key(TRADES, "binance", NOON - 5 * HOUR_US, "main", 1), {"QUIET": 7}, NOON - 5 * HOUR_US)
    put(moto_lake, TRADES, hourly_key(TRADES, "binance", NOON - HOUR_US, "main-shard-2", 1), {"A": 10, "B": 5}, NOON - HOUR_US)
    put(moto_lake, TRADES, hourly_key(TRADES, "binance", NOON - 5, "main-shard-2", 2), {"A": 12}, NOON - 5)
    put(moto_lake, TRADES, hourly_key(TRADES, "binance", NOON - 4, "other-shard-2", 3), {"A": 99}, NOON - 4)
    put(moto_lake, TRADES, hourly_key(TRADES, "kucoin", NOON - 4, "main-shard-2", 3), {"A": 98}, NOON - 4)
    put(moto_lake, DEPTH_DIFFS, hourly_key(DEPTH_DIFFS, "binance", NOON - 5, "main-shard-2", 2), {"A": 1_000}, NOON - 5)
    opened = NOON - 60_000_000
    put(moto_lake, KLINES, stream_klines_key("binance", "A", "1m", NOON - 5, "main-shard-2", 2), {"A": opened}, NOON - 5)
    put(moto_lake, TICKERS, hourly_key(TICKERS, "binance", NOON - 5, "main-shard-2", 2), {"A": NOON - 9}, NOON - 5)

    streams = [StreamKey("trades", symbol) for symbol in ("A", "B", "QUIET", "NEW", "OWN")]
    streams += [StreamKey("depth", "A"), StreamKey("klines", "A", "1m"), StreamKey("ticker", "A")]
    known = {StreamKey("trades", "OWN"): (1, NOON)}
    assert inherited_ids([moto_lake.store], "binance", "main-shard-3", streams, known, NOON) == {
        StreamKey("trades", "A"): (12, NOON - 5),
        StreamKey("trades", "B"): (5, NOON - HOUR_US),
        StreamKey("trades", "QUIET"): (7, NOON - 5 * HOUR_US),
        StreamKey("depth", "A"): (1_000, NOON - 5),
        StreamKey("klines", "A", "1m"): (opened, NOON - 5),
        StreamKey("ticker", "A"): (NOON - 9, NOON - 5),
    }
    assert inherited_ids([moto_lake.store], "binance", "main-shard-3", streams, known, NOON + 12 * HOUR_US) == {}


@pytest.mark.parametrize("cut", [0, 10, 400])
def test_an_object_that_cannot_be_read_keeps_no_shard_from_recording(
    moto_lake: Lake, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    sound, broken = (hourly_key(TRADES, "binance", NOON - age, "main-shard-2", age) for age in (9, 5))
    for key in (sound, broken):
        put(moto_lake, TRADES, key, {"A": 12}, NOON - 9)
    moto_lake.store.write(broken, moto_lake.store.read(broken).body[:cut])
    found = inherited_ids([moto_lake.store], "binance", "main-shard-3", [StreamKey("trades", "A")], {}, NOON)
    assert found == {StreamKey("trades", "A"): (12, NOON - 9)}
    assert "no last ids from an object that cannot be read" in caplog.text


@pytest.mark.usefixtures("moto_lake")
def test_a_lake_that_is_unavailable_keeps_no_shard_from_recording(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert inherited_ids([S3Store("away", brief=True)], "binance", "main-shard-3", [StreamKey("trades", "A")], {}, NOON) == {}
    assert "markets that moved begin without their last ids" in caplog.text


def test_live_klines_go_on_where_a_recent_backfill_ended(moto_lake: Lake) -> None:
    """Not where one ended long ago: nobody asked for the years since."""
    recent, old, today = NOON - 7 * MINUTE_US, NOON - 3 * DAY_US, NOON - 12 * HOUR_US
    for symbol, opened in (("A", recent), ("OLD", old), ("OWN", recent), ("AHEAD", NOON + DAY_US)):
        put(moto_lake, KLINES, klines_month_key("binance", symbol, "1m", "2025-11"), {symbol: opened}, NOON - 5)
    put(moto_lake, KLINES, klines_month_key("binance", "A", "1d", "2025-11"), {"A": today - DAY_US}, NOON - 5)
    moto_lake.store.write(klines_month_key("binance", "BROKEN", "1m", "2025-11"), b"PAR1 no Parquet PAR1")
    streams = [StreamKey("klines", symbol, "1m") for symbol in ("A", "OLD", "OWN", "AHEAD", "BROKEN", "NEW")]
    streams += [StreamKey("klines", "A", "1d"), StreamKey("trades", "A")]
    known = {StreamKey("klines", "OWN", "1m"): (1, NOON)}
    ids = {StreamKey("klines", "A", "1m"): (recent, NOON - 5), StreamKey("klines", "A", "1d"): (today - DAY_US, NOON - 5)}
    assert backfilled_ids(moto_lake.store, "binance", streams, known, NOON) == ids
    new_month = NOON + DAY_US  # the last days of the month before are recent too
    assert backfilled_ids(moto_lake.store, "binance", streams[:1], {}, new_month) == {streams[0]: (recent, NOON - 5)}

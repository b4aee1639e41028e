import pyarrow as pa
import pytest

from extract_process.venues import venue_named, venue_names
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import (
    CHANNELS,
    DATASETS,
    KLINES,
    QUEUES,
    STREAM_EVENTS,
    TRADES,
    Dataset,
    dataset_named,
    dataset_of_key,
)
from tickhouse_core.errors import UsageError

KLINE_COLUMNS = [
    *("venue", "symbol", "interval", "open_time", "close_time"),
    *("open", "high", "low", "close", "volume", "quote_volume", "trade_count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "is_closed", "source", "receipt_time"),
]
EVENT_COLUMNS = [
    *("venue", "symbol", "channel", "instance", "event", "from_update_id", "to_update_id"),
    *("started_at", "ended_at", "cause", "detail"),
]


COLUMNS = {
    "klines": KLINE_COLUMNS,
    "stream_events": EVENT_COLUMNS,
    "trades": [
        *("venue", "symbol", "trade_id", "price", "quantity", "is_buyer_maker", "trade_time", "event_time", "receipt_time")
    ],
    "depth_diffs": [*("venue", "symbol", "first_update_id", "last_update_id", "bids", "asks", "event_time", "receipt_time")],
    "depth_snapshots": ["venue", "symbol", "last_update_id", "bids", "asks", "reason", "receipt_time"],
    "tickers": [
        *("venue", "symbol", "event_time", "receipt_time", "open", "high", "low", "close", "volume", "quote_volume"),
        *("best_bid_price", "best_bid_quantity", "best_ask_price", "best_ask_quantity"),
    ],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_contract_in_its_order(name: str) -> None:
    assert dataset_named(name).schema.names == COLUMNS[name]


@pytest.mark.parametrize("name", ["depth_diffs", "depth_snapshots"])
def test_levels_are_lists_of_exact_pairs(name: str) -> None:
    for side in ("bids", "asks"):
        level = dataset_named(name).schema.field(side).type.value_type
        assert [(field.name, field.type, field.nullable) for field in level] == [
            ("price", pa.decimal128(38, 18), False),
            ("quantity", pa.decimal128(38, 18), False),
        ]


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_no_dataset_has_a_float_or_an_instant_without_a_zone(dataset: Dataset) -> None:
    types = {field.type for field in dataset.schema}
    assert not any(pa.types.is_floating(type_) for type_ in types)
    assert {type_ for type_ in types if pa.types.is_timestamp(type_)} == {pa.timestamp("us", tz="UTC")}


def test_prices_and_quantities_are_exact_decimals() -> None:
    exact = [field.name for field in KLINES.schema if field.type == pa.decimal128(38, 18)]
    assert exact == [
        *("open", "high", "low", "close", "volume"),
        *("quote_volume", "taker_buy_volume", "taker_buy_quote_volume"),
    ]


def test_folders_tables_queues_and_notification_ids_are_those_of_the_contract() -> None:
    assert [(known.prefix, known.bronze_table, known.queue, known.notification_id) for known in DATASETS] == [
        ("data_sources/klines_pricing/", "bronze_klines", "klines-notifications", "klines-parquet-notification"),
        ("data_sources/trades/", "bronze_trades", "trades-notifications", "trades-parquet-notification"),
        ("data_sources/agg_trades/", "bronze_agg_trades", "trades-notifications", "agg-trades-parquet-notification"),
        ("data_sources/depth_diffs/", "bronze_depth_diffs", "depth-notifications", "depth-diffs-parquet-notification"),
        (
            "data_sources/depth_snapshots/",
            "bronze_depth_snapshots",
            "depth-notifications",
            "depth-snapshots-parquet-notification",
        ),
        ("data_sources/tickers/", "bronze_tickers", "tickers-notifications", "tickers-parquet-notification"),
        ("data_sources/book_tickers/", "bronze_book_tickers", "tickers-notifications", "book-tickers-parquet-notification"),
        ("data_sources/mark_prices/", "bronze_mark_prices", "tickers-notifications", "mark-prices-parquet-notification"),
        ("data_sources/funding_rates/", "bronze_funding_rates", "tickers-notifications", "funding-rates-parquet-notification"),
        ("data_sources/open_interest/", "bronze_open_interest", "tickers-notifications", "open-interest-parquet-notification"),
        ("data_sources/liquidations/", "bronze_liquidations", "tickers-notifications", "liquidations-parquet-notification"),
        ("data_sources/stream_events/", "bronze_stream_events", "ops-notifications", "stream-events-parquet-notification"),
        ("data_sources/heartbeats/", "bronze_heartbeats", "ops-notifications", "heartbeats-parquet-notification"),
    ]
    assert sorted(QUEUES) == [
        *("depth-notifications", "klines-notifications", "ops-notifications"),
        *("tickers-notifications", "trades-notifications"),
    ]


def test_a_dataset_is_found_by_its_name() -> None:
    assert dataset_named("klines") is KLINES
    assert dataset_named("stream_events") is STREAM_EVENTS


def test_an_unknown_dataset_is_bad_usage_that_lists_the_names() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'candles': choose from klines, trades, "):
        dataset_named("candles")


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("data_sources/klines_pricing/venue=binance/x.parquet", KLINES),
        ("data_sources/stream_events/venue=binance/x.parquet", STREAM_EVENTS),
        ("data_sources/klines_pricing_old/venue=binance/x.parquet", None),
        ("quarantine/data_sources/klines_pricing/x.parquet", None),
        ("", None),
    ],
)
def test_a_key_belongs_to_the_dataset_whose_folder_it_is_in(key: str, dataset: object) -> None:
    assert dataset_of_key(key) is dataset


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_a_dataset_names_columns_of_its_own(dataset: Dataset) -> None:
    assert set(dataset.natural_key) <= set(dataset.schema.names)
    id_field, time_field = dataset.schema.field(dataset.id_column), dataset.schema.field(dataset.time_column)
    assert (id_field.nullable, time_field.nullable, time_field.type) == (False, False, INSTANT)
    assert pa.types.is_integer(id_field.type) or id_field.type == INSTANT


def test_a_channel_of_a_venue_is_that_of_a_dataset() -> None:
    for name in venue_names():
        assert set(venue_named(name).channels) - set(CHANNELS) == set()


def test_trades_count_up_where_the_venue_does_not_say_that_they_jump() -> None:
    counted = {name for name in venue_names() if "trades" not in venue_named(name).sparse_channels}
    assert counted == TRADES.counted_at

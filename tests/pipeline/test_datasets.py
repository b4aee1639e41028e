import pyarrow as pa
import pytest

from pipeline.datasets import DATASETS, KLINES, QUEUES, STREAM_EVENTS, Dataset, dataset_named, dataset_of_key
from pipeline.errors import UsageError

KLINE_COLUMNS = [
    *("venue", "symbol", "interval", "open_time", "close_time"),
    *("open", "high", "low", "close", "volume", "quote_volume", "trade_count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "is_closed", "source", "receipt_time"),
]
EVENT_COLUMNS = [
    *("venue", "symbol", "channel", "instance", "event", "from_update_id", "to_update_id"),
    *("started_at", "ended_at", "cause", "detail"),
]


def test_columns_are_those_of_the_contract_in_its_order() -> None:
    assert KLINES.schema.names == KLINE_COLUMNS
    assert STREAM_EVENTS.schema.names == EVENT_COLUMNS


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
        ("data_sources/stream_events/", "bronze_stream_events", "ops-notifications", "stream-events-parquet-notification"),
    ]
    assert QUEUES == ("klines-notifications", "ops-notifications")


def test_a_dataset_is_found_by_its_name() -> None:
    assert dataset_named("klines") is KLINES
    assert dataset_named("stream_events") is STREAM_EVENTS


def test_an_unknown_dataset_is_bad_usage_that_lists_the_names() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'candles': choose from klines, stream_events"):
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

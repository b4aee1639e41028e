from dataclasses import FrozenInstanceError, asdict, fields

import pytest

from extract_process.records import StreamEvent
from tickhouse_core.datasets import STREAM_EVENTS

EVENT = StreamEvent("binance", "BTCUSDT", "klines", "backfill", "gap", 1, 2, 1, 3, "venue_has_no_data", "x")


def test_an_event_has_the_columns_of_its_dataset_in_their_order() -> None:
    assert [field.name for field in fields(StreamEvent)] == STREAM_EVENTS.schema.names
    assert list(asdict(EVENT)) == STREAM_EVENTS.schema.names


def test_what_happened_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        EVENT.cause = "other"  # type: ignore[misc]

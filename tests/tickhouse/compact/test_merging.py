"""Which of several rows with one key stays."""

import random
from dataclasses import replace

import pyarrow as pa
import pytest
from tests.transform_process.warehouse_rows import stream_event, trades

from load_process.value_checksum import value_checksum
from tickhouse.compact.merging import merged
from tickhouse_core.datasets import STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.parquet_columns import plain as plain_type

OTHER_KEY = replace(TRADES, natural_key=("venue", "symbol", "trade_id", "price"))
"""As a channel may have it whose ids are not unique."""


def as_merged(table: pa.Table) -> pa.Table:
    """Names are plain text by then."""
    return table.cast(pa.schema([field.with_type(plain_type(field.type)) for field in table.schema]))


@pytest.mark.parametrize("dataset", [TRADES, OTHER_KEY], ids=["by id", "by more than the id"])
@pytest.mark.parametrize("seed", range(5))
def test_the_first_received_of_each_key_stays_in_order_and_no_value_is_lost(dataset: Dataset, seed: int) -> None:
    chance = random.Random(seed)
    ids = [chance.randrange(20) for _ in range(100)]
    prices = [chance.choice(["1", "2"]) for _ in ids]
    late = [trades([one], prices=[price], latency_us=chance.randrange(1, 5)) for one, price in zip(ids, prices, strict=True)]
    table = pa.concat_tables(late).unify_dictionaries()
    plain = as_merged(table)
    found = merged(dataset, plain)

    wanted: dict[tuple[object, ...], dict[str, object]] = {}
    for row in plain.to_pylist():
        key = tuple(row[name] for name in dataset.natural_key)
        if key not in wanted or row["receipt_time"] < wanted[key]["receipt_time"]:
            wanted[key] = row
    assert found.rows.to_pylist() == [wanted[key] for key in sorted(wanted, key=lambda key: key[2:])]
    assert found.rows.num_rows + found.doubles.num_rows == 100
    assert (value_checksum(found.rows) + value_checksum(found.doubles)) % 2**64 == value_checksum(plain)


def test_of_events_the_last_in_the_table_stays_and_nulls_are_a_value() -> None:
    def gap(first: int | None, cause: str) -> pa.Table:
        return stream_event("gap", "trades", first, None, started_us=1_723_161_600_000_000, cause=cause)

    table = as_merged(
        pa.concat_tables([gap(1, "a"), gap(None, "b"), gap(1, "c"), gap(None, "d"), gap(2, "e")]).unify_dictionaries()
    )
    found = merged(STREAM_EVENTS, table)
    assert found.rows.column("cause").to_pylist() == ["c", "d", "e"]
    assert sorted(found.doubles.column("cause").to_pylist()) == ["a", "b"]


def test_events_stay_in_the_order_in_which_they_were_told() -> None:
    """Of two files of one day the last one counts, and a gap before it was healed."""
    parts = [
        stream_event("backfilled", "trades", 100, 299, started_us=1_723_161_600_000_000),
        stream_event("gap", "trades", 5, 6, started_us=1_723_161_600_000_000),
        stream_event("backfilled", "trades", 100, 249, started_us=1_723_161_600_000_000),
    ]
    found = merged(STREAM_EVENTS, as_merged(pa.concat_tables(parts).unify_dictionaries()))
    assert found.rows.column("to_update_id").to_pylist() == [299, 6, 249]

"""What an export says of its quantities: amounts of the base asset, or contracts and their worth."""

import itertools
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from tests.commands import run_here
from tests.transform_process.warehouse_rows import Row, stream_event, table_of, trades, us

from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.object_store import ObjectStore

DAY = us("2024-08-09")
SECOND, HOUR = 1_000_000, 3_600_000_000
_sequences = itertools.count(1)


def write(store: ObjectStore, dataset: Dataset, venue: str, at: int, table: pa.Table) -> None:
    field = table.schema.field("venue")
    table = table.set_column(table.schema.get_field_index("venue"), field, pa.array([venue] * len(table), field.type))
    store.write(hourly_key(dataset, venue, at, "a", next(_sequences)), parquet_bytes(table, dataset))


def contract(symbol: str, size: str, at: int) -> pa.Table:
    row: Row = {"venue": "", "symbol": [symbol], "channel": "", "instance": "a", "event": "contract", "cause": "", "detail": size}
    row |= {"from_update_id": [None], "to_update_id": [None], "started_at": [at], "ended_at": [None]}
    return table_of(STREAM_EVENTS, row)


@pytest.mark.parametrize(
    ("venue", "symbol", "expected"),
    [
        ("binance-coinm", "BTCUSD_PERP", {"unit": "contract", "contract_size": "100"}),
        ("binance-coinm", "ETHUSD_PERP", {"unit": "contract", "contract_size": None}),
        ("binance-usdm", "BTCUSDT", {"unit": "base asset"}),
        ("another", "BTCUSDT", {"unit": "base asset"}),
    ],
)
def test_the_certificate_says_what_a_quantity_is(tmp_path: Path, venue: str, symbol: str, expected: dict[str, Any]) -> None:
    """The capture started days before the range; the latest word counts."""
    store = FolderStore(tmp_path / "data" / "lake")
    for days, size in ((9, "10"), (6, "100")):
        at = DAY - days * 24 * HOUR
        write(store, STREAM_EVENTS, "binance-coinm", at, contract("BTCUSD_PERP", size, at))
    write(store, STREAM_EVENTS, venue, DAY, stream_event("started", "", None, None, started_us=DAY))
    write(store, TRADES, venue, DAY, trades([1, 2], times_us=[DAY, DAY + SECOND], symbol=symbol))
    where = ("--data", str(tmp_path / "data"), "--venue", venue, "--symbol", symbol, "--out", str(tmp_path / "out"))
    done = run_here(
        "tickhouse.cli", "export", "parquet", *where, "--channel", "trades", "--from", "2024-08-09", "--to", "2024-08-09T00:00:02"
    )
    assert done.returncode == 0, done.stderr
    certificate = orjson.loads((tmp_path / "out" / "certificate.json").read_bytes())
    assert certificate["symbols"][symbol]["quantity"] == expected

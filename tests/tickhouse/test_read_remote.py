"""Large objects of a bucket: which of their bytes are requested, and that Arrow's threads have nothing of Python's to free.

Such a thread may outlast the answer. An interpreter that ends meanwhile aborts: seen in a tenth of the runs of a short script.
"""

import random
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.transform_process.warehouse_rows import trades, us

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import TRADES
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.object_store import ObjectSummary, StoredObject
from tickhouse_core.reading import object_rows
from tickhouse_core.reading.source import LakeSource

DAY = us("2024-08-09")
GROUP_ROWS, GROUPS = 10_000, 5
ROWS = GROUP_ROWS * GROUPS
STEP_US = 20_000
_FOOTER_BYTES = 16_384


class _Body(bytearray):
    """Bytes of which it can be seen that nobody has them any more."""


class _Remote(FolderStore):
    """As a bucket: nothing may be opened as a file."""

    is_local = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ranges: list[tuple[int, int]] = []
        self.strangers: list[str] = []
        self.bodies: list[weakref.ref[_Body]] = []

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        found = super().read(key, most_bytes=most_bytes)
        body = _Body(found.body)
        self.bodies.append(weakref.ref(body))
        return StoredObject(key, found.etag, body)  # type: ignore[arg-type]

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        if isinstance(threading.current_thread(), threading._DummyThread):
            self.strangers.append(threading.current_thread().name)
        self.ranges.append((start, end))
        return super().read_range(summary, start, end)


@pytest.fixture
def remote(tmp_path: Path) -> _Remote:
    """One object of five row groups, by our writer; prices differ, or their columns would be of no size."""
    store, chance = _Remote(tmp_path / "lake"), random.Random(1)
    prices = [str(chance.randrange(10**12)) for _ in range(ROWS)]
    times = [DAY + STEP_US * number for number in range(ROWS)]
    table = trades(range(ROWS), times_us=times, prices=prices)
    store.write(hourly_key(TRADES, "binance", DAY, "a", 1), parquet_bytes(table, TRADES, group_rows=GROUP_ROWS))
    return store


def _ids(store: FolderStore, first: int, last: int) -> list[int]:
    found = th.Lake(LakeSource(store)).trades("BTCUSDT", DAY + STEP_US * first, DAY + STEP_US * last)
    return list(found.arrow().column("trade_id").to_pylist())


@pytest.mark.parametrize(
    ("first", "last", "share"), [(25_000, 25_200, 0.25), (19_900, 20_100, 0.45), (0, ROWS, 1.0), (90_000, 90_001, 0)]
)
def test_of_a_large_object_only_the_row_groups_that_may_have_rows_are_requested_and_by_no_thread_of_arrow(
    remote: _Remote, monkeypatch: pytest.MonkeyPatch, first: int, last: int, share: float
) -> None:
    monkeypatch.setattr(object_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(object_rows, "WHOLE_BYTES", 0)
    (summary,) = remote.list_keys(TRADES.prefix)

    assert _ids(remote, first, last) == list(range(first, min(last, ROWS)))

    assert not remote.strangers
    assert not remote.bodies
    assert sum(end - start for start, end in remote.ranges) <= share * summary.size + _FOOTER_BYTES


def test_what_a_scan_of_a_bucket_reads_is_in_memory_of_arrow(remote: _Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    left = list[bool]()

    def dataset(*arguments: Any) -> ds.FileSystemDataset:
        left.extend(body() is None for body in remote.bodies)
        return ds.FileSystemDataset(*arguments)

    monkeypatch.setattr(object_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(object_rows, "ds", SimpleNamespace(field=ds.field, FileSystemDataset=dataset))

    assert _ids(remote, 0, ROWS) == list(range(ROWS))

    assert left == [True]


def test_a_large_object_whose_pages_are_outside_of_it_is_left_out_and_named(
    remote: _Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another tool, without our sums, and cut in the middle."""
    monkeypatch.setattr(object_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(object_rows, "WHOLE_BYTES", 0)
    key = hourly_key(TRADES, "binance", DAY + 1, "b", 1)
    whole = pa.BufferOutputStream()
    pq.write_table(trades(range(ROWS, ROWS + GROUP_ROWS)), whole)
    body = whole.getvalue().to_pybytes()
    remote.write(key, body[:1_000] + body[-6_000:])

    rows = th.Lake(LakeSource(remote)).trades("BTCUSDT", DAY, DAY + STEP_US)

    assert rows.arrow().column("trade_id").to_pylist() == [0]
    assert [said.partition(": ")[0] for said in rows.unreadable] == [key]

"""Where a process gets its lake and its queues, and that a data folder's writes are messages like S3's."""

from __future__ import annotations

from pathlib import Path

import pytest

from load_process.notifications import ObjectCreated, parse_notification
from tickhouse_core.datasets import DATASETS
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.settings import SpoolSettings, WarehouseSettings, read


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TICKHOUSE_DATA", str(tmp_path))
    monkeypatch.setenv("S3_BUCKET", "mine")
    return tmp_path


def test_a_data_folder_is_lake_warehouse_and_spool(data: Path) -> None:
    lake = open_lake()
    lake.write("quarantine/x", b"x")
    assert isinstance(lake, FolderStore)
    assert (data / "lake" / "quarantine" / "x").read_bytes() == b"x"
    assert (read(WarehouseSettings).path, read(SpoolSettings).folder) == (data / "warehouse", data / "spool")


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_an_object_that_is_written_is_a_message_of_its_dataset_s_queue(dataset: object, data: Path) -> None:
    key = f"{dataset.prefix}venue=binance/symbol=币安 +%/x.parquet"  # type: ignore[attr-defined]
    etag = open_lake().write(key, b"rows")
    queue = open_queue(dataset.queue)  # type: ignore[attr-defined]
    [message] = queue.receive(most=10, wait_seconds=0, visibility_seconds=30)
    assert parse_notification(message.body) == [ObjectCreated("mine", key, etag, 4)]


def test_what_is_no_dataset_s_object_is_no_message(data: Path) -> None:
    lake = open_lake()
    for key in ("quarantine/data_sources/trades/x.parquet", f"{DATASETS[0].prefix}x.json"):
        lake.write(key, b"x")
    assert not (data / "queue").exists()

"""Where a process gets its lake and its queues, and that a data folder's writes are messages like S3's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.commands import run_python

from load_process.notifications import parse_notification
from load_process.objects import LoadRequest
from tickhouse_core.aws import s3_client
from tickhouse_core.copied_store import CopiedStore
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.settings import SpoolSettings, WarehouseSettings, read

if TYPE_CHECKING:
    from conftest import Lake


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
    assert parse_notification(message.body) == [LoadRequest("mine", key, etag, 4)]


def test_what_is_no_dataset_s_object_is_no_message(data: Path) -> None:
    lake = open_lake()
    for key in ("quarantine/data_sources/trades/x.parquet", f"{DATASETS[0].prefix}x.json"):
        lake.write(key, b"x")
    assert not (data / "queue").exists()


class ForgetfulCopy(FolderStore):
    """While it writes, the lake is started anew."""

    def __init__(self, folder: Path, lake: Lake) -> None:
        super().__init__(folder)
        self._lake = lake

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        s3_client().delete_object(Bucket=self._lake.store.bucket, Key=key)
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


def test_what_the_lake_forgot_before_it_was_copied_is_written_again(moto_lake: Lake, tmp_path: Path) -> None:
    store = CopiedStore(moto_lake.store.bucket, ForgetfulCopy(tmp_path, moto_lake))
    with pytest.raises(LakeUnavailable, match="forgot it while it was copied"):
        store.write("a/b", b"x")
    assert CopiedStore(moto_lake.store.bucket, FolderStore(tmp_path)).write("a/b", b"x")


@pytest.mark.slow  # another process
def test_a_backfill_into_a_data_folder_imports_nothing_of_s3(tmp_path: Path) -> None:
    program = "import sys, extract_process.backfill.runner, extract_process.klines, tickhouse_core.lake; "
    program += "tickhouse_core.lake.open_lake().write('data_sources/trades/a.parquet', b'x'); print(*sys.modules)"
    imported = set(run_python("-c", program, environment={"TICKHOUSE_DATA": str(tmp_path)}).stdout.split())
    assert (tmp_path / "queue" / "trades-notifications").is_dir()
    assert {"pyarrow", "httpx"} <= imported
    assert not imported & {"botocore", "boto3", "obstore", "urllib3", "yaml"}

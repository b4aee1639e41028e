"""A lake that forgets, in moto: what the keeper brings back, copies and lets go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.waiting import wait_until

from tickhouse.localstack_restore import LakeKeeper, run_keeper
from tickhouse.provision import provision_aws
from tickhouse_core.aws import s3_client
from tickhouse_core.errors import TickhouseError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store

if TYPE_CHECKING:
    from conftest import Lake

KLINES = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/2024-01.parquet"
TRADES = "data_sources/trades/venue=binance/date=2024-01-01/hour=00/1-main-000001.parquet"
REFUSED = "quarantine/data_sources/trades/x.parquet"


@pytest.fixture
def copy(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "copy")


@pytest.fixture
def store(moto_lake: Lake) -> ObjectStore:
    return S3Store(moto_lake.store.bucket)


def eventually(is_so: Callable[[], bool], what: str = "what comes next") -> None:
    """`wait_until`; what fails while there is no bucket counts as no."""

    def holds() -> bool:
        with suppress(TickhouseError):
            return is_so()
        return False

    wait_until(holds, what)


def keeper_of(store: ObjectStore, copy: FolderStore, *, stopping: bool = False) -> LakeKeeper:
    return LakeKeeper(store.bucket, copy, lambda: stopping)


def forget(store: ObjectStore, moto_url: str) -> None:
    """What a restart of LocalStack does."""
    httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
    provision_aws(store.bucket)


def content(store: ObjectStore) -> dict[str, bytes]:
    return {summary.key: store.read(summary.key).body for summary in store.list_keys("")}


def test_a_bucket_that_forgot_has_everything_again_with_the_same_etags(
    store: ObjectStore, copy: FolderStore, moto_url: str
) -> None:
    etags = {}
    for key, body in {KLINES: b"klines", TRADES: b"trades", REFUSED: b"refused"}.items():
        etags[key] = store.write(key, body)
        copy.write(key, body)
    forget(store, moto_url)
    keeper = keeper_of(store, copy)
    assert not keeper.is_whole()
    assert keeper.restore(lambda: None) == 3
    assert keeper.is_whole()
    assert {summary.key: summary.etag for summary in store.list_keys("")} == etags


def test_what_comes_back_notifies_its_queue_so_that_what_was_not_loaded_is(
    store: ObjectStore, copy: FolderStore, moto_url: str
) -> None:
    copy.write(TRADES, b"trades")
    forget(store, moto_url)
    keeper_of(store, copy).restore(lambda: None)
    (test_event, created) = SqsQueue("trades-notifications").receive(most=10, wait_seconds=0, visibility_seconds=1)
    assert ("TestEvent" in test_event.body, "1-main-000001.parquet" in created.body) == (True, True)


def test_what_was_put_before_the_bucket_had_its_notifications_notifies_its_queue(
    store: ObjectStore, copy: FolderStore, moto_url: str
) -> None:
    """A capture goes on uploading as soon as there is a bucket."""
    httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
    s3_client().create_bucket(Bucket=store.bucket)
    etag = store.write(TRADES, b"trades")
    copy.write(TRADES, b"trades")
    provision_aws(store.bucket)
    assert keeper_of(store, copy).restore(lambda: None) == 0
    (_, created) = SqsQueue("trades-notifications").receive(most=10, wait_seconds=0, visibility_seconds=1)
    assert ("1-main-000001.parquet" in created.body, etag in created.body) == (True, True)


def test_a_huge_object_of_somebody_is_not_read_into_memory(store: ObjectStore, copy: FolderStore) -> None:
    """It has bytes for two limits; the sweep of a loader finds it."""
    huge = "data_sources/trades/venue=binance/date=2024-01-01/hour=00/huge.parquet"
    store.write(huge, bytes(128 * 1024**2))
    store.write(TRADES, b"trades")
    SqsQueue("trades-notifications").receive(most=10, wait_seconds=0, visibility_seconds=3600)
    assert keeper_of(store, copy).restore(lambda: None) == 0
    (created,) = SqsQueue("trades-notifications").receive(most=10, wait_seconds=0, visibility_seconds=1)
    assert "1-main-000001.parquet" in created.body


def test_klines_are_back_before_readiness_is_said_and_the_rest_after(store: ObjectStore, copy: FolderStore) -> None:
    copy.write(TRADES, b"trades")
    copy.write(KLINES, b"klines")
    seen: list[list[str]] = []
    keeper_of(store, copy).restore(lambda: seen.append(list(content(store))))
    assert seen == [[KLINES]]


def test_what_was_written_meanwhile_is_younger_than_its_copy_and_stays(store: ObjectStore, copy: FolderStore) -> None:
    copy.write(KLINES, b"old")
    store.write(KLINES, b"new")
    assert keeper_of(store, copy).restore(lambda: None) == 0
    assert content(store) == {KLINES: b"new"}


def test_a_restore_that_was_stopped_does_not_call_the_bucket_whole(store: ObjectStore, copy: FolderStore) -> None:
    copy.write(KLINES, b"klines")
    said: list[bool] = []
    assert keeper_of(store, copy, stopping=True).restore(lambda: said.append(True)) == 0
    assert (said, keeper_of(store, copy).is_whole()) == ([], False)


def test_other_tags_of_the_bucket_stay(store: ObjectStore, copy: FolderStore) -> None:
    theirs = {"Key": "owner", "Value": "somebody"}
    s3_client().put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": [theirs]})  # type: ignore[list-item]
    keeper_of(store, copy).restore(lambda: None)
    assert theirs in s3_client().get_bucket_tagging(Bucket=store.bucket)["TagSet"]


def test_uploads_and_overwrites_by_others_are_copied(store: ObjectStore, copy: FolderStore) -> None:
    keeper = keeper_of(store, copy)
    store.write(TRADES, b"one")
    keeper.compare()
    assert copy.read(TRADES).body == b"one"
    store.write(TRADES, b"two")
    keeper.compare()
    assert copy.read(TRADES).body == b"two"


def test_an_object_that_was_deleted_on_purpose_does_not_come_back(store: ObjectStore, copy: FolderStore) -> None:
    keeper = keeper_of(store, copy)
    keeper.restore(lambda: None)
    store.write(TRADES, b"trades")
    keeper.compare()
    s3_client().delete_object(Bucket=store.bucket, Key=TRADES)
    keeper.compare()
    assert copy.etag_if_any(TRADES) is None


def test_a_bucket_that_vanished_deletes_nothing(store: ObjectStore, copy: FolderStore, moto_url: str) -> None:
    keeper = keeper_of(store, copy)
    keeper.restore(lambda: None)
    store.write(TRADES, b"trades")
    keeper.compare()
    forget(store, moto_url)
    keeper.compare()
    assert copy.read(TRADES).body == b"trades"


def test_a_copy_that_our_own_process_wrote_just_now_is_no_deletion(store: ObjectStore, copy: FolderStore) -> None:
    keeper = keeper_of(store, copy)
    keeper.restore(lambda: None)
    copy.write(TRADES, b"uploaded after the bucket was listed")
    keeper.compare()
    assert copy.etag_if_any(TRADES) is not None


@pytest.mark.slow
def test_the_command_restores_again_and_again_and_says_when_all_is_well(
    moto_lake: Lake, moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_COPY_DIR", str(tmp_path / "copy"))
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)
    FolderStore(tmp_path / "copy").write(TRADES, b"trades")
    store, ready, stop = S3Store(moto_lake.store.bucket), tmp_path / "ready", StopRequest()
    looks = threading.Thread(target=run_keeper, args=(stop, ready))
    looks.start()
    try:
        for _ in range(2):
            eventually(lambda: ready.exists() and content(store) == {TRADES: b"trades"})
            httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
            ready.unlink()
        eventually(lambda: ready.exists() and content(store) == {TRADES: b"trades"})
    finally:
        stop.set()
        looks.join(20)
    assert not looks.is_alive()

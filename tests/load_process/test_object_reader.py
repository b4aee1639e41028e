from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.load_process.conftest import (
    FOLDER,
    KEY,
    beyond_precision,
    counts,
    errors,
    klines,
    land,
    ledger,
    load_objects,
    parquet,
    requested,
    statuses,
)

from load_process.ledger import LOADED, Ledger, LedgerEntry
from load_process.limits import LoadLimits
from load_process.object_reader import ObjectReader
from load_process.objects import LoadRequest, LoadStatus, ObjectVersion
from load_process.refusals import UnreadObjects
from load_process.value_checksum import value_checksum
from tickhouse_core.datasets import DATASETS, KLINES
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.object_store import StoredObject
from tickhouse_core.s3_store import S3Store
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def reader(moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor) -> ObjectReader:
    return ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(), threads)


def version_of(created: LoadRequest) -> ObjectVersion:
    return created.version


def replaced(name: str, array: pa.Array) -> bytes:
    table = klines(0, 1)
    return parquet(table.set_column(table.schema.names.index(name), name, array))


def test_a_sound_object_is_read_with_its_checksum_and_its_deliveries(reader: ObjectReader, moto_lake: Lake) -> None:
    created = land(moto_lake, parquet(klines(0, 1)))
    reading = reader.read([replace(created, attempts=3)])
    (item,) = reading.objects
    assert (item.version, item.dataset, item.attempts) == (version_of(created), KLINES, 3)
    assert isinstance(item.table, pa.Table)
    assert item.table.equals(klines(0, 1))
    assert item.checksum == value_checksum(klines(0, 1))
    assert (statuses(reading), requested(reading)) == ({}, {item.version: [item.version]})


def test_objects_come_in_the_order_in_which_they_are_requested(reader: ObjectReader, moto_lake: Lake) -> None:
    created = [land(moto_lake, parquet(klines(number)), f"{FOLDER}/{number}.parquet") for number in (3, 1, 2, 0)]
    assert [item.version for item in reader.read(created).objects] == [*map(version_of, created)]


def test_what_the_ledger_says_is_done_is_not_read(reader: ObjectReader, moto_lake: Lake, warehouse: Warehouse) -> None:
    gone = LoadRequest(moto_lake.store.bucket, KEY, "abc")
    Ledger(warehouse).record([LedgerEntry(*version_of(gone), "klines", 1, 1, LOADED, 1)])
    assert statuses(reader.read([replace(gone, attempts=2)])) == {version_of(gone): LoadStatus.DONE}
    assert errors(warehouse) == []


def test_what_is_requested_again_is_read_although_it_is_done(reader: ObjectReader, moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines(0)))
    load_objects(moto_lake, warehouse, created)
    asked_by = [created, LoadRequest(created.bucket, created.key, "")]
    for item in asked_by:
        assert [read.version for read in reader.read([replace(item, again=True)]).objects] == [version_of(created)]
        assert statuses(reader.read([item])) == {version_of(item): LoadStatus.DONE}


def test_an_object_named_by_several_etags_is_read_as_one(reader: ObjectReader, moto_lake: Lake) -> None:
    old, new = (land(moto_lake, parquet(klines(*hours))) for hours in ([0], [0, 1]))
    unnamed = LoadRequest(new.bucket, new.key, "")
    reading = reader.read([old, new, unnamed])
    assert [item.version for item in reading.objects] == [version_of(new)]
    assert requested(reading) == {version_of(new): [version_of(old), version_of(new), version_of(unnamed)]}


def test_a_late_notification_of_an_old_version_loads_what_the_key_holds_now(moto_lake: Lake, warehouse: Warehouse) -> None:
    old = land(moto_lake, parquet(klines(0)))
    new = land(moto_lake, parquet(klines(0, 1)))
    assert load_objects(moto_lake, warehouse, old) == [LoadStatus.DONE]
    assert load_objects(moto_lake, warehouse, new) == [LoadStatus.DONE]
    assert load_objects(moto_lake, warehouse, old, attempts=2) == [LoadStatus.DONE]
    assert counts(warehouse) == (2, 2, 2)
    assert ledger(warehouse) == [(KEY, new.etag, 2, "loaded", 1)]


POISON: dict[str, tuple[bytes, str]] = {
    "text": (b"hello, I am a text file", "not_parquet"),
    "empty": (b"", "not_parquet"),
    "cut": (parquet(klines(*range(24)))[:-100], "not_parquet"),
    "missing": (parquet(klines(0).drop_columns(["close"])), "missing_column"),
    "wrong": (parquet(klines(0).set_column(5, "open", klines(0)["open"].cast("string"))), "wrong_type"),
    "nan": (replaced("close", pa.array([float("nan"), 1.5])), "wrong_type"),
    "overflow": (replaced("close", beyond_precision(2)), "wrong_value"),
    "null": (replaced("trade_count", pa.array([3, None], pa.int64())), "null_value"),
    "version": (parquet(klines(0).replace_schema_metadata({"tickhouse.schema_version": "2"})), "unknown_schema_version"),
}


def test_objects_that_can_never_be_loaded_are_quarantined_once_and_spoil_no_other(moto_lake: Lake, warehouse: Warehouse) -> None:
    poison = [land(moto_lake, body, f"{FOLDER}/{name}.parquet") for name, (body, _) in POISON.items()]
    sound = [land(moto_lake, parquet(klines(hour)), f"{FOLDER}/a b+c 币安 %3D {hour}.parquet") for hour in range(3)]
    for attempts in (1, 2):
        found = load_objects(moto_lake, warehouse, *poison, *sound, attempts=attempts)
        assert found == [LoadStatus.DONE] * (len(POISON) + 3)
    assert counts(warehouse) == (3, 3, 3)
    assert errors(warehouse) == [(reason, "quarantined", 1) for _, reason in POISON.values()]
    entries = ledger(warehouse)
    assert len(entries) == len(POISON) + 3
    assert entries[:-3] == [(item.key, item.etag, 0, "quarantined", 1) for item in poison]
    assert sorted(entries[-3:], key=str) == [(item.key, item.etag, 1, "loaded", 1) for item in sound]
    for item, (body, reason) in zip(poison, POISON.values(), strict=True):
        assert moto_lake.store.read(f"quarantine/{item.key}").body == body
        assert json.loads(moto_lake.store.read(f"quarantine/{item.key}.reason.json").body)["reason"] == reason


def test_a_refused_version_is_judged_once_whatever_etag_asks_for_it(moto_lake: Lake, warehouse: Warehouse) -> None:
    old, new = (land(moto_lake, body) for body in (b"broken", b"broken too"))
    unnamed = LoadRequest(new.bucket, new.key, "")
    for _ in range(2):
        assert load_objects(moto_lake, warehouse, old, new, unnamed) == [LoadStatus.DONE] * 3
    assert errors(warehouse) == [("not_parquet", "quarantined", 1)]
    assert ledger(warehouse) == [(KEY, new.etag, 0, "quarantined", 1)]


def test_a_repaired_object_under_the_same_key_is_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_objects(moto_lake, warehouse, land(moto_lake, b"broken"))
    load_objects(moto_lake, warehouse, land(moto_lake, parquet(klines(0, 1))))
    assert counts(warehouse) == (2, 2, 2)
    assert [row[3] for row in ledger(warehouse)] == ["quarantined", "loaded"]


def test_an_object_that_is_too_large_is_not_read_and_only_its_reason_is_kept(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    large, small = land(moto_lake, bytes(10_001)), land(moto_lake, parquet(klines(1)), f"{FOLDER}/small.parquet")
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(object_bytes=10_000), threads)
    reading = reader.read([large, small])
    assert ([item.version for item in reading.objects], statuses(reading)) == (
        [version_of(small)],
        {version_of(large): LoadStatus.DONE},
    )
    assert (errors(warehouse), ledger(warehouse)) == (
        [("too_large", "quarantined", 1)],
        [(KEY, large.etag, 0, "quarantined", 1)],
    )
    assert [summary.key for summary in moto_lake.store.list_keys("quarantine/")] == [f"quarantine/{KEY}.reason.json"]
    detail = json.loads(moto_lake.store.read(f"quarantine/{KEY}.reason.json").body)["detail"]
    assert detail == f"s3://{moto_lake.store.bucket}/{KEY} has 10,001 bytes, 10,000 are allowed"


def test_an_object_that_is_too_large_in_memory_is_kept_beside_its_reason(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    body = parquet(klines(*[0] * 50_000))
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(decoded_bytes=100_000), threads)
    created = land(moto_lake, body)
    assert statuses(reader.read([created])) == {version_of(created): LoadStatus.DONE}
    assert errors(warehouse) == [("too_large", "quarantined", 1)]
    assert moto_lake.store.read(f"quarantine/{KEY}").body == body


def test_the_size_a_notification_claims_is_not_believed(moto_lake: Lake, warehouse: Warehouse) -> None:
    stored = land(moto_lake, parquet(klines(0, 1)))
    assert load_objects(moto_lake, warehouse, LoadRequest(*version_of(stored), size=2 * 1024**3)) == [LoadStatus.DONE]
    assert counts(warehouse) == (2, 2, 2)


def test_an_object_that_is_gone_is_dropped_and_noted(moto_lake: Lake, warehouse: Warehouse) -> None:
    assert load_objects(moto_lake, warehouse, LoadRequest(moto_lake.store.bucket, KEY, "abc"), attempts=4) == [LoadStatus.DONE]
    assert errors(warehouse) == [("object_missing", "dropped", 4)]
    assert ledger(warehouse) == []


def test_what_is_no_dataset_of_the_bucket_is_dropped_and_noted(moto_lake: Lake, warehouse: Warehouse) -> None:
    keys = ["elsewhere/x.parquet", "data_sources/unknown/x.parquet", "quarantine/data_sources/klines_pricing/x", ""]
    foreign = [LoadRequest(moto_lake.store.bucket, key, "abc") for key in keys] + [LoadRequest("somebody-elses", KEY, "abc")]
    sound = land(moto_lake, parquet(klines(0)))
    assert load_objects(moto_lake, warehouse, *foreign, sound) == [LoadStatus.DONE] * 6
    assert errors(warehouse) == [("unknown_prefix", "dropped", 1)] * 5
    assert (counts(warehouse), ledger(warehouse)) == ((1, 1, 1), [(KEY, sound.etag, 1, "loaded", 1)])


def test_a_file_without_rows_is_done_with_no_row(moto_lake: Lake, warehouse: Warehouse) -> None:
    created = land(moto_lake, parquet(klines()))
    assert load_objects(moto_lake, warehouse, created) == [LoadStatus.DONE]
    assert (counts(warehouse), ledger(warehouse)) == ((0, 0, 0), [(KEY, created.etag, 0, "loaded", 1)])


class PatchyStore(S3Store):
    """Does not answer for some keys."""

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        if "/away" in key:
            raise LakeUnavailable("S3 answered 503")
        return super().read(key, most_bytes=most_bytes)

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if key.startswith("quarantine/"):
            raise LakeUnavailable("S3 answered 503")
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


def test_passing_trouble_of_the_lake_is_for_later_and_of_one_object_alone(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    away, sound, bad = (
        land(moto_lake, body, f"{FOLDER}/{name}.parquet")
        for name, body in [("away", parquet(klines(0))), ("sound", parquet(klines(1))), ("bad", b"broken")]
    )
    store = PatchyStore(moto_lake.store.bucket)
    reading = ObjectReader(store, Ledger(warehouse), LoadLimits(), threads).read([away, sound, bad])
    assert statuses(reading) == dict.fromkeys([version_of(away), version_of(bad)], LoadStatus.RETRY)
    assert [item.version for item in reading.objects] == [version_of(sound)]
    assert (ledger(warehouse), errors(warehouse)) == ([], [])  # not judged before the copy is safe


def test_trouble_with_an_object_is_said_once_and_noted_when_it_is_given_up(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    away, bad = (land(moto_lake, b"broken", f"{FOLDER}/{name}.parquet") for name in ("away", "bad"))
    unread = UnreadObjects()
    store, requests = PatchyStore(moto_lake.store.bucket), [replace(away, attempts=2), replace(bad, attempts=2)]
    first, second = (ObjectReader(store, Ledger(warehouse), LoadLimits(), threads, unread=unread) for _ in range(2))
    for reader in (first, second, first):
        assert statuses(reader.read(requests)) == dict.fromkeys(map(version_of, (away, bad)), LoadStatus.RETRY)
    assert [record.getMessage() for record in caplog.records] == [
        "not read, another try follows",
        "not quarantined, another try follows",
    ]
    caplog.clear()
    for reader in (second, first):
        assert statuses(reader.read(requests, gives_up=True)) == dict.fromkeys(map(version_of, (away, bad)), LoadStatus.REFUSED)
    assert [record.getMessage() for record in caplog.records] == ["not read, left for another try"] * 2
    assert errors(warehouse) == [("lake_unavailable", "retried", 2)] * 4
    assert unread.keys() == [away.key, bad.key]
    sound = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(), threads, unread=unread)
    assert [*statuses(sound.read(requests)).values()] == [LoadStatus.DONE] * 2
    assert unread.keys() == []


class AwayStore(PatchyStore):
    """Does not answer at all."""

    def check_access(self) -> None:
        raise LakeUnavailable("S3 answered 503")


def test_a_lake_that_is_away_altogether_is_no_trouble_of_an_object(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """Given back, its message would spend a delivery on what is not its fault."""
    away = land(moto_lake, parquet(klines(0)), f"{FOLDER}/away.parquet")
    reader = ObjectReader(AwayStore(moto_lake.store.bucket), Ledger(warehouse), LoadLimits(), threads)
    for gives_up in (False, True):
        with pytest.raises(LakeUnavailable, match="503"):
            reader.read([away], gives_up=gives_up)
    assert (errors(warehouse), caplog.records) == ([], [])


def test_exactly_the_version_that_is_asked_for_is_read_or_none(
    reader: ObjectReader, moto_lake: Lake, warehouse: Warehouse
) -> None:
    old = version_of(land(moto_lake, parquet(klines(0))))
    new = version_of(land(moto_lake, parquet(klines(0, 1))))
    found = reader.read_version(new, reader.room())
    assert found is not None
    assert (found.version, found.table.num_rows) == (new, 2)
    assert reader.read_version(old, reader.room()) is None
    assert reader.read_version(version_of(land(moto_lake, b"broken")), reader.room()) is None
    assert reader.read_version(new._replace(key="elsewhere/x.parquet"), reader.room()) is None
    assert reader.read_version(new._replace(bucket="somebody-elses"), reader.room()) is None
    assert (ledger(warehouse), errors(warehouse)) == ([], [])


def test_a_version_that_is_asked_for_and_gone_is_none(reader: ObjectReader, moto_lake: Lake) -> None:
    assert reader.read_version(ObjectVersion(moto_lake.store.bucket, KEY, "abc"), reader.room()) is None


def test_every_dataset_can_be_read_in_one_window(reader: ObjectReader, moto_lake: Lake) -> None:
    created = [
        land(moto_lake, parquet(dataset.schema.empty_table()), f"{dataset.prefix}venue=binance/x.parquet") for dataset in DATASETS
    ]
    assert [item.dataset for item in reader.read(created).objects] == list(DATASETS)

"""What S3 refuses: one object costs only itself, refused keys are waited out, and neither ends the loader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

import pytest
from tests.load_process.conftest import FOLDER, errors, klines, land, ledger, parquet, requested, statuses
from tests.load_process.refusing_s3 import RefusingS3
from tests.waiting import patience, wait_until

from load_process.__main__ import run_loader
from load_process.ledger import Ledger
from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions
from load_process.object_reader import MOST_SILENT, ObjectReader
from load_process.objects import LoadRequest, LoadStatus, ObjectVersion
from tickhouse.provision import provision_aws
from tickhouse_core.aws import sqs_client
from tickhouse_core.errors import AccessRefused, LakeRefused, TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.object_store import StoredObject
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

QUEUE = "klines-notifications"
REFUSED = {
    "403_AccessDenied": "access_refused",
    "403_ExpiredToken": "access_refused",
    "400_AccessDeniedException": "access_refused",
    "404_NoSuchBucket": "bucket_missing",
    "301_PermanentRedirect": "lake_refused",
    "400_KeyTooLongError": "lake_refused",
    "412_PreconditionFailed": "lake_refused",
}


@pytest.fixture
def front(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[RefusingS3]:
    with RefusingS3(moto_lake.environment["AWS_ENDPOINT_URL"]).running() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        yield s3


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_an_object_that_s3_refuses_costs_only_itself(
    front: RefusingS3, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    refused = [land(moto_lake, parquet(klines(0)), f"{FOLDER}/{name}.parquet") for name in REFUSED]
    sound = land(moto_lake, parquet(klines(1)))
    reader = ObjectReader(S3Store(moto_lake.store.bucket), Ledger(warehouse), LoadLimits(), threads)
    reading = reader.read([replace(item, attempts=3) for item in (*refused, sound)])
    assert [item.version.key for item in reading.objects] == [sound.key]
    assert statuses(reading) == {item.version: LoadStatus.REFUSED for item in refused}
    assert errors(warehouse) == [(reason, "retried", 3) for reason in REFUSED.values()]
    assert ledger(warehouse) == []
    assert reader.read_version(ObjectVersion(sound.bucket, refused[0].key, refused[0].etag), reader.room()) is None
    assert front.code == ""


def test_objects_that_do_not_come_cost_only_themselves(
    front: RefusingS3, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    """One that is never answered and one that drips: a read timeout alone would wait for the second for ever."""
    waiting = [land(moto_lake, parquet(klines(0)), f"{FOLDER}/{name}.parquet") for name in ("silent", "dripping")]
    sound = land(moto_lake, parquet(klines(1)))
    store = S3Store(moto_lake.store.bucket, silence_seconds=patience(0.4))
    reading = ObjectReader(store, Ledger(warehouse), LoadLimits(), threads).read(
        [replace(item, attempts=3) for item in (*waiting, sound)]
    )
    assert [item.version.key for item in reading.objects] == [sound.key]
    assert statuses(reading) == {item.version: LoadStatus.REFUSED for item in waiting}
    assert errors(warehouse) == [("lake_silent", "retried", 3)] * 2
    assert sorted(front.asked_for_silent) == ["dripping.parquet", "silent.parquet"]  # each once: nobody asks on and on


def test_an_object_of_more_bytes_than_a_put_can_have_is_quarantined_unread(
    front: RefusingS3, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    """S3 takes 5 GiB in one request and terabytes in parts: our own limit is what counts."""
    created = land(moto_lake, b"never read", f"{FOLDER}/6GiB.parquet")
    reader = ObjectReader(S3Store(moto_lake.store.bucket), Ledger(warehouse), LoadLimits(), threads)
    assert statuses(reader.read([created])) == {created.version: LoadStatus.DONE}
    assert errors(warehouse) == [("too_large", "quarantined", 1)]


def test_an_object_that_is_too_large_only_by_a_header_is_not_quarantined(
    front: RefusingS3, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    """Quarantine is for good: the same object may be sound with the next answer."""
    names = ("lie-416", "lie-200", "lie-206")
    lying = [land(moto_lake, parquet(klines(0)), f"{FOLDER}/{name}.parquet") for name in names]
    sound = land(moto_lake, parquet(klines(1)))
    reader = ObjectReader(S3Store(moto_lake.store.bucket), Ledger(warehouse), LoadLimits(), threads)
    reading = reader.read([replace(item, attempts=3) for item in (*lying, sound)])
    assert [item.version.key for item in reading.objects] == [sound.key]
    assert statuses(reading) == {item.version: LoadStatus.REFUSED for item in lying}
    assert errors(warehouse) == [("lake_inconsistent", "retried", 3)] * 3
    assert ledger(warehouse) == []
    assert front.code == ""


def test_of_many_objects_that_do_not_come_only_the_first_are_waited_for(
    front: RefusingS3, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    silent = [land(moto_lake, b"never read", f"{FOLDER}/silent-{number}.parquet") for number in range(8)]
    store = S3Store(moto_lake.store.bucket, silence_seconds=0.1)
    reading = ObjectReader(store, Ledger(warehouse), LoadLimits(), threads).read(silent)
    found = [statuses(reading)[item.version] for item in silent]
    assert found.count(LoadStatus.REFUSED) in (MOST_SILENT, MOST_SILENT + 1)  # two threads
    assert found.count(LoadStatus.RETRY) == 8 - found.count(LoadStatus.REFUSED)


@pytest.mark.parametrize(
    ("status", "code", "error", "advice"),
    [(403, "ExpiredToken", AccessRefused, "check AWS_ACCESS_KEY_ID"), (418, "Teapot", LakeRefused, "check S3_BUCKET")],
)
def test_when_everything_is_refused_no_object_is_blamed(
    status: int,
    code: str,
    error: type[TickhouseError],
    advice: str,
    front: RefusingS3,
    moto_lake: Lake,
    warehouse: Warehouse,
    threads: ThreadPoolExecutor,
) -> None:
    created = land(moto_lake, parquet(klines(0)))
    reader = ObjectReader(S3Store(moto_lake.store.bucket), Ledger(warehouse), LoadLimits(), threads)
    front.code, front.status = code, status
    with pytest.raises(error, match=f"{code}.*{advice}"):
        reader.read([created])
    assert errors(warehouse) == []
    front.code = ""
    assert [item.version.key for item in reader.read([created]).objects] == [created.key]


@contextmanager
def loading() -> Iterator[StopRequest]:
    """A loader of one queue, as its command runs it, until the context ends; its error is raised here."""
    stop = StopRequest()
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(run_loader, [QUEUE], stop, LoaderOptions(wait_seconds=1))
        try:
            yield stop
        finally:
            stop.set()
            run.result(patience(60))


def test_a_running_loader_loads_the_neighbours_and_gives_the_refused_one_back(
    front: RefusingS3, moto_lake: Lake, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    moto_lake.store.write(f"{FOLDER}/403_AccessDenied.parquet", parquet(klines(0)))
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(1)))
    warehouse = connect(warehouse_settings)
    with loading():
        wait_until(lambda: len(ledger(warehouse)) == 1 and len(errors(warehouse)) >= 1, "the neighbour and the note")
    assert [row[0] for row in ledger(warehouse)] == [f"{FOLDER}/2024-01.parquet"]
    assert errors(warehouse)[0] == ("access_refused", "retried", 1)
    depth = SqsQueue(QUEUE).depth()
    assert depth.visible + depth.in_flight == 1  # hidden for a second or two, if it was given back before the stop
    (said,) = {record.getMessage() for record in caplog.records if record.levelname == "ERROR"}
    assert said == "not read, left for another try"
    assert front.code == ""
    warehouse.close()


def waits(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.why for record in caplog.records if record.getMessage() == "waiting for it to come back"]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_keys_that_are_refused_at_the_start_are_said_once_and_waited_out(
    front: RefusingS3, moto_lake: Lake, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0)))
    waiting = SqsQueue(QUEUE).depth().visible
    front.code = "InvalidAccessKeyId"
    with pytest.raises(AccessRefused):
        run_loader([QUEUE], StopRequest(), LoaderOptions(drain=True, wait_seconds=0))
    warehouse = connect(warehouse_settings)
    with loading():
        wait_until(lambda: bool(waits(caplog)), "the line that says it")
        assert SqsQueue(QUEUE).depth().visible == waiting  # nothing was received
        front.code = ""
        wait_until(lambda: len(ledger(warehouse)) == 1, "the object")
    assert [row[4] for row in ledger(warehouse)] == [1]
    assert len(waits(caplog)) == 1
    warehouse.close()


@pytest.mark.slow
def test_keys_that_expire_under_way_spend_no_delivery(
    front: RefusingS3, moto_lake: Lake, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse = connect(warehouse_settings)
    with loading():
        moto_lake.store.write(f"{FOLDER}/0.parquet", parquet(klines(0)))
        wait_until(lambda: len(ledger(warehouse)) == 1, "the first object")
        front.code = "ExpiredToken"
        moto_lake.store.write(f"{FOLDER}/1.parquet", parquet(klines(1)))
        wait_until(lambda: bool(waits(caplog)), "the line that says it")
        front.code = ""
        wait_until(lambda: len(ledger(warehouse)) == 2, "the second object")
    assert [row[4] for row in ledger(warehouse)] == [1, 1]
    assert errors(warehouse) == []
    assert len(waits(caplog)) == 1
    assert "ExpiredToken" in waits(caplog)[0]
    warehouse.close()


@pytest.mark.slow
def test_a_queue_that_is_deleted_under_way_is_said_once_and_waited_for(
    moto_lake: Lake, warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse = connect(warehouse_settings)
    with loading():
        moto_lake.store.write(f"{FOLDER}/0.parquet", parquet(klines(0)))
        wait_until(lambda: len(ledger(warehouse)) == 1, "the first object")
        sqs = sqs_client()
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"])
        wait_until(lambda: bool(waits(caplog)), "the line that says it")
        provision_aws(moto_lake.store.bucket)
        moto_lake.store.write(f"{FOLDER}/1.parquet", parquet(klines(1)))
        wait_until(lambda: len(ledger(warehouse)) == 2, "the second object")
    (said,) = waits(caplog)
    assert "`tickhouse provision` creates bucket and queues" in said
    warehouse.close()


def test_a_stop_ends_the_wait_for_access(front: RefusingS3, moto_lake: Lake) -> None:
    front.code = "AccessDenied"
    stop = StopRequest()
    threading.Timer(0.2, stop.set).start()
    run_loader([QUEUE], stop, LoaderOptions())
    assert moto_lake.store.bucket


class FailingStore(S3Store):
    """One object on which our own code fails in a way that nobody foresaw."""

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        if key.endswith("/odd.parquet"):
            raise ZeroDivisionError("a fault of ours")
        return super().read(key, most_bytes=most_bytes)


def test_an_object_on_which_our_own_code_fails_comes_again_and_its_neighbours_load(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    odd, sound = (land(moto_lake, parquet(klines(0)), f"{FOLDER}/{name}.parquet") for name in ("odd", "sound"))
    store = FailingStore(moto_lake.store.bucket)
    reading = ObjectReader(store, Ledger(warehouse), LoadLimits(), threads).read([odd, sound])
    assert ([item.version.key for item in reading.objects], statuses(reading)) == (
        [sound.key],
        {odd.version: LoadStatus.REFUSED},
    )
    assert warehouse.query("select reason, detail, fate from ops_load_errors") == [
        ("unforeseen", "ZeroDivisionError: a fault of ours", "retried")
    ]


@pytest.mark.parametrize(("key", "spelled"), [("a+b", "a+b"), ("a%20b", "a%20b"), ("a=b+c", "a%3Db+c")])
def test_a_key_that_was_not_encoded_is_tried_as_it_is(
    key: str, spelled: str, moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    created = land(moto_lake, parquet(klines(0)), f"{FOLDER}/{key}.parquet")
    said = f"{FOLDER}/{spelled}.parquet"
    asked = LoadRequest(created.bucket, unquote_plus(said), created.etag, spellings=(unquote(said), said))
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(), threads)
    reading = reader.read([asked])
    assert [item.version for item in reading.objects] == [created.version]
    assert requested(reading) == {created.version: [asked.version]}
    gone = LoadRequest(created.bucket, f"{FOLDER}/x y", "e", spellings=(f"{FOLDER}/x+y", "elsewhere/x"))
    assert statuses(reader.read([gone])) == {gone.version: LoadStatus.DONE}
    assert errors(warehouse) == [("object_missing", "dropped", 1)]

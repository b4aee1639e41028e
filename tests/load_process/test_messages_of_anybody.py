"""Whatever lies in the queue: every shape of S3's notifications loads its object, and no body ends the loader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from tests.load_process.conftest import FOLDER, klines, ledger, parquet

from load_process.loader import LoaderOptions, QueueLoader
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from conftest import Lake

QUEUE = "klines-notifications"
CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "objects" / "hostile_notifications.json"
Send = Callable[..., None]


@pytest.fixture
def send(moto_lake: Lake) -> Send:
    """Sends bodies to the queue, from which S3's own notifications are kept away."""
    empty: Any = {}
    s3_client().put_bucket_notification_configuration(Bucket=moto_lake.store.bucket, NotificationConfiguration=empty)
    client = sqs_client()
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    client.purge_queue(QueueUrl=url)

    def send_bodies(*bodies: object) -> None:
        for body in bodies:
            client.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    return send_bodies


@pytest.fixture
def drain(moto_lake: Lake, warehouse_settings: WarehouseSettings) -> Iterator[Callable[[], None]]:
    connections = [connect(warehouse_settings) for _ in range(3)]

    def drained() -> None:
        first, *others = connections
        options = LoaderOptions(drain=True, wait_seconds=0)
        store = S3Store(moto_lake.store.bucket)
        QueueLoader(SqsQueue(QUEUE), store, first, others, StopRequest(), options).run()
        assert SqsQueue(QUEUE).depth().is_empty

    yield drained
    for connection in connections:
        connection.close()


def record(bucket: object, key: object, **stored: object) -> dict[str, Any]:
    return {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, **stored}}}


def test_the_object_of_every_shape_is_loaded_once(
    moto_lake: Lake, warehouse: Warehouse, send: Send, drain: Callable[[], None]
) -> None:
    bucket, keys = moto_lake.store.bucket, {}
    for hour, name in enumerate(["straight", "sns 币", "bridge a+b%20", "bridge by sns", "raw+plus", "minio"]):
        keys[name] = f"{FOLDER}/{name}.parquet"
        moto_lake.store.write(keys[name], parquet(klines(hour)))

    def bridge(key: str) -> dict[str, Any]:
        detail = {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "etag": moto_lake.store.read(key).etag}}
        return {"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail}

    def sns(event: object) -> dict[str, Any]:
        return {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(event)}

    send(
        {"Records": [record(bucket, quote_plus(keys["straight"], safe="/"))]},
        sns({"Records": [record(bucket, quote_plus(keys["sns 币"], safe="/"))]}),
        sns({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}),
        bridge(keys["bridge a+b%20"]),
        sns(bridge(keys["bridge by sns"])),
        {"Records": [record(bucket, keys["raw+plus"])]},
        {"EventName": "s3:ObjectCreated:Put", "Key": "x", "Records": [record(bucket, quote(keys["minio"], safe=""))]},
    )
    drain()
    assert sorted(str(row[0]) for row in ledger(warehouse)) == sorted(keys.values())
    assert warehouse.query("select count() from bronze_klines") == [(6,)]
    assert warehouse.query("select reason, key from ops_load_errors") == []


BAD: list[object] = [
    "hello",
    "[]",
    "5",
    "[" * 100_000 + "]" * 100_000,
    {"Message": json.dumps({"Records": []})},
    {"Records": {"a": 1}},
    {"Records": [record({"a": 1}, FOLDER)]},
    {"Records": [record(["crypto"], FOLDER)]},
    {"Records": [record(5, FOLDER)]},
    {"Records": [record(None, FOLDER)]},
    {"Records": [record("crypto", "x" * 200_000)]},
    {"Records": [record("crypto", "é" * 600)]},
    {"Records": [record("crypto", None)]},
    {"Records": [record("crypto", "k", eTag=None)]},
    {"Type": "SubscriptionConfirmation", "Token": "x", "Message": "You have chosen to subscribe"},
]


def test_a_body_that_says_nothing_is_noted_and_deleted_and_its_neighbours_load(
    moto_lake: Lake, warehouse: Warehouse, send: Send, drain: Callable[[], None]
) -> None:
    key = f"{FOLDER}/sound.parquet"
    moto_lake.store.write(key, parquet(klines(0)))
    missing = [f"{FOLDER}/'; drop table x; --", f"{FOLDER}/a%00b.parquet", f"{FOLDER}/../../etc/passwd", f"{FOLDER}/%ED%A0%80"]
    of_nobody = [record("evil", key), record(moto_lake.store.bucket + "\0", key), record(moto_lake.store.bucket, "quarantine/x")]
    send(*BAD, {"Records": [record(moto_lake.store.bucket, key)]})
    send(*[{"Records": [record(moto_lake.store.bucket, other)]} for other in missing], {"Records": of_nobody})
    drain()
    assert [row[0] for row in ledger(warehouse)] == [key]
    found = dict(tuple(row) for row in warehouse.query("select reason, count() from ops_load_errors group by reason"))
    assert found == {"bad_notification": len(BAD), "object_missing": len(missing), "unknown_prefix": len(of_nobody)}


@pytest.mark.slow
def test_the_hostile_bodies_that_were_collected_have_their_right_results(
    warehouse: Warehouse, send: Send, drain: Callable[[], None]
) -> None:
    if not CASES.exists():
        pytest.skip(f"no collected cases: {CASES} is not there")
    for case in json.loads(CASES.read_text(encoding="utf-8"))["bodies"]:
        send(case.get("body") or "".join(text * times for text, times in case["parts"]))
        drain()
        noted = [row[0] for row in warehouse.query("select distinct reason from ops_load_errors")]
        right = case["right"]
        if right.startswith(("noted as bad_notification", "no object can have", "1,200 bytes")):
            assert noted == ["bad_notification"], case["name"]
        elif "object_missing" in right and not right.startswith("a decision"):
            assert noted in (["object_missing"], ["unknown_prefix"]), case["name"]  # the bucket of the test has another name
        warehouse.command("truncate table ops_load_errors")
    assert ledger(warehouse) == []

"""Poison, vanished objects, trouble that passes, and wrong surroundings: the loader says so in one line and goes on, or ends."""

import json
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.load_process.conftest import (
    LARGE_ENOUGH,
    MANY_WINDOWS,
    ClickHouseServer,
    LoaderProcess,
    OwnWarehouse,
    assert_queues_are_empty,
    body_of,
    bronze_counts,
    drain,
    in_background,
    klines,
    ledger,
    load_errors,
    month_key,
    send,
    slow_down,
)
from tests.waiting import wait_until

from load_process.__main__ import run_loader
from load_process.limits import LoadLimits
from load_process.loader import LoaderOptions
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.datasets import KLINES, STREAM_EVENTS
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.message_queue import QueueDepth, SqsQueue
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SYMBOLS = [f"S{number}USDT" for number in range(30)]


def notification(bucket: str, key: object, etag: str = "0") -> str:
    stored = {"key": key, "eTag": etag, "size": 1}
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": stored}}
    return json.dumps({"Records": [record]})


def broken_pages() -> bytes:
    """A sound footer over pages that were overwritten."""
    body = bytearray(body_of(klines(500)))
    footer_length = int.from_bytes(body[-8:-4], "little")
    body[4 : len(body) - 8 - footer_length] = bytes(len(body) - 12 - footer_length)
    return bytes(body)


def test_poison_is_set_aside_and_its_neighbours_are_loaded_in_the_same_run(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    poison = {"AUSDT": body_of(klines(500))[:-100], "CUSDT": broken_pages(), "EUSDT": b"", "GUSDT": b"PAR1" * 5}
    sound = {symbol: body_of(klines(symbol=symbol)) for symbol in ("BUSDT", "DUSDT", "FUSDT")}
    for symbol, body in sorted((poison | sound).items()):
        localstack_lake.store.write(month_key(symbol), body)

    drain()

    assert bronze_counts(warehouse) == {month_key(symbol): 3 for symbol in sound}
    assert {entry["key"]: entry["status"] for entry in ledger(warehouse)} == {
        **{month_key(symbol): "loaded" for symbol in sound},
        **{month_key(symbol): "quarantined" for symbol in poison},
    }
    assert [(error["key"], error["reason"], error["fate"]) for error in load_errors(warehouse)] == [
        (month_key("AUSDT"), "not_parquet", "quarantined"),
        (month_key("CUSDT"), "broken_pages", "quarantined"),
        (month_key("EUSDT"), "not_parquet", "quarantined"),
        (month_key("GUSDT"), "not_parquet", "quarantined"),
    ]
    for symbol, body in poison.items():
        assert localstack_lake.store.read(f"quarantine/{month_key(symbol)}").body == body
    assert_queues_are_empty()


def test_messages_that_name_nothing_to_load_are_dropped_with_the_reason(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    bucket, gone = localstack_lake.store.bucket, month_key("GONEUSDT")
    garbage = ["not JSON", "[]", "{}", "null", '{"Records": null}', '{"Records": [{"s3": {}}]}', notification(bucket, 7)]
    foreign_keys = [
        "elsewhere/data.parquet",
        "data_sources/unknown/a.parquet",
        "",
        f"quarantine/{gone}",
    ]
    localstack_lake.store.write(gone, body_of(klines()))
    s3_client().delete_object(Bucket=bucket, Key=gone)
    send(KLINES.queue, *garbage, *(notification(bucket, key) for key in foreign_keys), notification("foreign", month_key()))
    localstack_lake.store.write(month_key(), body_of(klines()))

    drain()

    errors = load_errors(warehouse)
    assert {error["fate"] for error in errors} == {"dropped"}
    assert [error["reason"] for error in errors if error["key"] == ""] == ["bad_notification"] * 7 + ["unknown_prefix"]
    assert [(error["key"], error["reason"]) for error in errors if error["key"]] == [
        (month_key(), "unknown_prefix"),  # in the foreign bucket
        (gone, "object_missing"),
        ("data_sources/unknown/a.parquet", "unknown_prefix"),
        ("elsewhere/data.parquet", "unknown_prefix"),
        (f"quarantine/{gone}", "unknown_prefix"),
    ]
    assert bronze_counts(warehouse) == {month_key(): 3}
    assert_queues_are_empty()


def test_a_vanished_object_that_comes_back_is_loaded_and_a_refused_one_is_not_judged_again(
    localstack_lake: "Lake", warehouse: Warehouse
) -> None:
    store, refused, body = localstack_lake.store, month_key("TEXTUSDT"), body_of(klines())
    store.write(refused, b"text")
    store.write(month_key(), body)
    s3_client().delete_object(Bucket=store.bucket, Key=month_key())
    drain()
    judged = [(error["key"], error["reason"]) for error in load_errors(warehouse)]
    assert judged == [(month_key(), "object_missing"), (refused, "not_parquet")]
    assert [entry["key"] for entry in ledger(warehouse)] == [refused]

    store.write(refused, b"text")  # the same bytes have the same etag
    store.write(month_key(), body)
    drain()

    assert bronze_counts(warehouse) == {month_key(): 3}
    assert [(error["key"], error["reason"]) for error in load_errors(warehouse)] == judged
    assert [(entry["key"], entry["status"]) for entry in ledger(warehouse)] == [(month_key(), "loaded"), (refused, "quarantined")]


def test_trouble_of_the_warehouse_leaves_messages_and_ends_by_itself(
    localstack_lake: "Lake", warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "load_process")
    warehouse.command("rename table bronze_klines to away")
    localstack_lake.store.write(month_key(), body_of(klines()))
    queue = SqsQueue(KLINES.queue)
    with in_background(lambda: drain(visibility_seconds=1, queues=[KLINES.queue])) as loader:
        wait_until(lambda: caplog.text.count("waiting for it to come back") == 2)  # an empty poll lies between two tries
        assert not queue.depth().is_empty
        warehouse.command("rename table away to bronze_klines")
        wait_until(loader.done)

    assert bronze_counts(warehouse) == {month_key(): 3}
    assert load_errors(warehouse) == []
    said = [record.message for record in caplog.records if record.levelname != "DEBUG"]
    assert [words for words in said if words not in ("loaded", "the notification names no new object")] == [
        "waiting for it to come back",
        "back to normal",
    ]
    assert_queues_are_empty([KLINES.queue])


def test_what_the_engine_refuses_runs_out_of_deliveries_and_harms_nobody(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    warehouse.command("alter table bronze_klines add constraint not_bad check symbol != 'BADUSDT'")
    for symbol in ("BADUSDT", "BTCUSDT"):
        localstack_lake.store.write(month_key(symbol), body_of(klines(symbol=symbol)))

    drain(visibility_seconds=1, queues=[KLINES.queue])

    assert bronze_counts(warehouse) == {month_key("BTCUSDT"): 3}
    tries = [(error["key"], error["reason"], error["fate"], error["attempts"]) for error in load_errors(warehouse)]
    assert sorted(tries) == [(month_key("BADUSDT"), "warehouse_refused", "retried", number) for number in range(1, 6)]
    assert SqsQueue(KLINES.queue).depth().is_empty
    assert SqsQueue(f"{KLINES.queue}-dlq").depth() == QueueDepth(visible=1, in_flight=0, delayed=0)
    assert [entry["key"] for entry in ledger(warehouse)] == [month_key("BTCUSDT")]


def test_a_stop_finishes_the_batch_in_hand_and_gives_the_rest_back(localstack_lake: "Lake", warehouse: Warehouse) -> None:
    slow_down(warehouse, seconds_a_row=0.1)
    for symbol in SYMBOLS:
        localstack_lake.store.write(month_key(symbol), body_of(klines(symbol=symbol)))
    queue, stop = SqsQueue(KLINES.queue), StopRequest()
    wait_until(lambda: queue.depth().visible >= len(SYMBOLS))
    options = LoaderOptions(wait_seconds=1, visibility_seconds=30, limits=LoadLimits(window_messages=10))
    with in_background(lambda: run_loader([KLINES.queue], stop, options)) as loader:
        wait_until(lambda: bool(warehouse.query("select 1 from system.processes where query ilike 'insert into bronze_klines%'")))
        stop.set()
        wait_until(loader.done)

    loaded = [entry["key"] for entry in ledger(warehouse)]
    assert 0 < len(loaded) <= 10
    assert bronze_counts(warehouse) == dict.fromkeys(loaded, 3)
    assert (queue.depth().visible, queue.depth().in_flight) == (len(SYMBOLS) - len(loaded), 0)  # at once, not after 30 seconds


def test_sigterm_ends_the_command_with_exit_0_and_a_second_run_loads_the_rest(
    localstack_lake: "Lake", own_warehouse: OwnWarehouse, start_loader: Callable[..., LoaderProcess]
) -> None:
    symbols = [f"S{number:02}USDT" for number in range(100)]
    for symbol in symbols:
        localstack_lake.store.write(month_key(symbol), body_of(klines(LARGE_ENOUGH, symbol=symbol)))
    queue = SqsQueue(KLINES.queue)

    first = start_loader("--dataset", "klines", "--drain", *MANY_WINDOWS)
    first.wait_for_line(" loaded ")
    first.process.send_signal(signal.SIGTERM)

    assert first.finish(seconds=10) == 0
    loaded = first.objects_loaded()
    assert 1 <= loaded < len(symbols)
    assert (queue.depth().visible, queue.depth().in_flight) == (len(symbols) - loaded, 0)
    assert start_loader("--dataset", "klines", "--drain").finish() == 0
    entries, bronze = own_warehouse.run(
        f"select count(), countIf(rows = {LARGE_ENOUGH} and status = 'loaded') from ops_loaded_objects",
        "select count(), uniqExact(object_key) from bronze_klines",
    )
    assert (entries, bronze) == ([[100, 100]], [[100 * LARGE_ENOUGH, 100]])


def test_wrong_surroundings_are_one_clear_line(
    localstack_lake: "Lake", clickhouse_server: ClickHouseServer, start_loader: Callable[..., LoaderProcess]
) -> None:
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        (["--dataset", "nonsense"], {}, 2, "unknown dataset 'nonsense': choose from klines, trades"),
        ([], {"S3_BUCKET": "nowhere"}, 1, "nowhere"),
        ([], {"CLICKHOUSE_DATABASE": "nowhere"}, 2, "nowhere does not exist"),
        ([], {"CLICKHOUSE_PORT": "none"}, 2, "CLICKHOUSE_PORT"),
        ([], {"CLICKHOUSE_PASSWORD": "wrong"}, 2, "Authentication failed"),
    ]
    sqs_client().delete_queue(QueueUrl=sqs_client().get_queue_url(QueueName=STREAM_EVENTS.queue)["QueueUrl"])
    cases.append((["--dataset", "stream_events"], {}, 1, STREAM_EVENTS.queue))
    loaders = [start_loader("--drain", *arguments, **environment) for arguments, environment, _, _ in cases]

    for loader, (_, _, code, says) in zip(loaders, cases, strict=True):
        assert loader.finish() == code, loader.lines
        [line] = loader.lines
        assert line.startswith("error: ")
        assert says in line


def test_a_server_that_is_not_there_is_one_clear_line(
    localstack_lake: "Lake", clickhouse_server: ClickHouseServer, start_loader: Callable[..., LoaderProcess]
) -> None:
    clickhouse_server.stop()

    loader = start_loader("--drain")

    assert loader.finish() == 1
    assert "ClickHouse" in loader.lines[-1]
    assert str(clickhouse_server.settings.port) in loader.lines[-1]
    assert len(loader.lines) == 1, loader.lines

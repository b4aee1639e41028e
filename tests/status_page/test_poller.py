"""What the poller makes of heartbeats: the age of a capture's batches travels from its own words to the verdicts."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.waiting import patience

from status_page.lake_lag import LakeLag
from status_page.poller import Poller
from status_page.processes import Processes, ProcessState
from status_page.queries import Queries
from tickhouse_core.datasets import HEARTBEATS, TRADES
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.metrics import BEGAN, Sample, heartbeat_detail
from tickhouse_core.timestamps import SECOND_US, now_us, to_datetime
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


class Answers(Queries):
    """A warehouse that has one heartbeat, and gold as far as the load before the last."""

    def __init__(self, beat_us: int, detail: str) -> None:
        self.beat_us = beat_us
        self.detail = detail

    def ask(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        rows: dict[str, list[Sequence[Any]]] = {
            "heartbeats": [("binance", "stream", "main", self.beat_us, self.beat_us, 3, 0, 0, self.detail, 0)],
            "loads": [(now_us() - SECOND_US, now_us(), self.beat_us + SECOND_US)],
            "watermarks": [("ohlcv", self.beat_us, self.beat_us)],
        }
        return rows.get(name, [])

    def ask_by_keys(self, name: str, keys: Collection[str]) -> list[Sequence[Any]]:
        return [(key,) for key in keys]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("batch_seconds", "is_good"), [(60.0, True), (10.0, False)])
def test_a_capture_with_large_batches_is_not_late(batch_seconds: float, is_good: bool, moto_lake: Lake) -> None:
    beat_us = now_us() - 50 * SECOND_US
    words = "0 books unsynced, 0 gaps, 0 frames refused"
    queries = Answers(beat_us, heartbeat_detail(words, batch_seconds))
    moto_lake.store.write(hourly_key(HEARTBEATS, "binance", beat_us, "main", 1), b"x")
    poller = Poller(queries, queries, LakeLag(moto_lake.store, queries), Processes({}))
    try:
        stages = {stage["name"]: stage["verdict"] for stage in orjson.loads(poller.poll())["stages"]}
    finally:
        poller.close()
    assert stages["lake"] == "ok"
    assert (stages["venue"] == "ok", stages["gold"] == "ok") == (is_good, is_good)


@pytest.mark.parametrize(
    ("instance", "seconds_ago", "verdict"),
    [("main", 25, "ok"), ("main", 45, "degraded"), ("main", 80, "down"), ("other", 25, "down")],
)
def test_a_capture_is_heard_of_by_its_objects_between_two_heartbeats(
    instance: str, seconds_ago: int, verdict: str, moto_lake: Lake
) -> None:
    """The last heartbeat is 100 s old; an object's rows were received within a batch of 10 s, whenever it was uploaded."""
    queries = Answers(now_us() - 100 * SECOND_US, heartbeat_detail("0 gaps", 10.0))
    moto_lake.store.write(hourly_key(HEARTBEATS, "binance", now_us(), "none", 1), b"x")  # the venue is listed
    moto_lake.store.write(hourly_key(TRADES, "binance", now_us() - seconds_ago * SECOND_US, instance, 1), b"x")
    poller = Poller(queries, queries, LakeLag(moto_lake.store, queries), Processes({}))
    stages = {stage["name"]: stage["verdict"] for stage in orjson.loads(poller.poll())["stages"]}
    poller.close()
    assert stages["venue"] == verdict


@pytest.mark.parametrize(("since_seconds", "verdict"), [(20, "ok"), (100, "degraded"), (None, "degraded")])
def test_what_was_loaded_before_the_transformer_began_is_late_from_then_on(
    since_seconds: int | None, verdict: str, moto_lake: Lake
) -> None:
    """A load of 100 s ago that the former run did not bring to gold."""
    queries = Answers(now_us() - 101 * SECOND_US, heartbeat_detail("0 gaps", 10.0))

    class Running(Processes):
        def look(self) -> list[ProcessState]:
            began = Sample(BEGAN, now_us() / SECOND_US - (since_seconds or 0), "")
            return [ProcessState("transformer", "", (), (began,) if since_seconds else ())]

    poller = Poller(queries, queries, LakeLag(moto_lake.store, queries), Running({}))
    stages = {stage["name"]: stage["verdict"] for stage in orjson.loads(poller.poll())["stages"]}
    poller.close()
    assert stages["gold"] == verdict


@pytest.mark.slow
def test_queues_that_say_nothing_cost_a_look_a_few_seconds(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = Answers(now_us(), heartbeat_detail("0 books unsynced", 10.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{silent.getsockname()[1]}")
        poller = Poller(queries, queries, LakeLag(moto_lake.store, queries), Processes({}))
        began = time.monotonic()
        state = orjson.loads(poller.poll())
        poller.close()
    assert time.monotonic() - began < patience(20)
    assert list(state["trouble"]) == ["queues"]


@pytest.mark.slow
def test_after_a_long_silence_the_other_questions_of_a_look_are_not_asked() -> None:
    asked: list[float] = []

    def connect() -> Warehouse:
        asked.append(time.monotonic())
        time.sleep(1.2)  # as long as a server says nothing
        raise WarehouseUnavailable("ClickHouse: Read timed out")

    queries = Queries(connect)
    for name in ("heartbeats", "events", "loads"):
        with pytest.raises(WarehouseUnavailable, match="Read timed out"):
            queries.ask(name)
    assert len(asked) == 1


def test_the_oldest_load_that_no_transform_has_is_not_one_from_before_a_pause(warehouse: Warehouse) -> None:
    """Loads at 0 s and 100 s are in gold; the ledger's row of the second one is a second younger than the watermark."""
    began = now_us() - 600 * SECOND_US

    def untaken() -> int:
        [[_, _, oldest]] = Queries(lambda: warehouse).ask("loads", {"since_us": 0})
        return (int(oldest) - began) // SECOND_US if oldest else -1

    assert untaken() == -1
    loaded = {"bucket": "b", "etag": "e", "dataset": "trades", "rows": 1, "checksum": 1, "attempts": 1}
    loads = [
        {**loaded, "key": f"{seconds}{status}", "status": status, "load_time": to_datetime(began + seconds * SECOND_US)}
        for seconds, status in ((0, "loaded"), (101, "loaded"), (300, "quarantined"), (400, "loaded"), (500, "loaded"))
    ]
    warehouse.insert_rows("ops_loaded_objects", loads[:2])
    assert untaken() == 0, "nothing is in gold"
    run = {"step": "", "window_start": to_datetime(began), "build_version": 1, "loaded_rows": 1, "built_rows": 1, "seconds": 0}
    reached = to_datetime(began + 100 * SECOND_US)
    further = to_datetime(began + 450 * SECOND_US)
    warehouse.insert_rows(
        "ops_transform_runs",
        [run | {"transform": "ohlcv", "window_end": reached}, run | {"transform": "book", "window_end": further}],
    )
    assert untaken() == -1
    warehouse.insert_rows("ops_loaded_objects", loads[2:])
    assert untaken() == 400
    warehouse.insert_rows("ops_transform_runs", [run | {"transform": "ohlcv", "window_end": further}])
    assert untaken() == 500

"""From the versions that were read to the requests that asked for them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest
from tests.load_process.conftest import KEY, klines

from load_process.batch_insert import BatchInsert, Statuses
from load_process.compacted import UndoneObjects
from load_process.object_reader import Reading
from load_process.objects import DecodedObject, LoadRequest, LoadResult, LoadStatus, ObjectVersion
from tickhouse_core.datasets import KLINES

NEW = ObjectVersion("crypto", KEY, "new")


class NothingUndone(UndoneObjects):
    """No compaction was undone."""

    def __init__(self) -> None:
        pass

    def take_out(self, keys: Iterable[str]) -> set[str]:
        list(keys)
        return set()


class Inserted(BatchInsert):
    """An insert that ended with these statuses."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self.undone = NothingUndone()
        self.calls: list[tuple[str, list[ObjectVersion]]] = []

    def insert(self, objects: Sequence[DecodedObject], is_stopping: Callable[[], bool] = lambda: False) -> Statuses:
        self.calls.append(("insert", [item.version for item in objects]))
        return {} if is_stopping() else self._statuses

    def insert_again(self, objects: Sequence[DecodedObject]) -> Statuses:
        self.calls.append(("insert_again", [item.version for item in objects]))
        return {item.version: LoadStatus.DONE for item in objects}


def request(etag: str, *, again: bool = False) -> LoadRequest:
    return replace(LoadRequest(*NEW._replace(etag=etag)), again=again)


def reading(*requests: LoadRequest) -> Reading:
    """All of them led to the new version."""
    return Reading(objects=[DecodedObject(NEW, KLINES, klines(0, 1), 0, 1)], requests={NEW: list(requests)})


@pytest.mark.parametrize("status", LoadStatus)
def test_every_request_that_led_to_a_version_has_its_status(status: LoadStatus) -> None:
    requests = [request("old"), request("new"), request("")]
    results = Inserted({NEW: status}).insert_reading(reading(*requests))
    assert results == [LoadResult(item, status, NEW, rows=2) for item in requests]


def test_a_request_that_could_not_be_read_is_done_where_an_unfinished_batch_had_its_version() -> None:
    unread, other = request("unread"), request("other")
    read = reading(request("new"))
    read.results += [LoadResult(unread, LoadStatus.RETRY), LoadResult(other, LoadStatus.REFUSED)]
    results = Inserted({NEW: LoadStatus.DONE, unread.version: LoadStatus.DONE}).insert_reading(read)
    found = {result.request.version.etag: result.status for result in results}
    assert found == {"unread": LoadStatus.DONE, "other": LoadStatus.REFUSED, "new": LoadStatus.DONE}


def test_what_a_stop_left_out_has_no_result() -> None:
    assert Inserted({NEW: LoadStatus.DONE}).insert_reading(reading(request("new")), lambda: True) == []


def test_one_request_to_load_again_replaces_the_version_for_all_of_them() -> None:
    requests = [request("old"), request("new", again=True)]
    batches = Inserted({})
    results = batches.insert_reading(reading(*requests))
    assert batches.calls == [("insert_again", [NEW]), ("insert", [])]
    assert [result.status for result in results] == [LoadStatus.DONE] * 2

"""Loads a window of requests: read part by part as memory has room, inserted together, one result for each request."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from load_process.batch_insert import BatchInsert
from load_process.object_reader import ObjectReader, Reading
from load_process.objects import LoadRequest, LoadResult


def load_window(requests: Sequence[LoadRequest], reader: ObjectReader, batches: BatchInsert) -> list[LoadResult]:
    """One result for each request. The caller must hold no room of the reader's memory. Safe to repeat.

    The queue loader does the same with a thread for each of the two steps. Errors that travel: those of the steps.
    """
    results: list[LoadResult] = []
    left = list(requests)
    while left:
        with reader.read(left) as reading:
            results += insert_reading(reading, batches)
            left = reading.left
    return results


def insert_reading(reading: Reading, batches: BatchInsert, is_stopping: Callable[[], bool] = lambda: False) -> list[LoadResult]:
    """One result for each request that was read, but for those of the batches that a stop left out.

    Only here versions become results. Several requests may have led to the same version: by its etag, by an older etag or
    by none. A batch that another loader left unfinished may have members that were requested and could not be read.
    """
    again = [item for item in reading.objects if any(request.again for request in reading.requests[item.version])]
    statuses = batches.insert_again(again) if again else {}
    statuses |= batches.insert([item for item in reading.objects if item.version not in statuses], is_stopping)
    results = [replace(result, status=statuses.get(result.request.version, result.status)) for result in reading.results]
    for item in reading.objects:
        if status := statuses.get(item.version):
            requests = reading.requests[item.version]
            results += [LoadResult(request, status, item.version, item.table.num_rows) for request in requests]
    return results

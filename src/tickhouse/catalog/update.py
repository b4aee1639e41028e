"""One run over all tables of a lake: what was compacted is registered, old snapshots end, what nothing holds any more may go."""

from tickhouse.catalog.expiry import expire, expired, release
from tickhouse.catalog.gaps import gaps_known_until
from tickhouse.catalog.registration import Registration, TableCounts
from tickhouse_core.datasets import STREAM_EVENTS
from tickhouse_core.iceberg.catalogue import TABLES, Catalogue
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore

IN_ORDER = sorted(TABLES, key=lambda one: one is not STREAM_EVENTS)
"""Gaps before the rows that they are of."""


def update(
    store: ObjectStore, catalogue: Catalogue, stop: StopRequest, now_us: int, keep_us: int, done: list[TableCounts]
) -> int:
    """How many snapshots ended: those that newer ones replaced more than `keep_us` ago. Adds to `done`, however it ends.

    Errors: the store's, CatalogUnavailable, Interrupted, TickhouseError for an object that is not as it was recorded.
    """
    registration = Registration(store, catalogue, stop, gaps_known_until(store, now_us))
    for dataset in IN_ORDER:
        done.append(TableCounts(dataset))
        registration.run(dataset, done[-1])
    registration.seal(done)
    ended = expire(catalogue, now_us - keep_us)
    for dataset in TABLES:
        release(store, catalogue, dataset, now_us)
    return ended


def preview(store: ObjectStore, catalogue: Catalogue, now_us: int, keep_us: int, done: list[TableCounts]) -> int:
    """As `update` would count; nothing is written."""
    registration = Registration(store, catalogue, StopRequest(), {})
    for dataset in IN_ORDER:
        done.append(TableCounts(dataset))
        registration.preview(dataset, done[-1])
    return sum(map(len, expired(catalogue, now_us - keep_us).values()))

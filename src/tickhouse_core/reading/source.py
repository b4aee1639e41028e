"""Where the read API takes rows from: the objects of a lake, or the tables of a warehouse. Both give the same rows."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.iceberg.catalogue import TABLES
from tickhouse_core.iceberg.snapshot_store import LakeSnapshot, SnapshotStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.contents import Held, held_in
from tickhouse_core.reading.events import GapEvents
from tickhouse_core.reading.known import Known
from tickhouse_core.reading.objects import days_of
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan


class Scan(Protocol):
    """One pass over a range. `unreadable` is whole when the pass is."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def unreadable(self) -> list[str]: ...

    def tables(self) -> Iterator[pa.Table]:
        """In order, each row once; every table has rows."""


class Source(Protocol):
    """Thread-safe."""

    place: str
    """Its address, for people."""

    @property
    def unreadable_events(self) -> Sequence[str]:
        """Objects of events that were left out, and why."""

    def scan(
        self,
        dataset: Dataset,
        request: Request,
        healed_at: Collection[int] = (),
        columns: Sequence[str] | None = None,
        id_range: tuple[int, int] | None = None,
    ) -> Scan:
        """See `RowScan`."""

    def events(self, dataset: Dataset, request: Request) -> pa.Table:
        """See `GapEvents.of`."""

    def no_trades(self, dataset: Dataset, request: Request) -> list[tuple[int, int]]:
        """See `GapEvents.no_trades`."""

    def check(self, request: Request) -> None:
        """Raises UsageError for a venue, a symbol or an interval that was never recorded."""

    def known_until(self, venue: str) -> int | None:
        """From when on (us) a gap may be recorded that is not known here; None: all that are recorded are known."""

    def held(self) -> Iterator[Held]:
        """What there is; several may be of one symbol."""

    def days(self, dataset: Dataset, venue: str, symbols: Sequence[str] = ()) -> list[int]:
        """The dates that a venue, or these symbols of it, have rows of: their first microseconds, ascending. Some may be more."""


class LakeSource:
    """The objects of a lake."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.place = store.where("data_sources").removesuffix("/data_sources")
        self._events = GapEvents(store)
        self._known = Known(store)

    @property
    def unreadable_events(self) -> list[str]:
        return self._events.unreadable

    def scan(
        self,
        dataset: Dataset,
        request: Request,
        healed_at: Collection[int] = (),
        columns: Sequence[str] | None = None,
        id_range: tuple[int, int] | None = None,
    ) -> RowScan:
        return RowScan(self.store, dataset, request, healed_at, columns, id_range)

    def events(self, dataset: Dataset, request: Request) -> pa.Table:
        return self._events.of(dataset, request)

    def no_trades(self, dataset: Dataset, request: Request) -> list[tuple[int, int]]:
        return self._events.no_trades(dataset, request)

    def check(self, request: Request) -> None:
        self._known.check(request)

    def known_until(self, venue: str) -> int | None:
        return None

    def held(self) -> Iterator[Held]:
        return held_in(self.store)

    def days(self, dataset: Dataset, venue: str, symbols: Sequence[str] = ()) -> list[int]:
        return days_of(self.store, dataset, venue, symbols)


class SnapshotSource(LakeSource):
    """The objects of a snapshot of the catalogue: what a reader of that id always has."""

    def __init__(self, store: ObjectStore, snapshot: LakeSnapshot) -> None:
        """`store`: the lake that the snapshot is of."""
        super().__init__(SnapshotStore(store, snapshot.sizes))
        self._snapshot = snapshot
        self.place += f" at snapshot {snapshot.id}"

    def scan(
        self,
        dataset: Dataset,
        request: Request,
        healed_at: Collection[int] = (),
        columns: Sequence[str] | None = None,
        id_range: tuple[int, int] | None = None,
    ) -> RowScan:
        if dataset not in TABLES or request.interval:
            what = dataset.name if dataset not in TABLES else f"{dataset.name} of period {request.interval}"
            raise UsageError(f"snapshot {self._snapshot.id}: no snapshot has {what}: read them without one")
        return super().scan(dataset, request, healed_at, columns, id_range)

    def known_until(self, venue: str) -> int:
        return self._snapshot.known_until.get(venue, 0)

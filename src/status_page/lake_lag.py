"""How far the warehouse is behind the lake: its newest objects, and which of them the ledger does not know."""

from collections.abc import Iterator

from status_page.health import LakeState
from status_page.queries import Queries
from tickhouse_core.datasets import DATASETS, HEARTBEATS
from tickhouse_core.lake_keys import hourly_key, instance_of, parse_object_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.objects import first_receipt
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, from_datetime

_LIVE = tuple(dataset for dataset in DATASETS if dataset.is_live)
_LOOK_BACK_US = 15 * MINUTE_US
_MOST_KEYS = 500
"""Of the newest objects; the queue's depth shows a longer backlog."""


class LakeLag:
    """The lake's newest objects, and which of them are missing from the ledger.

    Errors: the lake's and the warehouse's. Objects once found in the ledger are not looked up again.
    """

    def __init__(self, store: ObjectStore, queries: Queries) -> None:
        self._store = store
        self._queries = queries
        self._known: set[str] = set()
        self._newest_us = 0
        self._newest_batches: dict[tuple[str, str], tuple[int, int]] = {}

    def look(self, now_us: int) -> LakeState:
        young = [item for item in self._listed(now_us) if now_us - from_datetime(item.last_modified) < _LOOK_BACK_US]
        young.sort(key=lambda item: item.last_modified)
        young = young[-_MOST_KEYS:]
        keys = {item.key for item in young}
        self._known &= keys
        if unknown := keys - self._known:
            self._known |= {str(key) for (key,) in self._queries.ask_by_keys("loaded_keys", unknown)}
        waiting = [from_datetime(item.last_modified) for item in young if item.key not in self._known]
        if young:
            self._newest_us = from_datetime(young[-1].last_modified)
        self._note_batches(young)
        return LakeState(self._newest_us, waiting, dict(self._newest_batches))

    def _note_batches(self, objects: list[ObjectSummary]) -> None:
        """Who recorded them; an object that is written again is as old as it was."""
        for item in objects:
            parsed, instance, first_us = parse_object_key(item.key), instance_of(item.key), first_receipt(item.key)
            if parsed is not None and instance is not None and first_us is not None:
                recorder = parsed.partitions.get("venue", ""), instance
                batch = first_us, from_datetime(item.last_modified)
                self._newest_batches[recorder] = max(self._newest_batches.get(recorder, batch), batch)

    def _listed(self, now_us: int) -> Iterator[ObjectSummary]:
        """This hour's folders of every recorded venue (its heartbeats arrive first), and the last hour's while
        objects of it may wait."""
        hours = [now_us] if now_us % HOUR_US > _LOOK_BACK_US else [now_us - HOUR_US, now_us]
        for folder in self._store.folders_in(HEARTBEATS.prefix):
            venue = folder.removeprefix("venue=")
            for dataset in _LIVE:
                for hour in hours:
                    yield from self._store.list_keys(hourly_key(dataset, venue, hour, "", 0).rpartition("/")[0] + "/")

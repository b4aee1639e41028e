"""How far the warehouse is behind the lake: its newest objects, and which of them the ledger does not know."""

from collections.abc import Iterator

from status_page.health import LakeState
from status_page.queries import Queries
from tickhouse_core.datasets import DATASETS, HEARTBEATS
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
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
        return LakeState(self._newest_us, waiting)

    def _listed(self, now_us: int) -> Iterator[ObjectSummary]:
        """This hour's folders of every recorded venue (its heartbeats arrive first), and the last hour's while
        objects of it may wait."""
        hours = [now_us] if now_us % HOUR_US > _LOOK_BACK_US else [now_us - HOUR_US, now_us]
        for folder in self._store.folders_in(HEARTBEATS.prefix):
            venue = folder.removeprefix("venue=")
            for dataset in _LIVE:
                for hour in hours:
                    yield from self._store.list_keys(hourly_key(dataset, venue, hour, "", 0).rpartition("/")[0] + "/")

"""Until when the gaps of a venue are known to a snapshot: its events are the compacted ones."""

from itertools import groupby

from tickhouse.catalog.listing import first_unlisted
from tickhouse.compact.day import contents_of_day
from tickhouse_core.datasets import STREAM_EVENTS
from tickhouse_core.lake_keys import compacted_name, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import LATE_US, venues_of
from tickhouse_core.timestamps import parse_instant


def gaps_known_until(store: ObjectStore, now_us: int) -> dict[str, int]:
    """By venue, in microseconds: no event that was recorded before is in no compacted object.

    When the first that is was received, or now; less by how far the venue's clock and ours may be apart. Asked before the events
    are registered: what is compacted then is in the table later.
    """
    return {venue: _first_left(store, venue, now_us) - LATE_US for venue in venues_of(store, STREAM_EVENTS)}


def _first_left(store: ObjectStore, venue: str, now_us: int) -> int:
    recorded = (
        one.key for one in store.list_keys(object_key(STREAM_EVENTS, {"venue": venue}, "")) if not compacted_name(one.key)
    )
    for date, _ in groupby(recorded, key=_date_of):
        first = first_unlisted(contents_of_day(store, STREAM_EVENTS, venue, parse_instant(date))) if date else None
        if first is not None:
            return first
    return now_us


def _date_of(key: str) -> str:
    parsed = parse_object_key(key)
    return "" if parsed is None else parsed.partitions.get("date", "")

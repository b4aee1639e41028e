"""What a lake has: venues, channels and symbols, each with its first and last day."""

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tickhouse_core.datasets import DATASETS, KLINES, STREAM_EVENTS, Dataset
from tickhouse_core.lake_keys import archived_name, is_streamed, month_of_history, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import (
    day_prefix,
    earliest_kline,
    first_receipt,
    recorded_days,
    symbols_of,
    times_of,
    venues_of,
)
from tickhouse_core.timestamps import DAY_US, from_datetime, to_datetime

log = logging.getLogger(__name__)

MOST_OBJECTS = 2_000
"""Of a dataset and venue that are opened, the newest first: their names do not say which symbols they have."""

CONTENTS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("venue", "channel", "symbol", "interval")),
        *(pa.field(name, pa.date32()) for name in ("first_day", "last_day")),
    ]
)
LISTED = [dataset for dataset in DATASETS if dataset.channel is not None and dataset is not STREAM_EVENTS]
_CHUNK_BYTES, _CHUNK_OBJECTS = 8 * 1024 * 1024, 100


class Held(NamedTuple):
    """Rows of a symbol, of klines also of an interval, of open interest of a period. Days as their first microseconds."""

    venue: str
    channel: str
    symbol: str
    interval: str
    first_day: int
    last_day: int


def contents_table(found: Iterable[Held]) -> pa.Table:
    """One row for each venue, channel, symbol and interval, in this order."""
    spans: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for one in found:
        first, last = spans.get(one[:4], (one.first_day, one.last_day))
        spans[one[:4]] = min(first, one.first_day), max(last, one.last_day)
    rows = [(*names, *(day // DAY_US for day in spans[names])) for names in sorted(spans)]
    columns = list(zip(*rows, strict=True)) or [()] * len(CONTENTS)
    days = [pa.array(column, pa.int32()).cast(pa.date32()) for column in columns[4:]]
    return pa.table([*(pa.array(column, pa.string()) for column in columns[:4]), *days], schema=CONTENTS)


def held_in(store: ObjectStore, most_objects: int = MOST_OBJECTS) -> Iterator[Held]:
    """Raises LakeUnavailable, AccessRefused."""
    for dataset in LISTED:
        for venue in venues_of(store, dataset):
            for symbol in symbols_of(store, dataset, venue):
                for summary in store.list_keys(object_key(dataset, {"venue": venue, "symbol": symbol}, "")):
                    yield from _named(dataset, summary)
            yield from _recorded(store, dataset, venue, most_objects)


def _named(dataset: Dataset, summary: ObjectSummary) -> Iterator[Held]:
    """By the object's key: a month counts up to the day on which it was written."""
    parsed, written = parse_object_key(summary.key), from_datetime(summary.last_modified)
    if parsed is None:
        return
    names = parsed.partitions
    interval = names.get("interval", names.get("period", ""))
    times = times_of(summary.key)
    if dataset is KLINES:
        received = first_receipt(summary.key) if is_streamed(summary.key) else None
        opened = earliest_kline(summary.key, interval)
        times = (received, received) if received else (opened, opened) if opened else None
    is_month = dataset is KLINES or bool(month_of_history(summary.key))
    if times is not None:
        times = (times[0], _month_end(times[0])) if is_month and not is_streamed(summary.key) else times
        yield _held(names["venue"], dataset, names["symbol"], interval, times[0], max(times[0], min(times[1], written)))


def _month_end(first_us: int) -> int:
    next_month = (to_datetime(first_us) + timedelta(days=31)).replace(day=1)
    return from_datetime(next_month) - 1


def _recorded(store: ObjectStore, dataset: Dataset, venue: str, left: int) -> Iterator[Held]:
    """Objects that a capture wrote have rows of several symbols."""
    rows, wanted = ObjectRows(store, dataset, ["symbol"]), Wanted(ds.field("venue") == venue, venue, ("symbol",))
    for day in reversed(recorded_days(store, dataset, venue)):
        listed = list(store.list_keys(day_prefix(dataset, venue, day)))
        for summary in listed:
            if (named := archived_name(summary.key)) is not None:
                yield _held(venue, dataset, named.symbol, "", named.first_us, named.last_us)
        unnamed = [one for one in listed if archived_name(one.key) is None and one.key.endswith(".parquet")]
        if len(unnamed) > left:
            said = {"dataset": dataset.name, "venue": venue, "objects": left}
            log.warning("only the newest objects were opened: older ones may have more symbols and days", extra=said)
        for chunk in in_chunks(list(islice(unnamed, left)), _CHUNK_BYTES, _CHUNK_OBJECTS):
            for symbol in pc.unique(rows.read(chunk, wanted).column("symbol")).to_pylist():
                yield _held(venue, dataset, symbol, "", day, day)
        left = max(0, left - len(unnamed))


def _held(venue: str, dataset: Dataset, symbol: str, interval: str, first_us: int, last_us: int) -> Held:
    return Held(venue, str(dataset.channel), symbol, interval, *(at - at % DAY_US for at in (first_us, last_us)))

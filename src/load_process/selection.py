"""Which objects of the lake an operator means: by key, by prefix, by dataset and time, or by a gap in a stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tickhouse_core.datasets import CHANNELS, DATASETS, Dataset, dataset_of_key
from tickhouse_core.errors import UsageError
from tickhouse_core.lake_keys import is_streamed, parse_object_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.timestamps import DAY_US, HOUR_US, from_datetime
from tickhouse_core.warehouse import Warehouse

Span = tuple[int, int]
"""From and up to, not including: instants in microseconds."""


@dataclass(frozen=True, slots=True)
class GapName:
    """`SYMBOL:CHANNEL:FROM-TO`, as stream_events names gaps; both ids are included."""

    symbol: str
    channel: str
    first: int
    last: int


def parse_gap(text: str) -> GapName:
    """Raises UsageError for what is no gap's name."""
    symbol, _, rest = text.partition(":")
    channel, _, ids = rest.partition(":")
    first, _, last = ids.partition("-")
    if not symbol or channel not in CHANNELS or not (first.isdecimal() and last.isdecimal()):
        channels = ", ".join(CHANNELS)
        raise UsageError(f"--gap {text!r}: write SYMBOL:CHANNEL:FROM-TO with ids as in stream_events and one of {channels}")
    if int(last) < int(first):
        raise UsageError(f"--gap {text!r}: {last} comes before {first}")
    return GapName(symbol, channel, int(first), int(last))


def objects_of_keys(store: ObjectStore, keys: Sequence[str]) -> list[ObjectSummary]:
    """Raises UsageError, before anything is done, for a key that is not in the lake."""
    found = []
    for key in dict.fromkeys(keys):
        if dataset_of_key(key) is None:
            raise UsageError(f"--key {key}: not under data_sources/<dataset>/; name the object itself, not its copy")
        summary = next(store.list_keys(key), None)  # the shortest key with a prefix is listed first
        if summary is None or summary.key != key:
            raise UsageError(f"--key {key}: bucket {store.bucket} has no such object")
        found.append(summary)
    return found


def objects_of_prefix(store: ObjectStore, prefix: str) -> Iterator[ObjectSummary]:
    """The keys that a notification would name: the datasets' Parquet objects."""
    return (item for item in store.list_keys(prefix) if _is_loadable(item))


def objects_of_time(store: ObjectStore, dataset: Dataset, span: Span) -> Iterator[ObjectSummary]:
    """By the hours of the folders; where folders name no hours, by when the object was written."""
    for folder in store.list_folders(dataset.prefix, skip=lambda name: is_outside(name, span)):
        for item in folder.objects:
            is_within = span_of(folder.prefix) is not None or span[0] <= from_datetime(item.last_modified) < span[1]
            if is_within and _is_loadable(item):
                yield item


def objects_of_gap(store: ObjectStore, warehouse: Warehouse, gap: GapName) -> Iterator[ObjectSummary]:
    """All that was recorded on the gap's channel in the hours of the gap and of what healed it.

    An object is in the hour of its first row, so the hour before belongs to it. Raises UsageError for an unknown gap.
    """
    rows = warehouse.query(
        "select venue, toUnixTimestamp64Micro(started_at), toUnixTimestamp64Micro(ifNull(ended_at, started_at)) "
        "from stream_events where event in ('gap', 'healed') and symbol = {symbol:String} and channel = {channel:String} "
        "and from_update_id <= {last:UInt64} and to_update_id >= {first:UInt64}",
        {"symbol": gap.symbol, "channel": gap.channel, "first": gap.first, "last": gap.last},
    )
    if not rows:
        raise UsageError(f"stream_events has no gap of {gap.symbol} on {gap.channel} that touches {gap.first}-{gap.last}")
    spans: dict[str, list[Span]] = {}
    for venue, started, ended in rows:
        spans.setdefault(venue, []).append((started - HOUR_US, ended + 1))
    for venue, of_venue in sorted(spans.items()):
        for dataset in (known for known in DATASETS if known.channel == gap.channel):
            yield from _objects_of_spans(store, f"{dataset.prefix}venue={venue}/", gap.symbol, of_venue)


def _objects_of_spans(store: ObjectStore, prefix: str, symbol: str, spans: list[Span]) -> Iterator[ObjectSummary]:
    def is_other(folder: str) -> bool:
        parsed = parse_object_key(f"{folder}any")
        is_other_symbol = parsed is not None and parsed.partitions.get("symbol", symbol) != symbol
        return is_other_symbol or all(is_outside(folder, span) for span in spans)

    for folder in store.list_folders(prefix, skip=is_other):
        for item in folder.objects:
            of_item = span_of(folder.prefix) or _span_of_klines(item)
            if _is_loadable(item) and any(of_item[0] < span[1] and of_item[1] > span[0] for span in spans):
                yield item


def _span_of_klines(item: ObjectSummary) -> Span:
    """A month's object stands for its month, a stream's object for what was received in the hour from its first row on."""
    name = item.key.rpartition("/")[2].removesuffix(".parquet")
    if is_streamed(item.key) and (first := name.split("-")[1]).isdecimal():
        return int(first), int(first) + HOUR_US
    try:
        month = from_datetime(datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC))
    except ValueError:
        written = from_datetime(item.last_modified)
        return written, written + 1
    return month, month + 31 * DAY_US


def _is_loadable(item: ObjectSummary) -> bool:
    return item.key.endswith(".parquet") and dataset_of_key(item.key) is not None


def span_of(folder: str) -> Span | None:
    """The day or the hour that a folder's partitions name; None where they name none."""
    parsed = parse_object_key(f"{folder}any")
    if parsed is None or "date" not in parsed.partitions:
        return None
    date, hour = parsed.partitions["date"], parsed.partitions.get("hour")
    try:
        start = from_datetime(datetime.strptime(f"{date} {hour or '00'}", "%Y-%m-%d %H").replace(tzinfo=UTC))
    except ValueError:
        return None
    return start, start + (DAY_US if hour is None else HOUR_US)


def is_outside(folder: str, span: Span) -> bool:
    """Whether no object of the folder can be in the span. A folder without a time may hold anything."""
    named = span_of(folder)
    return named is not None and (named[1] <= span[0] or named[0] >= span[1])

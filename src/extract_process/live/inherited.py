"""Inherited ids: where another shard stopped with a market that this one has now, or a backfill of klines, as the lake knows it.

The first message then shows what fell between the two as a gap, as after any restart. What the other shard has not uploaded
yet is in that gap too: too many ids, never too few. Readers close a gap that another instance recorded.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from extract_process.ranges import month_of
from extract_process.shards import without_shard
from extract_process.spool.segments import LastIds
from extract_process.stream_ids import CHANNELS_WITH_IDS, StreamKey
from tickhouse_core.datasets import DATASET_OF, KLINES, Dataset
from tickhouse_core.errors import AccessRefused, LakeRefused, LakeUnavailable, NotProvisioned, ObjectMissing, ObjectRefused
from tickhouse_core.lake_keys import hourly_key, klines_month_key, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_check import CheckedFile, read_footer, refuse_unaskable
from tickhouse_core.timestamps import DAY_US, HOUR_US

log = logging.getLogger(__name__)

LOOK_BACK_HOURS = 6
MOST_OBJECTS = 400
"""Of one dataset. A market without a row in all of them is quiet: it begins anew, and checks find a hole between its ids."""

LONGEST_SEAM_US = 2 * DAY_US
"""Between the last kline of a backfill and the first live one. What is longer was not asked for: 1m has 3 pages of REST in it."""

_READERS = 8
_BLOCK_DIGITS = 9
"""Live klines are listed by the first digits of the receipt time: blocks of 10^9 µs, a quarter of an hour."""


def inherited_ids(
    stores: Sequence[ObjectStore], venue: str, instance: str, streams: Collection[StreamKey], known: LastIds, now_us: int
) -> LastIds:
    """Last id and receipt time of the `streams` that are not in `known`, as other shards of the recorder `instance` left them.

    `stores` are the lakes of this cell and of the others, where a market may have been before. One that is unavailable is no
    reason not to record: it is logged, and nothing is inherited from it.
    """
    wanted = {key for key in streams if key not in known}
    found: dict[StreamKey, tuple[int, int]] = {}
    for store in stores:
        try:
            here = _in_one_lake(store, venue, without_shard(instance), wanted, now_us)
        except (LakeUnavailable, LakeRefused, NotProvisioned, AccessRefused) as error:
            words = "a lake is unavailable: markets that moved begin without their last ids in it"
            log.error(words, extra={"bucket": store.bucket, "error": str(error)})
        else:
            found |= {key: last for key, last in here.items() if key not in found or found[key][1] < last[1]}
    if found:
        log.info("markets taken over from other shards", extra={"streams": len(found), "new": len(wanted) - len(found)})
    return found


def backfilled_ids(store: ObjectStore, venue: str, streams: Collection[StreamKey], known: LastIds, now_us: int) -> LastIds:
    """Last id and receipt time of the klines that are not in `known` and that a backfill brought up to about now.

    The klines between those and the first live one are then a gap, which REST fills.
    """
    wanted = [key for key in streams if key.channel == KLINES.channel and key not in known]
    try:
        with ThreadPoolExecutor(_READERS) as readers:
            newest = dict(zip(wanted, readers.map(lambda key: _newest_of_months(store, venue, key, now_us), wanted), strict=True))
    except (LakeUnavailable, LakeRefused, NotProvisioned, AccessRefused) as error:
        words = "the lake is unavailable: live klines begin without those that a backfill recorded"
        log.error(words, extra={"bucket": store.bucket, "error": str(error)})
        return {}
    return {key: last for key, last in newest.items() if last is not None}


def _newest_of_months(store: ObjectStore, venue: str, key: StreamKey, now_us: int) -> tuple[int, int] | None:
    """Of the footers of this month's object and the last one's; None where they end too long ago."""
    this_month = month_of(now_us)
    before = next(month for days in range(1, 32) if (month := month_of(now_us - days * DAY_US)) != this_month)
    for month in (this_month, before):
        name = klines_month_key(venue, key.symbol, key.interval, month)
        for summary in store.list_keys(name):
            try:
                source = store.open(summary)
                file = pq.ParquetFile(source)
                refuse_unaskable(file, read_footer(source))
                last = _greatest(file.metadata, KLINES.id_column), _greatest(file.metadata, "receipt_time")
            except (ObjectMissing, ObjectRefused, pa.ArrowException, OSError, ValueError) as error:
                log.warning("not a month of klines: live ones begin without it", extra={"key": name, "why": str(error)})
                return None
            is_recent = now_us - LONGEST_SEAM_US <= key.grid.after(last[0], 2) and last[0] <= now_us
            return last if is_recent and key.grid.floor(last[0]) == last[0] else None
    return None


def _greatest(footer: pq.FileMetaData, column: str) -> int:
    """Of the instants of a column, in microseconds. Raises ValueError where the footer does not have it."""
    place = footer.schema.names.index(column)
    found = [footer.row_group(number).column(place).statistics for number in range(footer.num_row_groups)]
    if any(group is None or not group.has_min_max for group in found):
        raise ValueError(f"its footer has no statistics of {column}")
    return max(int(group.max_raw) for group in found)


def _in_one_lake(store: ObjectStore, venue: str, recorder: str, wanted: set[StreamKey], now_us: int) -> LastIds:
    found: dict[StreamKey, tuple[int, int]] = {}
    for channel in CHANNELS_WITH_IDS:
        if keys := {key for key in wanted if key.channel == channel}:
            found |= _Search(store, venue, recorder, DATASET_OF[channel], keys).newest(now_us)
    return found


class _Search:
    """The newest rows of some streams, in objects of one dataset, the newest objects first."""

    def __init__(self, store: ObjectStore, venue: str, recorder: str, dataset: Dataset, keys: set[StreamKey]) -> None:
        self._store = store
        self._venue = venue
        self._recorder = recorder
        self._dataset = dataset
        self._missing = keys
        self._found: dict[StreamKey, tuple[int, int]] = {}

    def newest(self, now_us: int) -> dict[StreamKey, tuple[int, int]]:
        names = self._kline_objects(now_us) if self._dataset is KLINES else self._objects(now_us)
        with ThreadPoolExecutor(_READERS) as readers:
            while self._missing and (batch := list(islice(names, _READERS))):
                for table in readers.map(self._read, batch):
                    self._take(table)
                    self._missing -= self._found.keys()
        return self._found

    def _objects(self, now_us: int) -> Iterator[str]:
        """At most MOST_OBJECTS, of the last hours."""
        return islice((key for hour in range(LOOK_BACK_HOURS) for key in self._hour(now_us - hour * HOUR_US)), MOST_OBJECTS)

    def _hour(self, at_us: int) -> list[str]:
        folder = hourly_key(self._dataset, self._venue, at_us, "", 0).rpartition("/")[0] + "/"
        return self._of_recorder(summary.key for summary in self._store.list_keys(folder))

    def _kline_objects(self, now_us: int) -> Iterator[str]:
        """The newest object of each series, of the last quarters of an hour."""
        block = now_us // 10**_BLOCK_DIGITS
        for key in sorted(self._missing, key=lambda key: (key.symbol, key.interval)):
            series = {"venue": self._venue, "symbol": key.symbol, "interval": key.interval}
            for number in (block, block - 1):
                prefix = object_key(KLINES, series, f"stream-{number}")
                if names := self._of_recorder(summary.key for summary in self._store.list_keys(prefix)):
                    yield names[0]
                    break

    def _of_recorder(self, keys: Iterable[str]) -> list[str]:
        """The newest first."""
        named = [(_received(key), key) for key in keys if without_shard(_instance(key)) == self._recorder]
        return [key for _, key in sorted(named, reverse=True)]

    def _read(self, key: str) -> pa.Table | None:
        """None where the object went meanwhile, or where a loader refuses it too."""
        try:
            return CheckedFile(self._store.read(key).body, self._dataset, key).whole()
        except ObjectMissing:
            return None
        except ObjectRefused as refused:
            log.warning("no last ids from an object that cannot be read", extra={"key": key, "why": refused.reason})
            return None

    def _take(self, table: pa.Table | None) -> None:
        if table is None:
            return
        by = ["symbol", "interval"] if self._dataset is KLINES else ["symbol"]
        name = self._dataset.id_column
        numbers = {by_name: table[by_name].cast(pa.string()) for by_name in by}
        numbers |= {column: table[column].cast(pa.int64()) for column in (name, "receipt_time")}
        rows = pa.table(numbers).group_by(by).aggregate([(name, "max"), ("receipt_time", "max")])
        for row in rows.to_pylist():
            key = StreamKey(self._dataset.channel or "", row["symbol"], row.get("interval", ""))
            if key in self._missing:
                last = (row[f"{name}_max"], row["receipt_time_max"])
                self._found[key] = max(self._found.get(key, last), last)


def _instance(key: str) -> str:
    """Of `<first receipt>-<instance>-<sequence>.parquet`, with or without `stream-` before it; "" for a month of klines."""
    name = _file_name(key).split("-")
    return "-".join(name[1:-1])


def _received(key: str) -> int:
    """Microseconds; 0 where the name has none."""
    first = _file_name(key).partition("-")[0]
    return int(first) if first.isdecimal() else 0


def _file_name(key: str) -> str:
    parsed = parse_object_key(key)
    return "" if parsed is None else parsed.file_name.removeprefix("stream-")

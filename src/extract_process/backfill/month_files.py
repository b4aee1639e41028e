"""What the lake holds of one series of klines, and how a month's object is completed without losing a row.

One object per month and series, completed in place: one glob reads the lake, and the backfill keeps no state beside it. A new
version is loaded as a whole; bronze keeps every version, silver one row per kline.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extract_process.backfill.plan import NO_DATA, Coverage
from extract_process.parquet import parquet_bytes
from extract_process.ranges import Grid, Range
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import LakeUnavailable, ObjectChanged, ObjectMissing, ObjectRefused
from tickhouse_core.lake_keys import klines_month_key, klines_prefix
from tickhouse_core.object_store import ObjectStore, ObjectSummary, quarantine
from tickhouse_core.parquet_check import is_as_we_write, read_checked, read_footer, refuse_damaged, refuse_unaskable

log = logging.getLogger(__name__)

_MONTH_FILE = re.compile(r"/(\d{4}-\d{2})\.parquet$")
_NO_DATA = "tickhouse.no_data"
_OPEN_GAPS = "tickhouse.open_gaps"
"""Footer: ranges that the archive did not explain. Rows that come later heal them."""

_COMPARED = (
    "close_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)
_TRIES = 5
_UNREADABLE = (ObjectRefused, pa.ArrowException, OSError, KeyError, ValueError)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One value of one kline on which the lake and a source differ. The lake's stays."""

    open_time: int
    column: str
    in_lake: str
    offered: str


@dataclass(frozen=True, slots=True)
class LandedMonth:
    """What a landing did: new rows (each open time once), what was missing before and is there now, values that differ.

    `healed` has each range with the cause of the gap it was, or was a part of.
    """

    key: str
    rows: int
    healed: list[tuple[Range, str]]
    disagreements: list[Disagreement]


MOST_MONTH_BYTES = 512 * 1024**2
"""Of a month's object: several times the largest there is, 2,678,400 klines of a second."""


class KlineLake:
    """One venue, symbol and interval. Blocking: call it from a thread. Errors: LakeUnavailable, UsageError, ObjectTooLarge."""

    def __init__(
        self,
        store: ObjectStore,
        venue: str,
        symbol: str,
        interval: str,
        grid: Grid,
        most_object_bytes: int = MOST_MONTH_BYTES,
    ) -> None:
        self._store = store
        self._most_object_bytes = most_object_bytes
        self._series = (venue, symbol, interval)
        self._grid = grid

    def read_coverage(self, months: Iterable[str]) -> dict[str, Coverage]:
        """Coverage of those months that have an object. Reads footers; open times only where a month has holes."""
        wanted = set(months)
        for _ in range(_TRIES):
            found = [(_month_in(summary.key), summary) for summary in self._store.list_keys(klines_prefix(*self._series))]
            try:
                return {month: self._coverage_of(summary) for month, summary in found if month in wanted}
            except (ObjectChanged, ObjectMissing) as error:
                log.info("somebody else wrote a month, looking again", extra={"why": str(error)})
        raise LakeUnavailable(f"{klines_prefix(*self._series)} kept changing while it was read: run again")

    def open_gaps(self, month: str) -> list[Range]:
        """Ranges of the month that were written down as gaps without a proof, and are still missing."""
        return [span for span, _ in self._read(klines_month_key(*self._series, month)).open_gaps]

    def land(
        self, month: str, rows: pa.Table, no_data: list[Range], unexplained: Sequence[tuple[Range, str]] = ()
    ) -> LandedMonth:
        """Adds rows and absences to the month's object; a row that is there already is never overwritten.

        `no_data` is proven and never asked for again; `unexplained` (with its cause) is kept so that the rows are known
        to heal a gap when they come. Conditional writes make two backfills of the same month safe: the loser reads again
        and merges.
        """
        key = klines_month_key(*self._series, month)
        rows = in_order(rows)
        for _ in range(_TRIES):
            known = self._read(key)
            new = without_rows_of(known.rows, rows)
            merged = in_order(pa.concat_tables([known.rows, new]))
            everything = pa.concat_tables([merged, known.others]) if known.others.num_rows else merged
            present = self._grid.ranges_of(merged["open_time"].cast(pa.int64()).to_pylist())
            absences = self._grid.without(known.no_data + no_data, present)
            told = [*known.open_gaps, *unexplained]
            gaps = self._still_open(told, present + absences)
            body = parquet_bytes(everything, KLINES, _footer(absences, gaps))
            try:
                self._store.write(key, body, replaces=known.etag, must_be_new=known.etag is None)
            except ObjectChanged:
                log.info("somebody else wrote the month, merging again", extra={"key": key})
                continue
            healed = [(span, NO_DATA) for span in self._grid.without(known.no_data, absences)]
            for gap, cause in told:
                healed += [(span, cause) for span in self._grid.without([gap], self._grid.without([gap], present))]
            return LandedMonth(key, new.num_rows, healed, compare(known.rows, rows))
        raise LakeUnavailable(f"{key} was overwritten by others {_TRIES} times in a row: run again")

    def _still_open(self, gaps: list[tuple[Range, str]], closed: list[Range]) -> list[tuple[Range, str]]:
        """Without what is there now or proven absent; each range once, with the cause it was first written down with."""
        still: list[tuple[Range, str]] = []
        for gap, cause in gaps:
            still += [(span, cause) for span in self._grid.without([gap], closed + [span for span, _ in still])]
        return still

    def _coverage_of(self, summary: ObjectSummary) -> Coverage:
        try:
            source = self._store.open(summary)
            file = pq.ParquetFile(source, page_checksum_verification=True)
            refuse_unaskable(file, footer := read_footer(source))
            refuse_damaged(footer, summary.size)
            no_data = _absences(file.schema_arrow)
            if not is_as_we_write(file, KLINES, summary.key):  # what the loader refuses is not there
                rows = read_checked(self._store.read_range(summary, 0, summary.size), KLINES, summary.key)
                ours = rows.filter(self._is_of_series(rows))
                return Coverage(self._ranges_of(ours), no_data if ours.num_rows == rows.num_rows else [])
            present = self._if_contiguous(file.metadata)
            if present is None:
                present = self._ranges_of(file.read(["open_time"]))
        except _UNREADABLE as error:
            log.warning("not a month of klines, asking for it again", extra={"key": summary.key, "why": str(error)})
            return Coverage()
        return Coverage(present, no_data)

    def _ranges_of(self, rows: pa.Table) -> list[Range]:
        return self._grid.ranges_of(sorted(set(rows["open_time"].cast(pa.int64()).to_pylist())))

    def _if_contiguous(self, metadata: pq.FileMetaData) -> list[Range] | None:
        """One range where the footer's count and statistics leave no room for a hole; None where it takes a look.

        Every row has its own open time (a landing never doubles one), so count = span means no hole.
        """
        if metadata.num_rows == 0:
            return []
        index = metadata.schema.names.index("open_time")
        groups = [metadata.row_group(number).column(index).statistics for number in range(metadata.num_row_groups)]
        if any(group is None or not group.has_min_max for group in groups):
            return None
        first, last = min(group.min_raw for group in groups), max(group.max_raw for group in groups)
        span = Range(first, last)
        aligned = self._grid.floor(first) == first and self._grid.floor(last) == last
        return [span] if aligned and self._grid.count(span) == metadata.num_rows else None

    def _read(self, key: str) -> "_Stored":
        """A month's object; without an etag where there is none yet. ObjectTooLarge for one that is not read."""
        try:
            stored = self._store.read(key, most_bytes=self._most_object_bytes)
        except ObjectMissing:
            return _Stored(None, KLINES.schema.empty_table(), KLINES.schema.empty_table(), [], [])
        try:
            table = read_checked(stored.body, KLINES, key)
            footer = pq.read_schema(pa.BufferReader(stored.body))
            is_ours = self._is_of_series(table)
            rows, others = table.filter(is_ours), table.filter(pc.invert(is_ours))
            if others.num_rows:  # then the footer may speak of theirs
                said = {"key": key, "rows": others.num_rows}
                log.warning("rows of another series in this month: they stay, and count for nothing here", extra=said)
                return _Stored(stored.etag, rows, others, [], [])
            return _Stored(stored.etag, rows, others, _absences(footer), _open_gaps(footer))
        except _UNREADABLE as error:
            reason = error.reason if isinstance(error, ObjectRefused) else "broken_footer"
            copy = quarantine(self._store, key, stored.etag, stored.body, reason, str(error))
            log.warning("not a month of klines, writing it anew", extra={"key": key, "copy": copy, "why": str(error)})
            return _Stored(stored.etag, KLINES.schema.empty_table(), KLINES.schema.empty_table(), [], [])

    def _is_of_series(self, rows: pa.Table) -> pa.ChunkedArray:
        """Row by row. The loader believes the columns of an object, not its key."""
        venue, symbol, interval = (
            pc.equal(rows[name].cast(pa.string()), value)
            for name, value in zip(("venue", "symbol", "interval"), self._series, strict=True)
        )
        return pc.and_(pc.and_(venue, symbol), interval)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A month's object as it was read: its rows, those that say another series, and what its footer says of missing ones."""

    etag: str | None
    rows: pa.Table
    others: pa.Table
    no_data: list[Range]
    open_gaps: list[tuple[Range, str]]


def without_rows_of(known: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows whose open time `known` does not have."""
    return rows.filter(pc.invert(pc.is_in(rows["open_time"], value_set=known["open_time"]))) if known.num_rows else rows


def compare(stored: pa.Table, offered: pa.Table) -> list[Disagreement]:
    """Every value on which two tables differ for the same open time; receipt and source may differ."""
    overlap = offered.filter(pc.is_in(offered["open_time"], value_set=stored["open_time"])).sort_by("open_time")
    mine = stored.filter(pc.is_in(stored["open_time"], value_set=offered["open_time"])).sort_by("open_time")
    found = []
    for column in _COMPARED if overlap.num_rows else ():
        differing = pc.indices_nonzero(pc.not_equal(mine[column], overlap[column])).to_pylist()
        found += [
            Disagreement(
                open_time=mine["open_time"][row].value,
                column=column,
                in_lake=str(mine[column][row].as_py()),
                offered=str(overlap[column][row].as_py()),
            )
            for row in differing
        ]
    return found


def in_order(rows: pa.Table) -> pa.Table:
    """By open time, each open time once; rows that are in order already are not copied."""
    if _is_ascending(rows["open_time"]):
        return rows
    rows = rows.sort_by("open_time")
    times = rows["open_time"]
    if _is_ascending(times):
        return rows
    is_first = pc.not_equal(times[1:], times[:-1]).combine_chunks()
    return rows.filter(pa.concat_arrays([pa.array([True]), is_first]))


def _is_ascending(times: pa.ChunkedArray) -> bool:
    return len(times) < 2 or bool(pc.all(pc.less(times[:-1], times[1:])).as_py())


def _month_in(key: str) -> str:
    """`YYYY-MM` of a month's object; empty for other objects of the series."""
    match = _MONTH_FILE.search(key)
    return match.group(1) if match else ""


def _footer(absences: list[Range], gaps: list[tuple[Range, str]]) -> dict[str, str]:
    """What a month's footer says of missing klines: ranges in microseconds, gaps with their cause."""
    footer = {"no_data": orjson.dumps([[span.first, span.last] for span in absences]).decode()}
    if gaps:
        footer["open_gaps"] = orjson.dumps([[span.first, span.last, cause] for span, cause in gaps]).decode()
    return footer


def _absences(schema: pa.Schema) -> list[Range]:
    text = (schema.metadata or {}).get(_NO_DATA.encode(), b"[]")
    return [Range(int(first), int(last)) for first, last in orjson.loads(text)]


def _open_gaps(schema: pa.Schema) -> list[tuple[Range, str]]:
    text = (schema.metadata or {}).get(_OPEN_GAPS.encode(), b"[]")
    return [(Range(int(first), int(last)), str(cause)) for first, last, cause in orjson.loads(text)]

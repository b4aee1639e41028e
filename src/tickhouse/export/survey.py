"""The first pass of an export: ids and times alone say where what was recorded is proven, and how far the clocks are apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tickhouse.export.book_runs import BookRuns
from tickhouse.export.job import Job
from tickhouse.export.receipt_times import ReceiptTimes
from tickhouse.export.spans import Span, SpanCollector, widened
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, STREAM_EVENTS, TRADES
from tickhouse_core.reading.book_at import BookState, book_at
from tickhouse_core.reading.certainty import Certainty
from tickhouse_core.reading.events import joined
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import first_receipt, received_from
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.reading.source import LakeSource
from tickhouse_core.timestamps import HOUR_US

_CHUNK_BYTES, _CHUNK_OBJECTS = 8 * 1024 * 1024, 400
_OF_UPDATES = ("first_update_id", "last_update_id", "event_time", "receipt_time")
_NOT_RECEIVED_US = HOUR_US
"""A bulk file is there a day later; a recorder's clock is not an hour wrong."""

_VERDICTS = ("proven", "synced", "mismatch", "unproven")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One of the venue's, without its levels; `received` in microseconds."""

    id: int
    received: int
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """`spans`: where every row is there, and the book known. `least_latency` in microseconds, None if none was received."""

    spans: list[Span]
    least_latency: int | None
    verdicts: list[dict[str, Any]]
    snapshots: list[Snapshot]
    start_book: BookState | None


def survey_trades(job: Job, certainty: Certainty) -> Survey:
    """A span ends where an id is missing that is a trade: ids show it where they count up (`Dataset.counted_at`), else gaps."""
    counts_up = job.asked.venue in TRADES.counted_at
    no_trades = job.events.no_trades(TRADES, job.asked) if counts_up else []
    missing = [] if counts_up else joined(chain.from_iterable(job.missing(TRADES, certainty)))
    firsts, ends = np.array(missing, dtype=np.int64).reshape(-1, 2).T
    spans, least, before = SpanCollector(), None, None
    times = ReceiptTimes(0)
    for table in job.scan(TRADES, ["trade_id", "trade_time", "receipt_time"]).tables():
        ids, venue, received = (whole_numbers(table.column(name)) for name in ("trade_id", "trade_time", "receipt_time"))
        previous = np.r_[ids[0] - 1 if before is None else before, ids[:-1]]
        place = np.searchsorted(firsts, ids, side="left") - 1  # the last missing id or more that begins before this id
        is_cut = _is_jump(previous, ids, no_trades) if counts_up else np.zeros(len(ids), dtype=bool)
        if len(firsts):
            is_cut |= (place >= 0) & (ends[np.maximum(place, 0)] > previous + 1)
        spans.take(times.ascending(venue, venue)[0], np.ones(len(ids), dtype=bool), is_cut)
        least = _least(least, received - venue)
        before = int(ids[-1])
        job.progress(int(venue[-1]))
    return Survey(_up_to_borders(job, certainty, spans.spans), least, [], [], None)


def _is_jump(previous: Numbers, ids: Numbers, no_trades: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Whether ids are missing between these and the ones before; `no_trades` are ranges of ids that are none, in order."""
    firsts, ends = np.array([(0, 0), *no_trades], dtype=np.int64).T
    place = np.searchsorted(firsts, previous + 1, side="right") - 1
    found: npt.NDArray[np.bool_] = ids > np.maximum(previous + 1, ends[place])
    return found


def survey_book(job: Job, certainty: Certainty) -> Survey:
    """A span begins with a snapshot and ends where an update is missing; what a mismatch put into doubt is in none."""
    before = job.asked.start - 1  # a book at an instant has what happened in it
    at_start = book_at(LakeSource(job.store), replace(job.asked, start=before - 1, end=before))
    is_known = at_start.is_proven and at_start.last_update_id is not None
    snapshots, verdicts = _snapshots(job), _verdicts(job)
    runs = BookRuns([(one.id, one.reason) for one in snapshots], at_start.last_update_id if is_known else None)
    doubtful = _doubtful(verdicts, [one.id for one in snapshots if one.reason == "mismatch"])
    spans, least, times = SpanCollector(), None, ReceiptTimes(0)
    began_known: bool | None = None
    for table in job.scan(DEPTH_DIFFS, _OF_UPDATES).tables():
        columns = [whole_numbers(table.column(name)) for name in _OF_UPDATES]
        if began_known is None:
            columns = [column[columns[1] > runs.at_id] for column in columns]
        first, last, venue, received = columns
        if not len(last):
            continue
        is_good, is_cut = np.zeros(len(last), dtype=bool), np.zeros(len(last), dtype=bool)
        known, place = runs.is_known, 0
        for mark in runs.marks(first, last):
            is_good[place : mark.row] = known
            place, known = mark.row, mark.kind != "broken"
            is_cut[mark.row] |= mark.kind == "broken"
        is_good[place:] = known
        is_good &= ~_is_within(last, doubtful)
        if began_known is None:
            began_known = bool(is_good[0])
        spans.take(times.ascending(venue, venue)[0], is_good, is_cut)
        least = _least(least, received - venue)
        job.progress(int(venue[-1]))
    found = _up_to_borders(job, certainty, spans.spans, begins=bool(began_known) and is_known, ends=runs.is_known)
    return Survey(found, least, verdicts, snapshots, at_start if is_known else None)


def _up_to_borders(job: Job, certainty: Certainty, spans: list[Span], *, begins: bool = True, ends: bool = True) -> list[Span]:
    """A quiet market is recorded up to a border that has a row beyond it: the coverage says so."""
    (line,) = certainty.coverage.select(["start", "end", "recorded_from", "recorded_until"]).to_pylist()
    start = job.asked.start if begins and line["recorded_from"] == line["start"] else None
    return widened(spans, start, job.asked.end if ends and line["recorded_until"] == line["end"] else None)


def _least(known: int | None, latency: Numbers) -> int | None:
    """Of rows that a capture received: what was read from a file hours later says nothing of a connection."""
    latency = latency[latency < _NOT_RECEIVED_US]
    here = [] if known is None else [known]
    return min([*here, *([int(latency.min())] if len(latency) else [])], default=None)


def _snapshots(job: Job) -> list[Snapshot]:
    """Of the range and an hour around it, by id; of one id the first received."""
    around = replace(job.asked, start=job.asked.start - HOUR_US, end=job.asked.end + HOUR_US)
    scan = RowScan(job.store, DEPTH_SNAPSHOTS, around, columns=["last_update_id", "receipt_time", "reason"])
    found: dict[int, Snapshot] = {}
    for table in scan.tables():
        ids, received = (whole_numbers(table.column(name)).tolist() for name in ("last_update_id", "receipt_time"))
        for one, at, reason in zip(ids, received, table.column("reason").to_pylist(), strict=True):
            found.setdefault(one, Snapshot(one, at, reason))
    return [found[one] for one in sorted(found)]


def _verdicts(job: Job) -> list[dict[str, Any]]:
    """What the recorders found out about their books in the range: in the columns of stream_events, by time."""
    asked, symbol = job.asked, job.asked.symbols[0]
    listed = [
        summary
        for summary in received_from(job.store, STREAM_EVENTS, asked.venue, asked.start - HOUR_US)
        if asked.start - HOUR_US <= (first_receipt(summary.key) or asked.start) < asked.end + HOUR_US
    ]
    told = ds.field("event").isin(_VERDICTS) & (ds.field("venue") == asked.venue) & (ds.field("symbol") == symbol)
    told &= ds.field("channel") == DEPTH_DIFFS.channel  # what best prices say is less than a proof
    reader, wanted = ObjectRows(job.store, STREAM_EVENTS), Wanted(told, asked.venue, ("event", "symbol", "channel"))
    tables = [reader.read(chunk, wanted) for chunk in in_chunks(listed, _CHUNK_BYTES, _CHUNK_OBJECTS)]
    rows = pa.concat_tables([reader.schema.empty_table(), *tables])
    started = whole_numbers(rows.column("started_at"))
    rows = rows.filter(pa.array((started >= asked.start) & (started < asked.end), pa.bool_()))
    by_time = [(name, "ascending") for name in ("started_at", "instance", "event", "to_update_id")]
    found = rows.take(pc.sort_indices(rows, by_time)).to_pylist()
    return list({tuple(row[name] for name in STREAM_EVENTS.natural_key): row for row in found}.values())


def _doubtful(verdicts: list[dict[str, Any]], corrected_at: Sequence[int]) -> list[Span]:
    """Half-open ranges of update ids: from behind the last update that was found right up to the snapshot that put it right."""
    of = {name: [row["to_update_id"] for row in verdicts if row["event"] == name] for name in _VERDICTS}
    right, wrong = [*of["proven"], *of["synced"]], of["mismatch"]
    found = []
    for one in sorted(wrong):
        first = max((known for known in right if known < one), default=-1) + 1
        last = min((known for known in [*right, *corrected_at] if known > one), default=2**62)
        found.append((first, last + 1))
    return found


def _is_within(ids: Numbers, ranges: Sequence[Span]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(ids), dtype=bool)
    for first, end in ranges:
        found |= (ids >= first) & (ids < end)
    return found

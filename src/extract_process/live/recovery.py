"""Recovery: what a process left behind when it was killed becomes objects, and what it had missed becomes gaps."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from extract_process.ranges import EVERY_ID, Grid, Range
from extract_process.records import Heartbeat, StreamEvent
from extract_process.sequence import Gap
from extract_process.spool.outbox import Outbox
from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import (
    Checkpoint,
    Kind,
    LastIds,
    Record,
    RestAnswer,
    Segment,
    leftover_segments,
    load_checkpoint,
    parse_rest_answer,
    read_segment,
)
from extract_process.stream_ids import StreamKey, ids_of, key_of
from extract_process.venues import Venue
from extract_process.venues.parsing import DATA_ERRORS
from tickhouse_core.errors import VenueError
from tickhouse_core.event_kinds import EventKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where a capture goes on: the next segment's number, last ids, and gaps that were not recorded yet."""

    next_sequence: int
    last_ids: LastIds
    gaps: list[tuple[StreamKey, Gap]]


def recover(folder: Path, outbox: Outbox, venue: Venue, instance: str, symbols: frozenset[str]) -> Recovered:
    """Turns leftover segments into objects under the keys they would have had, with their original receipt times."""
    memory = load_checkpoint(folder)
    covered = CoveredStreams(memory.last_ids, venue.sparse_channels)
    leftovers = leftover_segments(folder)
    for segment in leftovers:
        rows = rows_of_segment(segment, venue, RowBuffer(venue, instance, symbols), covered)
        outbox.put(segment.sequence, rows.objects(segment.sequence))
    last_ids, gaps = covered.settle()
    last = max([memory.sequence, outbox.last_sequence(), *(segment.sequence for segment in leftovers)])
    Checkpoint(last, last_ids).save(folder)
    for segment in leftovers:
        log.info("recovered a segment", extra={"segment": str(segment.path), "bytes": segment.delete()})
    return Recovered(last + 1, last_ids, gaps)


def rows_of_segment(segment: Segment, venue: Venue, rows: RowBuffer, covered: "CoveredStreams | None" = None) -> RowBuffer:
    """`rows`, an empty buffer, with the rows of a segment on disk; its ids are added to `covered`."""
    refused = _RefusedAnswers(venue.name, rows.instance)
    for record in read_segment(segment):
        _replay(record, rows, venue, covered, refused)
    return rows


def _replay(record: Record, rows: RowBuffer, venue: Venue, covered: "CoveredStreams | None", refused: "_RefusedAnswers") -> None:
    """The same rows as when it came."""
    match record.kind:
        case Kind.FRAME | Kind.EXTRA_FRAME:
            try:
                messages = venue.parse_frame(record.payload, record.receipt_time)
            except DATA_ERRORS:  # FrameRefused is one of them
                return  # its event is a record of its own
            rows.add_messages(messages, record.receipt_time)
            if covered is not None:
                covered.add_messages(filter(rows.is_collected, messages), record.receipt_time)
        case Kind.REST_ANSWER:
            answer = parse_rest_answer(record.payload)
            poll = venue.polls.get(answer.what)
            try:
                polled = poll.parse(answer.body, answer.symbol) if poll else None
                rows.add_answer(answer, record.receipt_time, polled)
            except (*DATA_ERRORS, VenueError, pa.ArrowException) as error:  # another version of tickhouse could read it
                for event in refused.refuse(answer, record.receipt_time, error, is_polled=poll is not None):
                    rows.add_event(event, record.receipt_time)
                return
            if covered is not None and polled is not None:
                covered.add_messages(polled, record.receipt_time)
        case Kind.EVENT:
            event = StreamEvent(**orjson.loads(record.payload))
            if refused.had_healed(event):
                return
            rows.add_event(event, record.receipt_time)
            if covered is not None:
                covered.add_event(event)
        case Kind.HEARTBEAT:
            rows.add_heartbeat(Heartbeat(**orjson.loads(record.payload)))


class _RefusedAnswers:
    """REST answers of a segment that cannot be read: each is an event, and what they had healed stays a gap."""

    def __init__(self, venue: str, instance: str) -> None:
        self._names = venue, instance
        self._answers: list[RestAnswer] = []

    def refuse(self, answer: RestAnswer, at: int, error: Exception, *, is_polled: bool) -> list[StreamEvent]:
        """The gap that an answer was to fill is an event of before; that of a polled value has no ids."""
        venue, instance = self._names
        said = {"symbol": answer.symbol, "channel": answer.what, "why": str(error)[:300]}
        log.error("a stored REST answer cannot be read, its rows are missing; the others are recovered", extra=said)
        self._answers.append(answer)
        words = f"{answer.interval} {type(error).__name__}: {error}: {answer.body[:300].decode(errors='replace')}".lstrip()
        names: tuple[EventKind, ...] = ("refused_frame", "gap") if is_polled else ("refused_frame",)
        of = venue, answer.symbol, answer.what, instance
        return [StreamEvent(*of, name, None, None, at, at, "unusable_answer", words) for name in names]

    def had_healed(self, event: StreamEvent) -> bool:
        if event.event != "healed" or event.from_update_id is None or event.to_update_id is None:
            return False
        first, last, interval = event.from_update_id, event.to_update_id, event.detail.partition(" ")[0]
        return any(
            (answer.what, answer.symbol) == (event.channel, event.symbol)
            and answer.interval in ("", interval)
            and answer.from_id <= last
            and first <= answer.to_id
            for answer in self._answers
        )


class CoveredIds:
    """Of one stream, which ids are on disk as rows or as gaps, and which fell out in a crash.

    Collects what leftover segments hold, in any order, beyond the last id that was known before them.
    """

    def __init__(self, last_id: int | None, grid: Grid = EVERY_ID) -> None:
        self._last_id = last_id
        self._grid = grid
        self._ranges: list[Range] = []

    def add(self, first: int, last: int) -> None:
        """Rows, or a recorded gap: both cover their ids."""
        if self._ranges and self._ranges[-1].first <= first <= self._grid.after(self._ranges[-1].last):
            self._ranges[-1] = Range(self._ranges[-1].first, max(last, self._ranges[-1].last))
        else:
            self._ranges.append(Range(first, last))

    def forget(self, first: int, last: int) -> None:
        """Rows with these ids belong to no numbering, or to another one."""
        self._ranges = [span for span in self._ranges if not (first <= span.first and span.last <= last)]

    def settle(self) -> tuple[int | None, list[Gap]]:
        """The last id, and the holes before it without a recorded gap: a process was killed before it could write one."""
        last, gaps = self._last_id, []
        for span in self._grid.joined(self._ranges):
            if last is not None and span.first > self._grid.after(last):
                gaps.append(Gap(self._grid.after(last), self._grid.before(span.first), "restart"))
            last = span.last if last is None else max(last, span.last)
        return last, gaps


class CoveredStreams:
    """The ids that the leftover segments cover, by stream."""

    def __init__(self, last_ids: LastIds, sparse_channels: frozenset[str] = frozenset()) -> None:
        """Sparse channels have no holes between ids: only their last id counts."""
        self._last_ids = dict(last_ids)
        self._sparse_channels = sparse_channels
        self._receipts = {key: receipt_time for key, (_, receipt_time) in last_ids.items()}
        self._covered: dict[StreamKey, CoveredIds] = {}
        self._gaps: list[tuple[StreamKey, Gap]] = []

    def add_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        for message in messages:
            key, ids = key_of(message), ids_of(message)
            if key is not None and ids is not None:
                self._ids_of(key).add(*ids)
                self._receipts[key] = receipt_time

    def add_event(self, event: StreamEvent) -> None:
        """A recorded gap covers its ids; a new numbering is a stream of its own from there on."""
        first, last = event.from_update_id, event.to_update_id
        if first is None or last is None or event.event not in ("gap", "new_numbering", "implausible_id"):
            return
        key = StreamKey(event.channel, event.symbol, event.detail.partition(" ")[0] if event.channel == "klines" else "")
        if event.event != "gap":
            self._ids_of(key).forget(first, last)
        if event.event == "new_numbering":
            self._gaps += self._holes_of(key)[1]
            self._covered[key] = CoveredIds(None, key.grid)
        if event.event != "implausible_id":
            self._ids_of(key).add(first, last)

    def settle(self) -> tuple[LastIds, list[tuple[StreamKey, Gap]]]:
        gaps = self._gaps
        for key in self._covered:
            last_id, holes = self._holes_of(key)
            gaps += holes
            if last_id is not None:
                self._last_ids[key] = (last_id, self._receipts.get(key, 0))
        return self._last_ids, gaps

    def _holes_of(self, key: StreamKey) -> tuple[int | None, list[tuple[StreamKey, Gap]]]:
        last_id, holes = self._covered[key].settle()
        return last_id, [(key, hole) for hole in holes if key.channel not in self._sparse_channels]

    def _ids_of(self, key: StreamKey) -> CoveredIds:
        if (ids := self._covered.get(key)) is None:
            last_id = self._last_ids[key][0] if key in self._last_ids else None
            ids = self._covered[key] = CoveredIds(last_id, key.grid)
        return ids

"""One symbol's klines on their way: months that wait for pages, and their landing with every gap written down."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.backfill.month_files import KlineLake, LandedMonth
from extract_process.backfill.plan import NO_DATA
from extract_process.parquet import write_events
from extract_process.ranges import Grid, Range
from extract_process.records import StreamEvent
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import KLINES
from tickhouse_core.event_kinds import EventKind, GapCause
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import format_instant, now_us

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenMonth:
    """A month some of whose answers are here; it lands when nothing is awaited any more."""

    month: str
    awaited: int = 0
    tables: list[pa.Table] = field(default_factory=list)
    no_data: list[Range] = field(default_factory=list)
    unexplained: list[tuple[Range, str]] = field(default_factory=list)


class KlineSeries:
    """The months of one venue, symbol and interval. Fed from the event loop; `land` blocks: call it from a thread."""

    def __init__(self, store: ObjectStore, venue: str, symbol: str, interval: str, grid: Grid, contract_size: str = "") -> None:
        """`contract_size`: what a contract is worth, where quantities are contracts; it is told once rows land."""
        self.symbol = symbol
        self.grid = grid
        self.lake = KlineLake(store, venue, symbol, interval, grid)
        self._store = store
        self._venue = venue
        self._instance = f"backfill-{symbol}-{interval}"
        self._months: dict[str, OpenMonth] = {}
        self._events_written = 0
        self._contract_size = contract_size

    def expect(self, span: Range) -> None:
        """An answer for this range is on its way."""
        for month, _ in self.grid.split_by_month(span):
            self._month(month).awaited += 1

    def add_absence(self, spans: Iterable[Range]) -> None:
        """The venue proved to have no klines in these ranges."""
        for span in spans:
            for month, part in self.grid.split_by_month(span):
                self._month(month).no_data.append(part)

    def add_unexplained(self, span: Range, cause: GapCause) -> None:
        """Klines that stay missing without a proof: written down as a gap, and asked for again next time."""
        for month, part in self.grid.split_by_month(span):
            self._month(month).unexplained.append((part, cause))

    def add_answer(self, span: Range, rows: pa.Table) -> None:
        """The rows that answer an expected range, off-grid ones included."""
        for month, part in self.grid.split_by_month(span):
            end = pa.scalar(self.grid.after(part.last), pa.int64()).cast(INSTANT)
            times = rows["open_time"]
            inside = pc.and_(pc.greater_equal(times, pa.scalar(part.first, INSTANT)), pc.less(times, end))
            self._month(month).tables.append(rows.filter(inside))
            self._month(month).awaited -= 1

    def take_complete(self) -> Iterator[OpenMonth]:
        """The months for which nothing is awaited any more; each is the caller's once it is drawn, the others stay."""
        while complete := [name for name, month in self._months.items() if not month.awaited]:
            yield self._months.pop(complete[0])

    def take_partial(self) -> Iterator[OpenMonth]:
        """Every month something is known of: what an interrupted run still lands."""
        while self._months:
            yield self._months.pop(next(iter(self._months)))

    def land(self, month: OpenMonth) -> LandedMonth | None:
        """Writes the gaps down first, then completes the month's object, then writes down what differed.

        In this order a crash in between repeats an event, which silver collapses, and never loses one.
        None if there was nothing to land.
        """
        rows = pa.concat_tables([KLINES.schema.empty_table(), *month.tables])
        known = self.lake.open_gaps(month.month) if month.unexplained else []
        unexplained = [
            (part, cause)
            for cause in dict.fromkeys(cause for _, cause in month.unexplained)
            for part in self.grid.without(self.grid.joined(span for span, why in month.unexplained if why == cause), known)
        ]
        gaps = [(span, NO_DATA) for span in self.grid.joined(month.no_data)] + unexplained
        self._write([self._range_event("gap", span, cause) for span, cause in gaps])
        if not rows.num_rows and not month.no_data and not unexplained:
            return None
        landed = self.lake.land(month.month, rows, month.no_data, unexplained)
        self._write([self._range_event("healed", span, cause) for span, cause in landed.healed])
        self._tell_contract()
        self._write(self._disagreements(landed, source=str(rows["source"][0].as_py()) if rows.num_rows else ""))
        return landed

    def _month(self, name: str) -> OpenMonth:
        return self._months.setdefault(name, OpenMonth(name))

    def _write(self, events: list[StreamEvent]) -> None:
        if events:
            self._events_written += 1
            write_events(self._store, events, now_us(), self._events_written)

    def _tell_contract(self) -> None:
        size, self._contract_size = self._contract_size, ""
        if size:
            self._write(
                [StreamEvent(self._venue, self.symbol, "", self._instance, "contract", None, None, now_us(), None, "", size)]
            )

    def _range_event(self, event: EventKind, span: Range, cause: str) -> StreamEvent:
        end = self.grid.after(span.last)
        detail = f"{self.grid.count(span)} klines, {format_instant(span.first)} to {format_instant(end)}"
        log.info(event, extra={"symbol": self.symbol, "cause": cause, "detail": detail})
        return self._event(event, span, end, cause, detail)

    def _disagreements(self, landed: LandedMonth, source: str) -> list[StreamEvent]:
        """One event per kline that differs, with every value of both sides."""
        by_kline: dict[int, dict[str, dict[str, str]]] = {}
        for found in landed.disagreements:
            values = {"in_lake": found.in_lake, "offered": found.offered}
            by_kline.setdefault(found.open_time, {})[found.column] = values
        for open_time, differing in by_kline.items():
            log.error(
                "sources disagree, the lake's values stay",
                extra={"symbol": self.symbol, "open_time": format_instant(open_time), "source": source, "values": differing},
            )
        return [
            self._event("disagreement", Range(at, at), at, f"{source}_differs", orjson.dumps(differing).decode())
            for at, differing in by_kline.items()
        ]

    def _event(self, event: EventKind, span: Range, ended_at: int, cause: str, detail: str) -> StreamEvent:
        return StreamEvent(
            venue=self._venue,
            symbol=self.symbol,
            channel="klines",
            instance=self._instance,
            event=event,
            from_update_id=span.first,
            to_update_id=span.last,
            started_at=span.first,
            ended_at=ended_at,
            cause=cause,
            detail=detail,
        )

"""PURE. StreamMonitor: what the live messages of all symbols mean: events to record, and requests to the venue."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from extract_process.book.local_book import Finding
from extract_process.book.sync import SnapshotNeeded, SyncDelayed, Synced
from extract_process.book.top_check import TopCounts, TopDiffers, TopsEqual
from extract_process.book.verification import PROVEN_LEVELS, Mismatch, Proven, Unproven
from extract_process.live.requests import SNAPSHOT_LEVELS, GapRequest, Request, SnapshotRequest
from extract_process.live.tracked_streams import TrackedDepth, TrackedIds, TrackedStreams
from extract_process.records import (
    BookTicker,
    DepthDiff,
    DepthSnapshot,
    Kline,
    NoTrade,
    StreamEvent,
    Ticker,
    Trade,
    UnreadableRow,
    top_of,
)
from extract_process.sequence import UNREADABLE, Gap, Healed, Implausible, NewNumbering
from extract_process.stream_ids import StreamKey, ids_of, key_of
from extract_process.venues.parsing import DATA_ERRORS
from tickhouse_core.datasets import SPARSE_CHANNELS
from tickhouse_core.event_kinds import EventKind, GapCause

_WITH_HISTORY = frozenset({"trades", "klines"})
"""Channels whose missing rows REST may have."""


@dataclass(frozen=True, slots=True)
class MonitorRules:
    """What of a venue and its session matters here; see Venue."""

    sparse_channels: frozenset[str] = SPARSE_CHANNELS
    settle_seconds: float | None = None
    snapshot_levels: int = SNAPSHOT_LEVELS
    top_channel: str = ""


@dataclass(slots=True)
class Findings:
    """What one step led to, in order."""

    events: list[StreamEvent] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def add(self, more: "Findings") -> None:
        self.events += more.events
        self.requests += more.requests


class StreamMonitor:
    """One per process. Every message is tracked once, from one connection at a time; recording it is not its matter."""

    def __init__(
        self,
        venue: str,
        instance: str,
        last_ids: Mapping[StreamKey, tuple[int, int]],
        rules: MonitorRules = MonitorRules(),  # frozen
    ) -> None:
        """`last_ids` is what the process remembers from before a restart: last id and its receipt_time by stream."""
        self._venue, self._instance, self._rules = venue, instance, rules
        self._checks_tops = rules.top_channel == "book_tickers"
        self.tops = TopCounts()
        self._streams = TrackedStreams(last_ids, rules.sparse_channels, self.tops)

    def last_ids(self) -> dict[StreamKey, tuple[int, int]]:
        """What a restart must remember, streams of earlier runs included."""
        return self._streams.last_ids()

    def books(self, *, synced: bool) -> list[str]:
        """The symbols with diffs whose book is synced, or those whose book is not."""
        return [symbol for symbol, depth in self._streams.depths.items() if depth.watch.is_synced is synced]

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> Findings:
        """Messages in the order in which they came; what has no ids decides nothing."""
        result, streams = Findings(), self._streams
        for message in messages:
            known: TrackedDepth | TrackedIds
            findings: Iterable[Finding] = ()
            try:
                if isinstance(message, DepthDiff):
                    known = streams.depth(message.symbol)
                    findings = known.watch.on_diff(message)
                elif isinstance(message, BookTicker):  # the most of all
                    symbol, update_id = message.symbol, message.update_id
                    known = streams.book_tickers.get(symbol) or streams.book_ticker(symbol)
                    findings = known.watch.on_ids(update_id, update_id, message.event_time or 0)
                    if self._checks_tops:
                        self._on_top(message, receipt_time, result)
                elif isinstance(message, Trade):
                    known = streams.trade(message.symbol)
                    findings = known.watch.on_ids(message.trade_id, message.trade_id, message.event_time)
                elif isinstance(message, NoTrade):
                    known = streams.trade(message.symbol)
                    ids = (message.trade_id, message.trade_id)
                    result.events.append(self.event("no_trade", receipt_time, known.key, ids=ids, detail=message.why))
                    findings = known.watch.on_ids(*ids, message.event_time)
                elif isinstance(message, Kline) and message.is_closed:
                    known = streams.kline(message.symbol, message.interval)
                    findings = known.watch.on_ids(message.open_time, message.open_time)
                elif isinstance(message, Kline) and self._rules.settle_seconds is not None:
                    known = streams.kline(message.symbol, message.interval)
                    if over := known.watch.on_running(message.open_time):
                        result.requests.append(GapRequest(known.key, over.first, over.last, self._rules.settle_seconds))
                elif isinstance(message, UnreadableRow):
                    self._on_unreadable(message, receipt_time, result)
                    continue
                else:
                    if isinstance(message, Ticker) and self._rules.top_channel == "ticker" and (top := top_of(message)):
                        self._on_top(top, receipt_time, result)
                    key, sparse = key_of(message), ids_of(message)
                    if key is None or sparse is None:
                        continue
                    known = streams.other(key)
                    findings = known.watch.on_ids(*sparse)
                if findings:
                    self._record(known, findings, receipt_time, result)
                known.last_receipt = receipt_time
            except DATA_ERRORS as error:  # one symbol's trouble is not the others'
                self._on_failure(message, error, receipt_time, result)
        return result

    def _on_top(self, top: BookTicker, now: int, result: Findings) -> None:
        """A book without recorded diffs is none."""
        if (depth := self._streams.depths.get(top.symbol)) is not None and (findings := depth.watch.on_top(top)):
            self._record(depth, findings, now, result)

    def _on_unreadable(self, row: UnreadableRow, now: int, result: Findings) -> None:
        """The event has the row's ids. The gap after it: they are in no other row."""
        key = StreamKey(row.channel, row.symbol, row.interval)
        if row.first_id is None or row.last_id is None:
            result.events.append(self.event("refused_row", now, key, cause=UNREADABLE, detail=row.why))
            return
        known = self._streams.depth(key.symbol) if key.channel == "depth" else self._streams.ids_of(key)
        findings: Iterable[Finding] = known.watch.on_unreadable(row.first_id, row.last_id)
        for finding in findings:
            if isinstance(finding, Gap) and finding.cause == UNREADABLE:
                ids = (finding.from_id, finding.to_id)
                result.events.append(self.event("refused_row", now, key, cause=UNREADABLE, ids=ids, detail=row.why))
            self._record(known, (finding,), now, result)
        known.last_receipt = now

    def _on_failure(self, message: object, error: Exception, now: int, result: Findings) -> None:
        """Our code failed on a message: the message is recorded, its book begins anew."""
        key, ids = key_of(message), ids_of(message)
        words = f"{type(error).__name__}: {error}"[:300]
        result.events.append(self.event("not_judged", now, key, cause=type(error).__name__, ids=ids, detail=words))
        if key is not None and key.channel == "depth":
            depth = self._streams.depth(key.symbol)
            self._record(depth, depth.watch.start_over("not_judged"), now, result)

    def on_snapshot_asked(self, symbol: str, *, as_proof: bool) -> None:
        """The request goes out now: from here on the symbol's diffs matter to the answer."""
        self._streams.depth(symbol).watch.on_snapshot_asked(as_proof=as_proof)

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int, receipt_time: int) -> Findings:
        """The answer: a book's new start, or a proof of the running one."""
        depth, result = self._streams.depth(snapshot.symbol), Findings()
        try:
            self._record(depth, depth.watch.on_snapshot(snapshot, asked_levels), receipt_time, result)
        except DATA_ERRORS as error:
            self._on_failure(snapshot, error, receipt_time, result)
        return result

    def on_healed_ids(self, key: StreamKey, first: int, last: int, now_us: int) -> Findings:
        """Rows of an earlier gap came over REST, without a hole between these ids."""
        known, result = self._streams.ids_of(key), Findings()
        self._record(known, known.watch.on_healed(first, last), now_us, result)
        return result

    def on_absent_ids(self, key: StreamKey, first: int, last: int, now_us: int) -> Findings:
        """The venue was asked for these klines and has none: a gap of its own, never requested again."""
        self._streams.ids_of(key).watch.on_absent(last)
        return Findings([self.event("gap", now_us, key, cause="venue_has_no_data", ids=(first, last), ended_at=now_us)])

    def on_break(self, cause: GapCause, concerns: Callable[[StreamKey], bool]) -> None:
        """The streams concerned were interrupted: holes that show now have this cause."""
        for known in self._streams.all():
            if concerns(known.key):
                known.watch.on_break(cause)

    def spans(self) -> dict[StreamKey, tuple[int, int]]:
        """The first and the last tracked id, of the numbering that each stream has now."""
        return {known.key: span for known in self._streams.all() if (span := known.watch.span) is not None}

    def event(
        self,
        name: EventKind,
        started_at: int,
        key: StreamKey | None = None,
        *,
        cause: str = "",
        detail: str = "",
        ids: tuple[int, int] | None = None,
        ended_at: int | None = None,
    ) -> StreamEvent:
        """An event of this venue and instance; without a key it is about no stream in particular.

        The detail of an event about klines begins with the interval, which has no column of its own.
        """
        first, last = ids or (None, None)
        symbol, channel, interval = (key.symbol, key.channel, key.interval) if key else ("", "", "")
        words = f"{interval} {detail}".strip()
        return StreamEvent(self._venue, symbol, channel, self._instance, name, first, last, started_at, ended_at, cause, words)

    def _record(self, known: TrackedDepth | TrackedIds, findings: Iterable[Finding], now: int, result: Findings) -> None:
        for finding in findings:
            if isinstance(finding, SnapshotNeeded):
                levels = self._rules.snapshot_levels
                levels = min(PROVEN_LEVELS, levels) if finding.reason == "proof" else levels
                result.requests.append(SnapshotRequest(known.key.symbol, finding.reason, levels))
                continue
            result.events.append(self._event_of(finding, known, now))
            if isinstance(finding, Gap) and known.key.channel in _WITH_HISTORY:
                result.requests.append(GapRequest(known.key, finding.from_id, finding.to_id))

    def _event_of(self, finding: Finding, known: TrackedDepth | TrackedIds, now: int) -> StreamEvent:
        key, before = known.key, known.last_receipt or now
        match finding:
            case Gap(first, last, cause):
                return self.event("gap", before, key, cause=cause, ids=(first, last), ended_at=now)
            case Healed(first, last):
                return self.event("healed", now, key, ids=(first, last))
            case SyncDelayed(last, first):
                words = "the book cannot start: snapshots are older than the diffs that wait; asking less and less often"
                return self.event("sync_delayed", now, key, cause="snapshot_too_old", ids=(last, first), detail=words)
            case NewNumbering(first, last, before_it):
                return self.event("new_numbering", now, key, ids=(first, last), detail=f"ids begin anew after {before_it}")
            case Implausible(first, last, before_it):
                return self.event("implausible_id", now, key, ids=(first, last), detail=f"the last one was {before_it}")
            case Unproven(last, other):
                where = "ahead of" if finding.is_ahead else "behind"
                words = f"the snapshot stays {where} the stream, at {other}"
                return self.event("unproven", now, key, ids=(last, last), detail=words)
            case Synced(last):
                return self.event("synced", now, key, ids=(last, last))
            case Proven(last, levels):
                return self.event("proven", now, key, ids=(last, last), detail=f"{levels} levels equal")
            case Mismatch(last, levels, example):
                return self.event("mismatch", now, key, ids=(last, last), detail=f"{levels} levels differ, first {example}")
            case TopsEqual(first, last, count):
                top_key = replace(key, channel=self._rules.top_channel)
                return self.event("proven", now, top_key, ids=(first, last), detail=f"{count} best prices equal")
            case TopDiffers(last, words):
                top_key = replace(key, channel=self._rules.top_channel)
                return self.event("mismatch", now, top_key, ids=(last, last), detail=words)
            case _:
                raise AssertionError(f"no event for {finding}")

"""MirrorHandler: what happens to every frame of the mirror: parsed, tracked, and the latest view of its book published.

The FrameHandler of the mirror. All of it runs in the event loop; nothing is kept on disk; what must wait is conflated.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from extract_process.book.sync import SnapshotNeeded, SyncDelayed, Synced
from extract_process.book.verification import Mismatch, Proven, Unproven
from extract_process.live.event_log import SaidSeldom, words_of
from extract_process.live.request_queue import RequestQueue
from extract_process.live.requests import SnapshotRequest
from extract_process.mirror.channels import BookChannel, MirrorCounts, TickerChannel, TradeChannel
from extract_process.mirror.messages import MessageForms, topic_name
from extract_process.mirror.mirror_book import RefreshNeeded, Step
from extract_process.mirror.options import MirrorOptions
from extract_process.mirror.publisher import Publisher
from extract_process.records import DepthDiff, DepthSnapshot, Ticker, Trade, UnreadableRow
from extract_process.sequence import UNREADABLE, Gap, Implausible, NewNumbering
from extract_process.stream_ids import StreamKey, key_of
from extract_process.venues import Venue
from extract_process.venues.parsing import DATA_ERRORS
from extract_process.venues.rest_client import Answer
from tickhouse_core.event_kinds import EventKind, GapCause
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

_MOST_LINES = 5


class MirrorHandler:
    """One per process: books, last trades and newest tickers of its symbols."""

    def __init__(
        self,
        venue: Venue,
        options: MirrorOptions,
        publisher: Publisher,
        topic_path_of: Callable[[str], str],
        requests: RequestQueue[SnapshotRequest],
    ) -> None:
        """`topic_path_of` makes the full path of a topic's name. Needs a running event loop."""
        self.counts = MirrorCounts()
        self._venue = venue
        self._loop = asyncio.get_running_loop()
        self._requests = requests
        self._snapshot_levels = options.snapshot_levels
        self._books: dict[str, BookChannel] = {}
        self._trades: dict[str, TradeChannel] = {}
        self._tickers: dict[str, TickerChannel] = {}
        self._lines = SaidSeldom(_MOST_LINES)
        sequence = now_us()  # above all that an earlier run has used
        paths = {channel: topic_path_of(topic_name(venue.name, channel)) for channel in options.channels}
        for symbol in options.symbols:
            forms = MessageForms(venue.name, symbol)
            if path := paths.get("depth"):
                self._books[symbol] = BookChannel(symbol, options, forms, sequence, publisher, path, self.counts)
            if path := paths.get("trades"):
                self._trades[symbol] = TradeChannel(forms, sequence, publisher, path, sparse="trades" in venue.sparse_channels)
            if path := paths.get("ticker"):
                self._tickers[symbol] = TickerChannel(forms, sequence, publisher, path)

    def books(self, *, synced: bool) -> list[str]:
        """The symbols whose book is synced, or those whose book is not."""
        return [symbol for symbol, channel in self._books.items() if channel.book.is_synced is synced]

    def last_update_id(self, symbol: str) -> int | None:
        """The last update id that came for this symbol, whatever the state of its book."""
        return self._books[symbol].book.last_update_id

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        """The records and control messages of frames; a frame that cannot be read is counted and left out."""
        messages: list[object] = []
        for frame in frames:
            try:
                messages += self._venue.parse_frame(frame, receipt_time)
            except DATA_ERRORS as refused:  # FrameRefused is one of them
                self.counts.refused_frames += 1
                self._warn("refused frame", {"why": str(refused)[:300], "frame": frame[:200].decode(errors="replace")})
        self.counts.frames += len(frames)
        self.counts.frame_bytes += sum(map(len, frames))
        return messages

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        for message in messages:
            try:
                self._on_message(message, receipt_time)
            except DATA_ERRORS as error:  # one symbol's trouble is not the others'
                self._on_failure(message, error)

    def _on_message(self, message: object, receipt_time: int) -> None:
        kind = type(message)
        if kind is DepthDiff:
            self._on_diff(message, receipt_time)  # type: ignore[arg-type]
        elif kind is Trade:
            self._on_trade(message, receipt_time)  # type: ignore[arg-type]
        elif kind is Ticker:
            self._on_ticker(message, receipt_time)  # type: ignore[arg-type]
        elif kind is UnreadableRow:
            self._on_unreadable(message)  # type: ignore[arg-type]

    def _on_unreadable(self, row: UnreadableRow) -> None:
        if not any(row.symbol in channels for channels in (self._books, self._trades, self._tickers)):
            return
        self.counts.refused_rows += 1
        ids = {"first": row.first_id, "last": row.last_id} if row.first_id is not None else {}
        self._warn("refused row", {"channel": row.channel, "symbol": row.symbol, **ids, "why": row.why})
        if (
            (channel := self._books.get(row.symbol))
            and row.channel == "depth"
            and row.first_id is not None
            and row.last_id is not None
        ):
            self._follow(row.symbol, channel.book.on_unreadable(row.first_id, row.last_id))

    def _on_failure(self, message: object, error: Exception) -> None:
        """Our code failed on a message: its book is no longer certain."""
        key = key_of(message)
        symbol, name = (key.symbol, key.channel) if key else ("", "")
        if self._lines.may_say("not judged", self._loop.time()):
            why = f"{type(error).__name__}: {error}"[:300]
            log.error("not judged", extra={"channel": name, "symbol": symbol, "why": why})
        if name == "depth" and (channel := self._books.get(symbol)) is not None:
            self._follow(symbol, channel.book.start_over("not_judged"))

    def spans(self) -> dict[StreamKey, tuple[int, int]]:
        books = {StreamKey("depth", symbol): channel.book.span for symbol, channel in self._books.items()}
        trades = {StreamKey("trades", symbol): channel.span for symbol, channel in self._trades.items()}
        return {key: span for key, span in (books | trades).items() if span is not None}

    def on_break(self, cause: GapCause, concerns: Callable[[StreamKey], bool]) -> None:
        for symbol, channel in self._books.items():
            if concerns(StreamKey("depth", symbol)):
                channel.book.on_break(cause)

    def tell(self, event: EventKind, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        is_loud = event in ("disconnected", "connect_failed", "venue_error", "mute", "successor_given_up")
        what = {"cause": cause, "detail": detail, "channel": key and key.channel, "symbol": key and key.symbol}
        words = {name: word for name, word in what.items() if word}
        if is_loud:
            self._warn(event, words)
        else:
            log.info(event, extra=words)

    def on_request(self, request: SnapshotRequest) -> None:
        """The request is sent now."""
        self._books[request.symbol].book.on_snapshot_asked(as_proof=request.as_proof)

    def on_answer(self, request: SnapshotRequest, answer: Answer[DepthSnapshot]) -> None:
        _, receipt_time, snapshot = answer
        channel = self._books[snapshot.symbol]
        try:
            self._follow(snapshot.symbol, channel.book.on_snapshot(snapshot, request.levels, receipt_time))
        except DATA_ERRORS as error:
            self._on_failure(snapshot, error)
        channel.publish(self._loop)

    def log_left_out(self) -> None:
        """The number of lines of a kind that were not written one by one; call it now and then."""
        if more := words_of(self._lines.take_left_out(self._loop.time())):
            log.warning("more of what was said", extra={"more": more})

    def _warn(self, words: str, what: Mapping[str, object]) -> None:
        if self._lines.may_say(words, self._loop.time()):
            log.warning(words, extra=dict(what))

    def publish_snapshot(self, symbol: str) -> None:
        """The periodic one; it takes the place of the next delta."""
        channel = self._books[symbol]
        channel.book.snapshot_due = True
        channel.publish(self._loop)

    def _on_diff(self, diff: DepthDiff, receipt_time: int) -> None:
        if (channel := self._books.get(diff.symbol)) is None:
            return
        self.counts.diffs += 1
        if steps := channel.book.on_diff(diff, receipt_time):
            self._follow(diff.symbol, steps)
        channel.publish(self._loop)

    def _on_trade(self, trade: Trade, receipt_time: int) -> None:
        if (channel := self._trades.get(trade.symbol)) is not None:
            self._log_numbering("trades", trade.symbol, channel.publish(trade, receipt_time))

    def _log_numbering(self, channel: str, symbol: str, findings: Iterable[object]) -> None:
        for finding in findings:
            if isinstance(finding, NewNumbering):
                ids = {"first": finding.first_id, "last": finding.last_id, "before": finding.before}
                log.error("new numbering", extra={"channel": channel, "symbol": symbol, **ids})
            elif isinstance(finding, Implausible):
                self._warn("implausible id", {"channel": channel, "symbol": symbol, "id": finding.last_id})

    def _on_ticker(self, ticker: Ticker, receipt_time: int) -> None:
        if (channel := self._tickers.get(ticker.symbol)) is not None:
            channel.publish(ticker, receipt_time)

    def _follow(self, symbol: str, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case SnapshotNeeded(reason):
                    self._requests.put(SnapshotRequest(symbol, reason, self._snapshot_levels))
                case RefreshNeeded():
                    self._requests.put(SnapshotRequest(symbol, "refresh", self._snapshot_levels))
                case Gap(first, last, cause):
                    self.counts.gaps += 1
                    level = logging.DEBUG if cause == UNREADABLE else logging.WARNING  # a refused row is one line
                    log.log(level, "gap", extra={"symbol": symbol, "first": first, "last": last, "cause": cause})
                case SyncDelayed(last, first):
                    self._warn("the book cannot start", {"symbol": symbol, "snapshot": last, "first_waiting": first})
                case NewNumbering() | Implausible():
                    self._log_numbering("depth", symbol, [step])
                case Unproven(last, other):
                    self._warn("unproven", {"symbol": symbol, "last_update_id": last, "snapshot": other})
                case Synced(last):
                    log.debug("synced", extra={"symbol": symbol, "last_update_id": last})
                case Proven():
                    self.counts.proven += 1
                case Mismatch(last, levels, example):
                    self.counts.mismatches += 1
                    log.error("mismatch", extra={"symbol": symbol, "last_update_id": last, "levels": levels, "first": example})

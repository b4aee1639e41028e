"""Where the messages of one symbol and channel come from: each channel makes the next one when the publisher can take it."""

import asyncio
from dataclasses import dataclass

from extract_process.mirror.messages import Message, MessageForms
from extract_process.mirror.mirror_book import MirrorBook
from extract_process.mirror.options import MirrorOptions
from extract_process.mirror.publisher import OrderedQueue, Publisher
from extract_process.records import Ticker, Trade
from extract_process.sequence import IdFinding, SequenceTracker


@dataclass(slots=True)
class MirrorCounts:
    """Since the start of the process."""

    frames: int = 0
    frame_bytes: int = 0
    diffs: int = 0
    gaps: int = 0
    refused_frames: int = 0
    refused_rows: int = 0
    snapshots: int = 0
    deltas: int = 0
    proven: int = 0
    mismatches: int = 0


class BookChannel:
    """One symbol's book and where its messages go."""

    def __init__(
        self,
        symbol: str,
        options: MirrorOptions,
        forms: MessageForms,
        sequence: int,
        publisher: Publisher,
        topic: str,
        counts: MirrorCounts,
    ) -> None:
        self.book = MirrorBook(forms, options.levels, options.snapshot_levels, sequence)
        self._counts = counts
        self._pause = options.conflate_seconds
        self._published_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: OrderedQueue = publisher.open_queue(topic, forms, self._next, self._on_lost)

    def publish(self, loop: asyncio.AbstractEventLoop) -> None:
        """The newest, now; when conflating, as soon as the pause since the last message is over."""
        if not self._pause:
            self._queue.publish_latest()
        elif self._timer is None:
            wait = self._published_at + self._pause - loop.time()
            if wait <= 0:
                self._publish_now(loop)
            else:
                self._timer = loop.call_later(wait, self._publish_now, loop)

    def _publish_now(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        before = self.book.sequence
        self._queue.publish_latest()
        if self.book.sequence != before:
            self._published_at = loop.time()

    def _next(self) -> Message | None:
        message = self.book.take()
        if message is not None:
            if message.kind == "snapshot":
                self._counts.snapshots += 1
            else:
                self._counts.deltas += 1
        return message

    def _on_lost(self) -> None:
        self.book.snapshot_due = True


class TradeChannel:
    """Each trade once, in the order of its id, whichever connection brought it."""

    def __init__(self, forms: MessageForms, sequence: int, publisher: Publisher, topic: str, *, sparse: bool) -> None:
        """`sparse` as in SequenceTracker."""
        self._ids = SequenceTracker(sparse=sparse)
        self._forms = forms
        self._sequence = sequence
        self._queue = publisher.open_queue(topic, forms)

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last trade id of the numbering that is followed."""
        return self._ids.span

    def publish(self, trade: Trade, receipt_time: int) -> list[IdFinding]:
        """Findings of its id."""
        before = self._ids.last_id
        findings = self._ids.on_ids(trade.trade_id, trade.trade_id, trade.event_time)
        if self._ids.last_id == trade.trade_id != before:
            self._sequence += 1
            self._queue.put(self._forms.trade(self._sequence, trade, receipt_time))
        return findings


class TickerChannel:
    """The newest ticker of a symbol."""

    def __init__(self, forms: MessageForms, sequence: int, publisher: Publisher, topic: str) -> None:
        self._forms = forms
        self._sequence = sequence
        self._newest: tuple[Ticker, int] | None = None
        self._queue = publisher.open_queue(topic, forms, self._next)

    def publish(self, ticker: Ticker, receipt_time: int) -> None:
        self._newest = ticker, receipt_time
        self._queue.publish_latest()

    def _next(self) -> Message | None:
        if self._newest is None:
            return None
        (ticker, receipt_time), self._newest = self._newest, None
        self._sequence += 1
        return self._forms.ticker(self._sequence, ticker, receipt_time)

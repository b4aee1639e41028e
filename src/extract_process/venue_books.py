"""VenueBooks: the venue's own books beside the mirror's messages, sorted whole after every diff: slow, and simple to trust."""

import logging
from collections.abc import Callable, Iterable, Sequence

from extract_process.book_comparison import Top
from extract_process.book_proof import KnownBook
from extract_process.book_sync import SnapshotNeeded
from extract_process.depth_watch import DepthWatch
from extract_process.order_book import exact_number
from extract_process.records import DepthDiff, DepthSnapshot, UnreadableRow
from extract_process.stream_key import StreamKey
from extract_process.venues import Venue
from extract_process.venues.parsing import FrameRefused

log = logging.getLogger(__name__)

REFRESH_AGAIN_US = 2_000_000


class VenueBooks:
    """A FeedSink of the depth channel. `on_top` gets every state whose best `levels` a side are all known."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        levels: int,
        ask_book: Callable[[str, str], None],
        on_top: Callable[[str, int, Top], None],
    ) -> None:
        self._venue = venue
        self._levels = levels
        self._ask_book = ask_book
        self._on_top = on_top
        self._watches = {symbol: DepthWatch() for symbol in symbols}
        self._asked_at = dict.fromkeys(symbols, 0)

    def land(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        messages: list[object] = []
        for frame in frames:
            try:
                messages += self._venue.parse_frame(frame, receipt_time)
            except FrameRefused as refused:
                log.warning("refused frame", extra={"why": str(refused)})
        return messages

    def judge_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        for message in messages:
            if not isinstance(message, DepthDiff | UnreadableRow) or (watch := self._watches.get(message.symbol)) is None:
                continue
            if isinstance(message, DepthDiff):
                self._follow(message.symbol, watch.on_diff(message))
                self._say_top(message.symbol, watch, receipt_time)
            elif message.first_id is not None and message.last_id is not None:
                log.warning("refused row", extra={"symbol": message.symbol, "why": message.why})
                self._follow(message.symbol, watch.on_unreadable(message.first_id, message.last_id))

    def spans(self) -> dict[StreamKey, tuple[int, int]]:
        spans = {StreamKey("depth", symbol): watch.span for symbol, watch in self._watches.items()}
        return {key: span for key, span in spans.items() if span is not None}

    def on_break(self, cause: str, concerns: Callable[[StreamKey], bool]) -> None:
        for symbol, watch in self._watches.items():
            if concerns(StreamKey("depth", symbol)):
                watch.on_break(cause)

    def tell(self, event: str, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        log.info(event, extra={"detail": detail})

    def on_snapshot_asked(self, symbol: str, *, as_proof: bool) -> None:
        self._watches[symbol].on_snapshot_asked(as_proof=as_proof)

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int, receipt_time: int) -> None:
        watch = self._watches[snapshot.symbol]
        self._follow(snapshot.symbol, watch.on_snapshot(snapshot, asked_levels))
        self._say_top(snapshot.symbol, watch, receipt_time)

    def _follow(self, symbol: str, findings: Iterable[object]) -> None:
        for finding in findings:
            if isinstance(finding, SnapshotNeeded):
                self._ask_book(symbol, finding.reason)

    def _say_top(self, symbol: str, watch: DepthWatch, receipt_time: int) -> None:
        if watch.book is None or watch.book_id is None:
            return
        top = _top(watch.book, self._levels)
        if top is not None:
            self._on_top(symbol, watch.book_id, top)
        elif receipt_time - self._asked_at[symbol] > REFRESH_AGAIN_US:
            self._asked_at[symbol] = receipt_time
            self._ask_book(symbol, "refresh")


def _top(known: KnownBook, levels: int) -> Top | None:
    """None where the best levels end in what no snapshot has told."""
    bids = sorted(known.book.bids, reverse=True)[:levels]
    asks = sorted(known.book.asks)[:levels]
    if known.lowest_bid is not None and (len(bids) < levels or bids[-1] < known.lowest_bid):
        return None
    if known.highest_ask is not None and (len(asks) < levels or asks[-1] > known.highest_ask):
        return None
    return (
        tuple((price, exact_number(known.book.bids[price])) for price in bids),
        tuple((price, exact_number(known.book.asks[price])) for price in asks),
    )

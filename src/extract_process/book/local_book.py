"""PURE. LocalBook: one symbol's diffs checked, its book kept, and proven against fresh snapshots and the venue's best prices."""

from extract_process.book.order_book import OrderBook
from extract_process.book.sync import Apply, BookSync, SnapshotNeeded, SyncDelayed, Synced
from extract_process.book.text_book import TextBook
from extract_process.book.top_check import TopCheck, TopCounts, TopDiffers, TopFinding
from extract_process.book.verification import BookKind, BookVerification, BoundedBook, Mismatch, Proven, Unproven, known_book
from extract_process.records import BookTicker, DepthDiff, DepthSnapshot
from extract_process.sequence import IdFinding
from tickhouse_core.event_kinds import GapCause

Finding = IdFinding | SnapshotNeeded | SyncDelayed | Synced | Proven | Mismatch | Unproven | TopFinding


class LocalBook:
    """Everything that is decided about one symbol's order book. Findings come in the order in which they are true."""

    def __init__(
        self,
        last_update_id: int | None = None,
        last_at: int = 0,
        kind: BookKind = TextBook,
        tops: TopCounts | None = None,
    ) -> None:
        """`last_update_id` is what the process remembers from before a restart, `last_at` when it came.

        An OrderBook is for who looks at it after every diff. `tops` counts the venue's best prices that were compared.
        """
        self._kind = kind
        self._sync = BookSync(last_update_id, last_at)
        self._running: BoundedBook | None = None
        self._proof: BookVerification | None = None
        self._counts = tops or TopCounts()
        self._tops: TopCheck | None = None

    @property
    def last_id(self) -> int | None:
        """The last update id that came, whatever the state of the book."""
        return self._sync.ids.last_id

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last update id of the numbering that is followed."""
        return self._sync.ids.span

    @property
    def is_synced(self) -> bool:
        return self._sync.book_id is not None

    @property
    def book_id(self) -> int | None:
        """The update id the book has reached; None while it is not synced."""
        return self._sync.book_id

    @property
    def book(self) -> BoundedBook | None:
        """The running book; another one after a snapshot or a proof."""
        return self._running

    def keep_nearest(self, levels: int) -> None:
        """Forgets all but the best `levels` a side: a book grows for as long as the price moves."""
        if self._running is not None:
            self._running = self._running.nearest(levels)

    def on_break(self, cause: GapCause) -> None:
        """The stream was interrupted: a hole that shows now has this cause."""
        self._sync.ids.on_break(cause)

    def on_diff(self, diff: DepthDiff) -> list[Finding]:
        return self._take(self._sync.on_diff(diff))

    def on_top(self, top: BookTicker) -> list[Finding]:
        """The venue's best prices at an update id. From the first ones on the book is one that is looked at after every diff."""
        if self._running is None or self._sync.book_id is None:
            return []
        if self._tops is None:
            self._tops, self._kind = TopCheck(self._counts), OrderBook
            self._running = _looked_at(self._running)
        return self._doubted(self._tops.on_top(top, self._sync.book_id, self._running))

    def on_unreadable(self, first: int, last: int) -> list[Finding]:
        """A diff with these ids came and cannot be read."""
        return self._take(self._sync.on_unreadable(first, last))

    def start_over(self, reason: str) -> list[Finding]:
        """Whatever state the book is in, it begins anew with a snapshot."""
        return self._take(self._sync.start_over(reason))

    def on_snapshot_asked(self, *, as_proof: bool) -> None:
        """A request for this symbol is on its way."""
        self._sync.on_snapshot_asked()
        if as_proof and self.is_synced:
            self._proof = BookVerification()

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int) -> list[Finding]:
        """An answer came: the book's new start where it has none, a proof where one was requested."""
        fresh = known_book(snapshot, asked_levels, self._kind)
        if not self.is_synced or self._running is None:
            self._proof = None
            decisions = self._sync.on_snapshot(snapshot.last_update_id)
            if self.is_synced:
                self._running = fresh
            return self._take(decisions)
        if self._proof is None:
            return []
        book_id = self._sync.book_id or 0
        return self._conclude(self._proof.on_snapshot(fresh, snapshot.last_update_id, self._running, book_id))

    def _take(self, decisions: list) -> list[Finding]:  # type: ignore[type-arg]
        findings: list[Finding] = []
        for decision in decisions:
            if isinstance(decision, Apply):
                findings += self._apply(decision.diff)
            else:
                findings.append(decision)
        if not self.is_synced:
            self._lose()
        return findings

    def _apply(self, diff: DepthDiff) -> list[Finding]:
        if self._running is None:
            return []
        self._running.book.apply(diff.bids, diff.asks)
        findings = [] if self._tops is None else self._doubted(self._tops.on_diff(diff, self._running))
        if self._proof is None:
            return findings
        return findings + self._conclude(self._proof.on_diff(diff, self._running))

    def _doubted(self, finding: TopFinding | None) -> list[Finding]:
        """A book whose best prices differ is proven at once: the snapshot decides which of the two is wrong."""
        if finding is None:
            return []
        return [finding, SnapshotNeeded("proof")] if isinstance(finding, TopDiffers) else [finding]

    def _lose(self) -> None:
        self._running = self._proof = None
        if self._tops is not None:
            self._tops.on_lost_book()

    def _conclude(self, verdict: Proven | Mismatch | Unproven | None) -> list[Finding]:
        """After a proof the fresh book takes over: its known levels are around today's price."""
        if verdict is None or self._proof is None:
            return []
        if isinstance(verdict, Proven):
            self._running, self._proof = self._proof.fresh, None
            if self._tops is not None and self._running is not None:
                self._running = _looked_at(self._running)  # it was requested before
            return [verdict]
        if isinstance(verdict, Unproven) and not verdict.is_ahead:
            self._proof = None
            return [verdict]
        reason = "unproven" if isinstance(verdict, Unproven) else "mismatch"
        self._lose()
        return [verdict, *(d for d in self._sync.start_over(reason) if isinstance(d, SnapshotNeeded))]


def _looked_at(known: BoundedBook) -> BoundedBook:
    """The same levels in an OrderBook."""
    if isinstance(known.book, OrderBook):
        return known
    book = OrderBook()
    book.bids, book.asks = known.book.bids, known.book.asks
    return BoundedBook(book, known.lowest_bid, known.highest_ask)

"""PURE. TopCheck: whether a running book has the best prices that the venue sends with an update id of that book.

A second proof, between those against snapshots: it costs no request, and it is made at every update id that both streams have.
"""

from dataclasses import dataclass

from extract_process.book.order_book import exact_number, price_number
from extract_process.book.top_n import TopN
from extract_process.book.verification import BoundedBook
from extract_process.records import BookTicker, DepthDiff

MOST_WAITING = 20_000
"""Best prices ahead of the book: ten seconds of the busiest symbol."""

SAID_AFTER = 3_000
"""Equal best prices in a row that are one event: five minutes of diffs at 100 ms."""

MOST_PAST = 1_000
"""Updates whose best prices are remembered for what the venue sends later: some seconds of KuCoin's busiest symbol."""

LOOKED_UP = 10
"""Levels a side of the list that the best one is taken from: with fewer, the list is made anew more often."""


@dataclass(slots=True)
class TopCounts:
    """Of all books of a process, since its start."""

    equal: int = 0
    different: int = 0


@dataclass(frozen=True, slots=True)
class TopsEqual:
    """So many best prices in a row were equal, the first and the last of them at these update ids."""

    first_id: int
    last_id: int
    count: int


@dataclass(frozen=True, slots=True)
class TopDiffers:
    """The book has another best price, or another quantity there; the first one after equal ones."""

    update_id: int
    words: str


TopFinding = TopsEqual | TopDiffers

Best = tuple[int, str] | None
"""Price as a number and quantity; None for an empty side."""


class TopCheck:
    """Of one symbol. `on_top` with what the venue sends, `on_diff` with every diff that the running book has taken.

    Where one differs, those that differ behind it are only counted, until `SAID_AFTER` more were compared.
    """

    def __init__(self, counts: TopCounts) -> None:
        self._counts = counts
        self._view = TopN(LOOKED_UP, 0)
        self._seen: BoundedBook | None = None
        self._waiting: dict[int, BookTicker] = {}
        self._past: dict[int, tuple[Best, Best]] = {}
        self._equal = self._first_id = self._silent_for = 0

    def on_top(self, top: BookTicker, book_id: int, running: BoundedBook) -> TopFinding | None:
        """The venue's best prices, before or after the diff that ends with their id; those before it wait for it."""
        if top.update_id > book_id:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.clear()
            self._waiting[top.update_id] = top
            return None
        if running is not self._seen:
            self._look_at(running, book_id)
        best = self._past.get(top.update_id)
        return None if best is None else self._compared(top, best)

    def on_diff(self, diff: DepthDiff, running: BoundedBook) -> TopFinding | None:
        reached = diff.last_update_id
        if running is self._seen:
            self._view.on_diff(diff)
            self._remember(reached)
        else:
            self._look_at(running, reached)
        waiting, best = self._waiting, self._past.get(reached)
        if not waiting:
            return None
        top = waiting.get(reached)
        if next(reversed(waiting)) <= reached:
            waiting.clear()
        else:
            self._waiting = {update_id: later for update_id, later in waiting.items() if update_id > reached}
        return None if top is None or best is None else self._compared(top, best)

    def on_lost_book(self) -> None:
        """There is no running book any more."""
        self._seen = None
        self._waiting.clear()
        self._past.clear()
        self._equal = 0

    def _look_at(self, running: BoundedBook, book_id: int) -> None:
        self._view.reset(running)
        self._seen = running
        self._remember(book_id)

    def _remember(self, book_id: int) -> None:
        if self._view.is_known:  # else the price has left what the snapshot knew
            self._past[book_id] = self._view.best
            if len(self._past) > MOST_PAST:
                del self._past[next(iter(self._past))]

    def _compared(self, top: BookTicker, best: tuple[Best, Best]) -> TopFinding | None:
        self._silent_for = max(0, self._silent_for - 1)
        sent = ((top.bid_price, top.bid_quantity), (top.ask_price, top.ask_quantity))
        if _is_equal(best[0], *sent[0]) and _is_equal(best[1], *sent[1]):
            return self._on_equal(top.update_id)
        self._counts.different += 1
        self._equal = 0
        if self._silent_for:
            return None
        self._silent_for = SAID_AFTER
        words = [
            f"{side}: venue {theirs[1]} at {theirs[0]}, here {_words(ours)}"
            for side, ours, theirs in zip(("bid", "ask"), best, sent, strict=True)
            if not _is_equal(ours, *theirs)
        ]
        return TopDiffers(top.update_id, "; ".join(words))

    def _on_equal(self, update_id: int) -> TopsEqual | None:
        self._counts.equal += 1
        self._equal += 1
        if self._equal == 1:
            self._first_id = update_id
        if self._equal < SAID_AFTER:
            return None
        count, self._equal = self._equal, 0
        return TopsEqual(self._first_id, update_id, count)


def _is_equal(ours: Best, price: str, quantity: str) -> bool:
    number = price_number(price)
    if ours is None:
        return number == 0
    return ours[0] == number and (ours[1] == quantity or exact_number(ours[1]) == exact_number(quantity))


def _words(ours: Best) -> str:
    return "nothing" if ours is None else f"{ours[1]} at {ours[0] / 1e18:.8f}"

"""PURE. MirrorBook: one symbol of the mirror, from the venue's diffs and snapshots to the next message to publish.

Continuity and the book are LocalBook's, the visible levels TopN's. When a message is made is the caller's choice:
however many diffs lie between two, the next one has all changes since the last one.
"""

from collections.abc import Container
from dataclasses import dataclass

from extract_process.book.local_book import Finding, LocalBook
from extract_process.book.order_book import OrderBook, price_number
from extract_process.book.sync import Synced
from extract_process.book.top_n import PriceChanges, TopN
from extract_process.level_text import PLACES, LevelText
from extract_process.mirror.messages import BookSides, BookState, Message, MessageForms
from extract_process.records import DepthDiff, DepthSnapshot, Levels
from tickhouse_core.event_kinds import GapCause

THIN_SHARE = 4
"""A side that knows fewer levels than this part of a snapshot is thin, and one with few more than are shown."""

REFRESH_AGAIN_US = 1_000_000
"""Between the answer that should have made a thin book thick and the next question."""

_DIGITS = 18  # after the point, as the book's numbers have them


class PriceFormat:
    """How the venue spells the prices of one symbol, so that numbers are published in its spelling.

    Remembers only the spellings that do not follow from the number.

    A venue writes most prices of a symbol alike, with the same number of digits after the point: those are made again when they
    are needed. A text for every level of a hundred books would cost as much memory as the books.
    """

    def __init__(self) -> None:
        self._places = -1  # digits after the point, of the first price that came
        self._odd: dict[int, str] = {}

    def learn(self, levels: Levels) -> None:
        """Prices as the venue sent them."""
        if isinstance(levels, LevelText) and self._places in (-1, PLACES) and not self._odd:
            self._places = PLACES  # every one of them is
            return
        if self._places < 0 and levels:
            self._places = len(levels[0][0].partition(".")[2])
        point, odd = -self._places - 1, self._odd
        for text, _ in levels:
            if self._places and len(text) >= -point and text[point] == "." and (text[0] != "0" or text[1] == "."):
                if odd:
                    odd.pop(price_number(text), None)
            elif text != self._usual(number := price_number(text)):
                odd[number] = text
            else:
                odd.pop(number, None)

    def text_of(self, number: int) -> str:
        """The text that came last for this price."""
        return self._odd.get(number) or self._usual(number)

    def keep(self, numbers: Container[int]) -> None:
        """Forgets the spelling of all other prices."""
        self._odd = {number: text for number, text in self._odd.items() if number in numbers}

    def _usual(self, number: int) -> str:
        digits = str(number).rjust(_DIGITS + 1, "0")
        whole, fraction = digits[:-_DIGITS], digits[-_DIGITS:]
        places = max(self._places, 0)
        if fraction[places:].strip("0"):  # longer than most, and its spelling is forgotten: another number would be wrong
            places = len(fraction.rstrip("0"))
        return f"{whole}.{fraction[:places]}" if places else whole


@dataclass(frozen=True, slots=True)
class RefreshNeeded:
    """The running book is right but knows few levels on a side: a snapshot that is compared with it takes over."""


Step = Finding | RefreshNeeded


class MirrorBook:
    """`sequence` counts up by one a message; it starts at an instant, so that a restart goes on above all before it."""

    def __init__(self, forms: MessageForms, levels: int, snapshot_levels: int, sequence: int) -> None:
        self.sequence = sequence
        self.snapshot_due = True
        self._forms = forms
        self._levels = levels
        self._kept = snapshot_levels
        self._watch = LocalBook(kind=OrderBook)
        self._view = TopN(levels, max(snapshot_levels // THIN_SHARE, min(levels * 3 // 2, snapshot_levels)))
        self._texts = PriceFormat()
        self._event_time = self._receipt_time = 0
        self._refresh_asked = False
        self._refresh_not_before = 0

    @property
    def last_update_id(self) -> int | None:
        """The last update id that came, whatever the state of the book."""
        return self._watch.last_id

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last update id of the numbering that is followed."""
        return self._watch.span

    @property
    def is_synced(self) -> bool:
        return self._watch.is_synced

    @property
    def is_ready(self) -> bool:
        """Whether the visible levels are known, all of them."""
        return self._watch.is_synced and self._view.is_known

    def on_break(self, cause: GapCause) -> None:
        self._watch.on_break(cause)

    def on_diff(self, diff: DepthDiff, receipt_time: int) -> list[Step]:
        findings = self._watch.on_diff(diff)
        if self._watch.last_id == diff.last_update_id:
            self._event_time, self._receipt_time = diff.event_time, receipt_time
        self._texts.learn(diff.bids)
        self._texts.learn(diff.asks)
        if findings:
            self._follow(findings)
        elif self._watch.book_id == diff.last_update_id:
            self._view.on_diff(diff)
            self._cut()
        return self._with_refresh(findings, receipt_time)

    def on_unreadable(self, first: int, last: int) -> list[Step]:
        """A diff with these ids came and cannot be read."""
        return list(self._watch.on_unreadable(first, last))

    def start_over(self, reason: str) -> list[Step]:
        """The book begins anew with a snapshot; until then it has no messages."""
        return list(self._watch.start_over(reason))

    def on_snapshot_asked(self, *, as_proof: bool) -> None:
        self._watch.on_snapshot_asked(as_proof=as_proof)

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int, receipt_time: int) -> list[Step]:
        """The answer: a new start, or the proof (and refreshment) of the running book."""
        self._texts.learn(snapshot.bids)
        self._texts.learn(snapshot.asks)
        findings = self._watch.on_snapshot(snapshot, asked_levels)
        self._refresh_asked, self._refresh_not_before = False, receipt_time + REFRESH_AGAIN_US
        if any(isinstance(finding, Synced) for finding in findings):
            self._receipt_time = receipt_time
        self._follow(findings)
        return self._with_refresh(findings, receipt_time)

    def take(self) -> Message | None:
        """The next message: a snapshot if one is due, else the changes since the last one. None: nothing changed."""
        if not self.is_ready:
            return None
        if self.snapshot_due:
            changes = self._view.take_all()
        else:
            changes = self._view.take_changes()
            if not changes.bids and not changes.asks:
                return None
        moment = BookState(self._watch.book_id or 0, self._event_time, self._receipt_time)
        form = self._forms.snapshot if self.snapshot_due else self._forms.delta
        self.snapshot_due = False
        self.sequence += 1
        return form(self.sequence, moment, self._levels, BookSides(self._texts_of(changes.bids), self._texts_of(changes.asks)))

    def _texts_of(self, changes: PriceChanges) -> list[tuple[str, str]]:
        text_of = self._texts.text_of
        return [(text_of(number), quantity) for number, quantity in changes]

    def _follow(self, findings: list[Finding]) -> None:
        """The book may be another one now."""
        if any(isinstance(finding, Synced) for finding in findings):
            self.snapshot_due = True
        if self._watch.book is not None:
            self._view.reset(self._watch.book)

    def _cut(self) -> None:
        """A book grows with every price that is touched: what is far from the market goes."""
        known = self._watch.book
        if known is None or max(len(known.book.bids), len(known.book.asks)) <= self._kept * 3 // 2:
            return
        self._watch.keep_nearest(self._kept)
        if (cut := self._watch.book) is not None:
            self._view.reset(cut)
            self._texts.keep(cut.book.bids.keys() | cut.book.asks.keys())

    def _with_refresh(self, findings: list[Finding], receipt_time: int) -> list[Step]:
        steps: list[Step] = list(findings)
        is_thin = self._watch.is_synced and self._view.is_thin
        is_early = 0 < self._refresh_not_before - receipt_time <= REFRESH_AGAIN_US  # more only if the clock was set back
        if is_thin and not self._refresh_asked and not is_early:
            self._refresh_asked = True
            steps.append(RefreshNeeded())
        return steps

"""PURE. Overlap: whether a second connection may take over from the one in use: only when it has delivered what that one did.

A subscription that is accepted and never delivers looks like any other, so nothing is concluded from the handshake. The
numbers are in overlaps: with 5 s of `--overlap-seconds`, 60 s until it is given up, 10 s to 10 min until the next try.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import Enum

from extract_process.records import UnreadableRow
from extract_process.stream_ids import StreamKey, first_ids_of, ids_of, key_of
from tickhouse_core.backoff import Backoff

GRACE = 0.2
"""Of an overlap: by how much the same message may come later over one connection than over the other."""

PATIENCE = 12.0
"""In overlaps: how long the second may lag behind the first, or deliver nothing where the first is mute."""

LONGEST_SECONDS = 60.0
"""Then the ids need not go on."""

QUIET_SECONDS = 600.0
"""While neither delivers anything, there is nothing to compare, and the venue will end the first one."""

FIRST_RETRY = 2.0
MOST_RETRY = 120.0
MOST_URGENT_RETRY = 12.0
"""In overlaps: pause before the next try; it doubles up to the most. Urgent: the one in use is mute, or about to end."""


MOST_NAMED = 10
"""Streams that a line names."""


class Verdict(Enum):
    """What to do with the second connection."""

    WAIT = "wait"
    TAKE_OVER = "take over"
    GIVE_UP = "give up"


class Overlap:
    """Both connections deliver. A stream is one place: its channel, symbol and interval; `now` never steps."""

    def __init__(self, began: float, least_seconds: float, *, is_mute: bool) -> None:
        """`is_mute`: the first one delivers nothing, so the second need not show more than that it does."""
        self._began = began
        self._least = least_seconds
        self._grace = GRACE * least_seconds
        self._is_mute = is_mute
        self._delivered: dict[StreamKey, float] = {}
        self._second_began: float | None = None
        self._missing: dict[StreamKey, float] = {}
        self._first_delivers = False

    @property
    def has_delivered(self) -> bool:
        """The second one, anything."""
        return self._second_began is not None

    def on_first(self, messages: Iterable[object], now: float) -> None:
        """The second must deliver what the one in use delivers, except at the edge, where it may have come too late for it."""
        for message in messages:
            if (key := key_of(message)) is None:
                continue
            self._first_delivers = True
            if now - self._began >= self._grace and now - self._delivered.get(key, self._began - self._grace) > self._grace:
                self._missing.setdefault(key, now)

    def on_second(self, messages: Iterable[object], now: float) -> None:
        for message in messages:
            if (key := key_of(message)) is None:
                continue
            if self._second_began is None:
                self._second_began = now
            self._delivered[key] = now
            self._missing.pop(key, None)

    def missing(self, now: float, seconds: float | None = None) -> list[StreamKey]:
        """Streams of which the first delivered something that long ago, and the second nothing since."""
        least = self._grace if seconds is None else seconds
        return [key for key, since in self._missing.items() if now - since >= least]

    def words_of_failure(self, now: float) -> str:
        """What the second connection did not deliver."""
        if not self.has_delivered:
            return "a second connection was accepted and delivered nothing: the first one is kept, another is tried later"
        return f"a second connection did not deliver {names_of(self.missing(now))}: the first one is kept, another is tried later"

    def verdict(self, now: float, *, goes_on: Callable[[], bool], is_full: bool = False) -> Verdict:
        """`goes_on`: whether the second's ids go on from the first's. `is_full`: no more can be kept of the second."""
        age, patience = now - self._began, min(LONGEST_SECONDS, PATIENCE * self._least)
        if self.missing(now, patience) or (self._is_mute and not self.has_delivered and age >= patience):
            return Verdict.GIVE_UP
        if is_full or age >= LONGEST_SECONDS:
            if self.missing(now):
                return Verdict.GIVE_UP
            return Verdict.TAKE_OVER if self.has_delivered or age >= QUIET_SECONDS else Verdict.WAIT
        if self._second_began is None or self._missing:
            return Verdict.WAIT
        if self._is_mute and not self._first_delivers:
            return Verdict.TAKE_OVER if now - self._second_began >= self._grace else Verdict.WAIT
        return Verdict.TAKE_OVER if age >= self._least and goes_on() else Verdict.WAIT


def names_of(keys: Sequence[StreamKey]) -> str:
    """For a line; at most `MOST_NAMED`."""
    return ", ".join(f"{key.channel} {key.symbol.upper()}" for key in keys[:MOST_NAMED])


def pause_before_retry(failures: int, overlap_seconds: float, *, is_urgent: bool) -> float:
    """Seconds after `failures` successors in a row that were given up."""
    most = MOST_URGENT_RETRY if is_urgent else MOST_RETRY
    return overlap_seconds * Backoff(FIRST_RETRY, most).pause(failures)


Spans = Mapping[StreamKey, tuple[int, int]]
"""First and last tracked id, by stream."""


def goes_on(first_ids: Mapping[StreamKey, int], spans: Spans, sparse_channels: Set[str] = frozenset()) -> bool:
    """Whether streams that begin with these ids certainly have no hole behind the tracked ids.

    In a sparse channel (SequenceTracker) only an id that was tracked already proves it.
    """
    known = ((key, first, spans[key][1]) for key, first in first_ids.items() if key in spans)
    return all(first <= (last if key.channel in sparse_channels else key.grid.after(last)) for key, first, last in known)


def backlog_goes_on(backlog: Sequence[tuple[object, int]], spans: Spans, sparse_channels: Set[str]) -> bool:
    """`goes_on` for the records of a second connection."""
    messages = (message for message, _ in of_this_numbering(backlog, spans))
    return goes_on(first_ids_of(messages), spans, sparse_channels)


def of_this_numbering(backlog: Sequence[tuple[object, int]], spans: Spans) -> list[tuple[object, int]]:
    """What of a second connection's records still means something for a monitor that went on without them.

    Before the last record that the monitor has too, ids outside of what it has are of a numbering before this one, or
    older than what its connection began with: as news they would look like ids that begin anew.
    """
    places = [(key_of(message), _ids(message)) for message, _ in backlog]
    met: dict[StreamKey, int] = {}
    for number, (key, ids) in enumerate(places):
        if key is not None and key in spans and ids is not None and spans[key][0] <= ids[1] <= spans[key][1]:
            met[key] = number
    return [
        record
        for number, (record, (key, ids)) in enumerate(zip(backlog, places, strict=True))
        if key is None or key not in spans or ids is None or number >= met.get(key, 0) or spans[key][0] <= ids[1] <= spans[key][1]
    ]


def _ids(message: object) -> tuple[int, int] | None:
    """Those of a row that cannot be read too."""
    if isinstance(message, UnreadableRow):
        return None if message.first_id is None or message.last_id is None else (message.first_id, message.last_id)
    return ids_of(message)

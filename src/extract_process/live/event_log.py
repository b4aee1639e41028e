"""What is said how often: SaidSeldom bounds lines and events of a kind, EventLog says which events are also lines of the log."""

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import cast

from extract_process.records import StreamEvent
from extract_process.sequence import UNREADABLE
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.timestamps import format_instant

log = logging.getLogger(__name__)

_LEVELS = {
    "gap": logging.WARNING,
    "mismatch": logging.ERROR,
    "implausible_id": logging.WARNING,
    "new_numbering": logging.ERROR,
    "sync_delayed": logging.WARNING,
    "unproven": logging.WARNING,
    "not_judged": logging.ERROR,
    "not_subscribed": logging.WARNING,
    "refused_frame": logging.WARNING,
    "refused_row": logging.WARNING,
    "clock_step": logging.WARNING,
    "connect_failed": logging.WARNING,
    "disconnected": logging.WARNING,
    "heal_failed": logging.WARNING,
    "mute": logging.WARNING,
    "heard_again": logging.INFO,
    "successor_given_up": logging.WARNING,
    "venue_error": logging.WARNING,
}
_MOST_EVENTS, _MOST_LINES = 20, 3
"""Of a kind, one by one: a venue's garbage is counted, not amplified."""

_COUNTED = frozenset({"implausible_id", "not_judged", "refused_row", "venue_error"})
"""Events that account for no ids (a refused_row does where it has some): the first few, then how many."""

LONGEST_SECONDS = 3_600.0


@dataclass(slots=True)
class _Window:
    began: float
    seconds: float
    said: int = 0
    left_out: int = 0


class SaidSeldom:
    """By kind: the first `most` are said; of the others `take_left_out` tells how many, after a minute, then less and less often.

    Kinds are words of our own, so that there are few. `now` is in seconds of any clock that never steps.
    """

    def __init__(self, most: int, seconds: float = 60.0) -> None:
        self._most = most
        self._seconds = seconds
        self._windows: dict[str, _Window] = {}

    def may_say(self, kind: str, now: float) -> bool:
        """It happened once more."""
        if (window := self._windows.get(kind)) is None:
            window = self._windows[kind] = _Window(now, self._seconds)
        if window.said < self._most:
            window.said += 1
            return True
        window.left_out += 1
        return False

    def take_left_out(self, now: float, *, at_once: bool = False) -> list[tuple[str, int, float]]:
        """Kind, how many were not said, and in how many seconds; of all that is due, or `at_once` of everything."""
        found = []
        for kind, window in list(self._windows.items()):
            if not at_once and now - window.began < window.seconds:
                continue
            if window.left_out:
                found.append((kind, window.left_out, now - window.began))
                longer = min(window.seconds * 2, LONGEST_SECONDS)
                self._windows[kind] = _Window(now, longer, self._most)
            else:  # a quiet while: the next one is news again
                del self._windows[kind]
        return found


def words_of(left_out: Iterable[tuple[str, int, float]]) -> str:
    """What `take_left_out` gave, for one line: one fault has lines of several kinds."""
    return ", ".join(f"{kind} {count:,} in {seconds:.0f} s" for kind, count, seconds in left_out)


class EventLog:
    """Of one capture: which events are also lines of the log, and which are only counted once there are many of a kind."""

    def __init__(self) -> None:
        self._events, self._lines = SaidSeldom(_MOST_EVENTS), SaidSeldom(_MOST_LINES)

    def may_record(self, name: EventKind) -> bool:
        """Whether there are few enough events of this name so far; otherwise this one is counted."""
        return self._events.may_say(name, time.monotonic())

    def is_recorded(self, event: StreamEvent) -> bool:
        """Every event that accounts for ids is."""
        if event.event == "mismatch" and event.channel != DEPTH_DIFFS.channel:  # of best prices: it leads to a proof
            return self.may_record(event.event)
        if event.event not in _COUNTED or (event.from_update_id is not None and event.event == "refused_row"):
            return True
        return self.may_record(event.event)

    def write(self, event: StreamEvent) -> None:
        """The line of a recorded event."""
        level = _LEVELS.get(event.event, logging.DEBUG)
        if event.event == "gap" and event.cause == UNREADABLE:
            level = logging.DEBUG  # its refused_row is the line
        if log.isEnabledFor(level) and (level < logging.WARNING or self._lines.may_say(event.event, time.monotonic())):
            log.log(level, event.event, extra=_said(event))

    def take_left_out(self, *, at_once: bool = False) -> list[tuple[EventKind, str]]:
        """Name and detail of the events that stand for those that were only counted; call it now and then."""
        left_out = self._events.take_left_out(time.monotonic(), at_once=at_once)
        return [(cast("EventKind", name), f"{count:,} more in {seconds:.0f} s") for name, count, seconds in left_out]

    def write_left_out(self, *, at_once: bool = False) -> None:
        """One line for those that were not written; call it now and then."""
        if more := words_of(self._lines.take_left_out(time.monotonic(), at_once=at_once)):
            log.warning("more of what was said", extra={"more": more})


def _said(event: StreamEvent) -> dict[str, object]:
    """The fields that have a value; instants as people read them, which of klines the ids are too."""
    instants = ("started_at", "ended_at", *(("from_update_id", "to_update_id") if event.channel == KLINES.channel else ()))
    fields = {name: value for name, value in asdict(event).items() if value not in ("", None) and name != "event"}
    return {name: format_instant(value) if name in instants else value for name, value in fields.items()}

"""EventLog: which events are also lines of the log, and which are only counted once there are many of a kind."""

import logging
import time
from dataclasses import asdict

from extract_process.records import StreamEvent
from extract_process.said_seldom import SaidSeldom, words_of
from extract_process.sequence import UNREADABLE

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


class EventLog:
    """One per capture."""

    def __init__(self) -> None:
        self._events, self._lines = SaidSeldom(_MOST_EVENTS), SaidSeldom(_MOST_LINES)

    def may_record(self, name: str) -> bool:
        """Whether there are few enough events of this name so far; otherwise this one is counted."""
        return self._events.may_say(name, time.monotonic())

    def is_recorded(self, event: StreamEvent) -> bool:
        """Every event that accounts for ids is."""
        if event.event not in _COUNTED or (event.from_update_id is not None and event.event == "refused_row"):
            return True
        return self.may_record(event.event)

    def write(self, event: StreamEvent) -> None:
        """The line of a recorded event."""
        level = _LEVELS.get(event.event, logging.DEBUG)
        if event.event == "gap" and event.cause == UNREADABLE:
            level = logging.DEBUG  # its refused_row is the line
        if log.isEnabledFor(level) and (level < logging.WARNING or self._lines.may_say(event.event, time.monotonic())):
            said = {name: value for name, value in asdict(event).items() if value not in ("", None) and name != "event"}
            log.log(level, event.event, extra=said)

    def take_left_out(self, *, at_once: bool = False) -> list[tuple[str, str]]:
        """Name and detail of the events that stand for those that were only counted; call it now and then."""
        left_out = self._events.take_left_out(time.monotonic(), at_once=at_once)
        return [(name, f"{count:,} more in {seconds:.0f} s") for name, count, seconds in left_out]

    def write_left_out(self, *, at_once: bool = False) -> None:
        """One line for those that were not written; call it now and then."""
        if more := words_of(self._lines.take_left_out(time.monotonic(), at_once=at_once)):
            log.warning("more of what was said", extra={"more": more})

"""What to do about an event: for every kind that is wrong, and every cause of a gap, a sentence and mostly a command."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, cast

from status_page.remedies import Running, Stretch, for_candles, for_recorder, for_stream
from tickhouse_core.datasets import KLINES
from tickhouse_core.event_kinds import EventKind, GapCause

NOTHING_WRONG: frozenset[EventKind] = frozenset(
    {
        *("healed", "started", "stopped", "connected", "server_shutdown", "rotated", "heard_again", "snapshot_requested"),
        *("synced", "proven", "symbol_listed", "contract", "no_trade", "channel_resumed", "backfilled"),
    }
)
"""Kinds of events that need no remedy."""


class Remedy(NamedTuple):
    """Both are empty where nothing is wrong; without a command the sentence says why there is none."""

    words: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What decides about a remedy."""

    kind: str
    cause: str
    of: Stretch


class Act(StrEnum):
    """Which command follows a sentence."""

    NONE = "none"
    """Nothing can be done, and the sentence says why."""
    RECORDER = "recorder"
    """A look at the recorder and its way to the venue."""
    STREAM = "stream"
    """A query: what else happened to this stream then."""


KINDS: Mapping[EventKind, tuple[str, Act]] = {
    "heal_failed": ("The venue did not return these ids, so their gap stays. What happened around it:", Act.STREAM),
    "disconnected": ("The recorder connects again by itself. If this happens often:", Act.RECORDER),
    "connect_failed": ("The recorder tries again by itself. To check the way to the venue:", Act.RECORDER),
    "mute": ("The recorder replaces this connection as soon as another one delivers. If none does:", Act.RECORDER),
    "successor_given_up": ("Nothing is lost: the first connection stays, and a second one is tried later.", Act.NONE),
    "sync_delayed": ("Updates are kept until a snapshot is new enough; it is requested without a command.", Act.NONE),
    "clock_step": ("Receipt times jump by this much. Let a time service (NTP) keep the clock of this machine.", Act.NONE),
    "mismatch": ("The book starts again from the fresh snapshot. What followed:", Act.STREAM),
    "refused_frame": ("This message cannot be recorded. If there are many, the venue has a new format:", Act.RECORDER),
    "refused_row": ("This number cannot be stored. The gap of its ids is recorded; the detail has the message.", Act.NONE),
    "not_judged": ("The row is stored, and the book starts again. Report this detail: it is a fault of tickhouse.", Act.NONE),
    "new_numbering": ("The venue restarted its ids. The book starts again by itself; what followed:", Act.STREAM),
    "implausible_id": ("The row is stored, and its id is ignored. The venue sent it; nothing can be fetched for it.", Act.NONE),
    "unproven": ("This comparison had no result; the next one follows by itself. What followed:", Act.STREAM),
    "not_subscribed": ("The venue sent rows of a market that is not recorded. Nothing of the recorded ones is lost.", Act.NONE),
    "venue_error": ("The venue reported an error; the detail has its words. To check the way to the venue:", Act.RECORDER),
    "unknown_symbol": ("The venue does not list this symbol: check its spelling. It is looked up every five minutes.", Act.NONE),
    "silent_stream": ("No message came within a minute. That is usual for a rarely traded market; what followed:", Act.STREAM),
    "channel_stopped": ("The disk is full. Recording continues by itself when there is room:", Act.RECORDER),
    "disagreement": ("The stored row stays as it is. The detail has both values; the venue changed its past.", Act.NONE),
}
"""Every other kind but `gap`, which is decided by its cause and channel."""

CAUSES: Mapping[GapCause, str] = {
    "sequence": "These ids did not come, on a connection that stayed.",
    "disconnect": "The connection was lost, and the recorder connected again.",
    "rotation": "A new connection took over too late.",
    "mute": "The connection fell silent, and was replaced.",
    "missed_poll": "The venue did not answer a request for the present value in time, or refused it.",
    "restart": "No recorder was running.",
    "spool_full": "The disk was full: make room on it.",
    "unreadable_number": "A number could not be stored; the event refused row has the message.",
    "venue_has_no_data": "The venue has no data of this time.",
    "archive_has_no_data": "The venue's archive has no data of this time, but its REST API may.",
    "unusable_answer": "The venue's answer could not be used.",
    "venue_refused": "The venue refused the request.",
}

_BY_CHANNEL = {
    "klines": "To request it again:",
    "trades": "The recorder requests missing trades itself, and `tickhouse trades` fetches Binance's a day later. For candles:",
    "agg_trades": "`tickhouse trades --agg-trades` requests days again that had no file.",
    "open_interest": "No venue publishes past values of it, but `tickhouse open-interest` fetches its counts of 30 days.",
    "depth": "No venue publishes past updates of a book. The next snapshot repairs it; to see when:",
}
_RESYNCED = "No venue publishes past updates of a book. A snapshot has repaired it since; what happened:"
_ELSEWHERE = "No venue publishes past messages of this channel."


def for_event(running: Running, event: Event) -> Remedy:
    """A kind or cause that only a newer recorder knows has no remedy here."""
    if event.kind == "gap":
        return for_gap(running, event.cause, event.of)
    words, act = KINDS.get(cast("EventKind", event.kind), ("", Act.NONE))
    if act is Act.RECORDER:
        return Remedy(words, for_recorder(running, event.of.venue))
    return Remedy(words, for_stream(running, event.of) if act is Act.STREAM else "")


def for_gap(running: Running, cause: str, of: Stretch, *, is_resynced: bool = False) -> Remedy:
    """A gap that is not healed. Of klines the stretch is from the first to the last open time.

    `is_resynced`: a book is in sync again.
    """
    what = _RESYNCED if is_resynced else _BY_CHANNEL.get(of.channel, _ELSEWHERE)
    words = f"{CAUSES.get(cast('GapCause', cause), '')} {what}".strip()
    if of.channel in ("klines", "trades"):
        return Remedy(words, for_candles(running, of, is_recheck=cause == "venue_has_no_data"))
    return Remedy(words, for_stream(running, of) if of.channel == "depth" else "")


def with_remedies(running: Running, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows of sql/clickhouse/status/events*.sql, each with the sentence and the command."""
    return [[*row, *for_event(running, _event_of(row))] for row in rows]


def _event_of(row: Sequence[Any]) -> Event:
    at, venue, symbol, channel, instance, kind, cause, detail, first, last, ended = row
    if channel != KLINES.channel or first is None or last is None:
        return Event(kind, cause, Stretch(venue, symbol, channel, at, ended or at))
    words = instance.rpartition("-")[2] if instance.startswith("backfill-") else detail
    return Event(kind, cause, Stretch(venue, symbol, channel, first, last, words.partition(" ")[0]))

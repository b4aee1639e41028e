"""PURE. The kinds of events in `stream_events`, and the causes of gaps: what each means is in docs/data-model.md.

The recorder writes no other kind (types hold that), and the status page has something to do for each (a test holds that).
"""

from typing import Literal, get_args

EventKind = Literal[
    "gap",
    "healed",
    "heal_failed",
    "backfilled",
    "started",
    "stopped",
    "connected",
    "disconnected",
    "connect_failed",
    "server_shutdown",
    "rotated",
    "mute",
    "heard_again",
    "successor_given_up",
    "snapshot_requested",
    "synced",
    "sync_delayed",
    "clock_step",
    "proven",
    "mismatch",
    "refused_frame",
    "refused_row",
    "not_judged",
    "new_numbering",
    "implausible_id",
    "unproven",
    "not_subscribed",
    "venue_error",
    "unknown_symbol",
    "symbol_listed",
    "contract",
    "no_trade",
    "silent_stream",
    "channel_stopped",
    "channel_resumed",
    "disagreement",
]

GapCause = Literal[
    "sequence",
    "disconnect",
    "rotation",
    "mute",
    "missed_poll",
    "restart",
    "spool_full",
    "unreadable_number",
    "venue_has_no_data",
    "archive_has_no_data",
    "unusable_answer",
    "venue_refused",
]

EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
GAP_CAUSES: tuple[GapCause, ...] = get_args(GapCause)

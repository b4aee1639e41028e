"""What is known of the past: how much of every hour, day or month a market has, its gaps, and events page by page."""

from collections.abc import Callable, Mapping
from typing import Any

from status_page.event_remedies import Remedy, for_gap, with_remedies
from status_page.queries import Queries, Recent
from status_page.remedies import Running, Stretch
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.timestamps import DAY_US, now_us

UNITS = {"hour": 7 * DAY_US, "day": 366 * DAY_US, "month": 5 * 366 * DAY_US}
"""What a calendar counts in, and how far back it goes."""

KINDS: Mapping[str, tuple[EventKind, ...]] = {
    "all": (),
    "gaps": ("gap", "healed", "heal_failed", "backfilled", "channel_stopped", "channel_resumed"),
    "books": ("proven", "mismatch", "unproven", "synced", "snapshot_requested", "sync_delayed", "new_numbering"),
    "connections": (
        *("connected", "disconnected", "connect_failed", "rotated", "server_shutdown", "mute", "heard_again"),
        *("successor_given_up", "silent_stream"),
    ),
    "refused": (
        *("refused_frame", "refused_row", "no_trade", "not_judged", "implausible_id", "not_subscribed", "venue_error"),
        "disagreement",
    ),
    "runs": ("started", "stopped", "clock_step", "unknown_symbol", "symbol_listed", "contract"),
}
"""Kinds of events that are chosen together; nothing named: every kind."""

PAGE = 100
"""Events of a page."""

_CALENDAR_SECONDS = 5.0
"""A page that is loaded again and again, or by many, reads its calendar once."""

Rows = list[list[Any]]


class History:
    """Thread-safe. Errors: the warehouse's. Instants in microseconds."""

    def __init__(self, queries: Queries, running: Callable[[], Running] = Running) -> None:
        """`running`: how the pipeline runs now, for the commands."""
        self._queries = queries
        self._calendars = Recent(queries, _CALENDAR_SECONDS)
        self._running = running

    def calendar(self, venue: str, symbol: str, unit: str) -> dict[str, Any]:
        """`since`, `until`, and `cells`: opened, complete minutes, those made of trades, klines, seconds with a verified book,
        gaps of trades, of the book and of klines, healings. Cells without anything are left out.
        """
        return dict(self._calendars.get((venue, symbol, unit), lambda: self._calendar(venue, symbol, unit)))

    def _calendar(self, venue: str, symbol: str, unit: str) -> dict[str, Any]:
        until = now_us()
        since = until - UNITS[unit]
        asked = {"venue": venue, "symbol": symbol, "unit": unit, "since_us": since}
        return {"since": since, "until": until, "cells": self._rows("coverage_calendar", asked)}

    def gaps(self, venue: str, symbol: str, interval: str, since_us: int, until_us: int) -> Rows:
        """Channel, cause, from, to, first and last missing id, whether healed, when the book was in sync again (0: it is not, or
        no book), and what to do about one that is not healed, a sentence and a command: newest first, at most 2,000.
        """
        series = {"venue": venue, "symbol": symbol, "interval": interval}
        running = self._running()
        rows = self._rows("gaps", series | {"since_us": since_us, "until_us": until_us})
        for row in rows:
            channel, cause, began, ended, _, _, is_healed, resynced = row
            of = Stretch(venue, symbol, channel, began, ended, interval)
            row += Remedy() if is_healed else for_gap(running, cause, of, is_resynced=bool(resynced))
        return rows

    def events(self, venue: str, symbol: str, kind: str, until_us: int, offset: int, most: int = PAGE) -> Rows:
        """At most so many, newest first. An empty `venue` or `symbol`: every one."""
        asked = {"venue": venue, "symbol": symbol, "kinds": list(KINDS[kind]), "until_us": until_us}
        asked |= {"offset": offset, "most": most}
        return self._rows("events_page", asked)

    def page(self, venue: str, symbol: str, kind: str, until_us: int, offset: int) -> Rows:
        """A page of events, each with what to do about it: a sentence and a command."""
        return with_remedies(self._running(), self.events(venue, symbol, kind, until_us, offset))

    def _rows(self, name: str, asked: dict[str, Any]) -> Rows:
        return list(map(list, self._queries.ask(name, asked)))

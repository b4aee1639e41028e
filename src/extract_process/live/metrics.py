"""The figures of a live capture and a mirror, what keeps them from their work, and whether the wall clock was set."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extract_process.records import DepthDiff, Trade
from tickhouse_core.metrics import Component, Sample, Watchdog

_HELP = {
    "frames_total": "frames received and kept",
    "frame_bytes_total": "bytes of them",
    "rows_total": "rows recorded",
    "gaps_total": "gaps written down",
    "refused_frames_total": "frames that are not a message of the venue's",
    "discarded_frames_total": "frames given up because the spool was full",
    "objects_uploaded_total": "objects brought to the lake",
    "last_upload_timestamp_seconds": "when the last object reached the lake; before the first one, the start",
    "batch_seconds": "age at which a batch becomes objects",
    "objects_waiting": "objects on local disk that the lake does not have yet",
    "spool_bytes": "on local disk, not yet in the lake",
    "spool_limit_bytes": "size at which channels stop",
    "connections": "sockets open",
    "connections_wanted": "sockets that should be open",
    "connections_mute": "sockets that answer pings and deliver nothing, against their own usual rate",
    "symbols_unknown": "symbols left out because the venue does not know them",
    "books_unsynced": "order books that wait for a snapshot",
    "channels_stopped": "channels that are not recorded because the spool is full",
    "used_weight": "request weight used in the venue's current minute",
    "weight_limit": "request weight the venue allows a minute",
    "last_receipt_timestamp_seconds": "when the last frame was received",
    "event_lag_seconds": "longest time from the venue's event to its receipt, in the last ten seconds; trades and order book",
    "best_prices_equal_total": "best prices of the venue that the running book has too, at the same update id",
    "best_prices_different_total": "best prices of the venue that the running book does not have",
    "diffs_total": "order book diffs applied",
    "messages_published_total": "messages Pub/Sub has taken",
    "messages_lost_total": "messages given up because Pub/Sub was away too long",
    "publish_failures_total": "requests Pub/Sub did not take",
    "waiting_bytes": "messages in memory that wait for Pub/Sub",
}

LEAST_STEP_SECONDS = 0.5
"""What counts as a step: time services slew smaller ones."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of one process and venue at one moment; `figures` by the names in this module."""

    process: str
    venue: str
    instance: str
    figures: Mapping[str, float]
    trouble: tuple[str, ...] = field(default=())


def samples_of(vitals: Vitals) -> Iterator[Sample]:
    labels = {"venue": vitals.venue, "instance": vitals.instance}
    for name, value in vitals.figures.items():
        yield Sample(f"tickhouse_{vitals.process}_{name}", value, _HELP[name], labels)


def component_of(process: str, vitals: Callable[[], Vitals], watchdog: Watchdog) -> Component:
    """`vitals` is called from any thread."""
    return Component(process, lambda: samples_of(vitals()), lambda: list(vitals().trouble), watchdog.not_alive)


def connection_trouble(venue: str, figures: Mapping[str, float]) -> Iterable[str]:
    """Sockets and books that are missing."""
    if figures["connections"] < figures["connections_wanted"]:
        yield f"{figures['connections']:.0f} of {figures['connections_wanted']:.0f} connections to {venue} are open"
    if figures["connections_mute"]:
        yield f"{figures['connections_mute']:.0f} connections to {venue} are open and deliver nothing"
    if figures["books_unsynced"]:
        yield f"{figures['books_unsynced']:.0f} order books wait for a snapshot"


class ClockWatch:
    """Whether the wall clock was set, or the machine slept: it and a clock that never steps drift apart.

    `on_look` now and then, with both clocks read at once.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def on_look(self, wall_us: int, monotonic: float) -> float:
        """By how many seconds the wall clock stepped since the last look; 0.0 where it did not."""
        offset = wall_us / 1e6 - monotonic
        before, self._offset = self._offset, offset
        return 0.0 if before is None or abs(offset - before) < LEAST_STEP_SECONDS else offset - before


class EventLag:
    """The longest time from event to receipt between two looks. It grows with every look where a process has too much to do.

    Frames of one callback are received at the same time, so the first one's event is the oldest: one look a callback.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """Of the time before the last look."""

        self._most_us = 0

    def on_messages(self, messages: Sequence[object], receipt_time: int) -> None:
        """In the order in which they came; microseconds. Tickers and klines say when they ended, not when they were sent."""
        if messages and isinstance(first := messages[0], DepthDiff | Trade):
            self._most_us = max(self._most_us, receipt_time - first.event_time)

    def look(self) -> None:
        self.seconds, self._most_us = self._most_us / 1e6, 0

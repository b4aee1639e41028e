"""PURE. The options of the connections to a venue, for every process that has some."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """`rotate_seconds` is when a connection is replaced, before the venue's 24 h are over; both deliver for `overlap_seconds`.

    `silence_seconds` without a byte, pings included, and `mute_seconds` at least without data; see `DataSilence`.
    """

    rotate_seconds: float = 23 * 3600.0
    overlap_seconds: float = 5.0
    silence_seconds: float = 60.0
    mute_seconds: float = 30.0
    first_message_seconds: float = 60.0
    streams_per_connection: int = 300

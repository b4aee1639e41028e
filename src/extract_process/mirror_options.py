"""PURE. What one mirror is told: markets, how many levels, and how often and how much of everything."""

from dataclasses import dataclass, field

from extract_process.publish_backlog import BacklogLimits

LEVELS = 30
SNAPSHOT_LEVELS = (100, 500, 1_000)
"""What a snapshot of the venue can be asked with, and a proof compares."""

LEAST_SNAPSHOT_SHARE = 4
"""A snapshot has at least so many times the levels that are shown."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """One mirror; the names are those of the command's options."""

    symbols: tuple[str, ...]
    channels: tuple[str, ...] = ("depth", "trades", "ticker")
    levels: int = LEVELS
    conflate_seconds: float = 0.0
    snapshot_seconds: float = 10.0
    batch_seconds: float = 0.1
    limits: BacklogLimits = field(default_factory=BacklogLimits)
    room_bytes: int = 16 * 1024**2
    duration_seconds: float | None = None
    snapshot_levels: int = 1_000
    prove_seconds: float = 300.0
    rotate_seconds: float = 23 * 3600.0
    overlap_seconds: float = 5.0
    silence_seconds: float = 60.0
    first_message_seconds: float = 60.0
    streams_per_connection: int = 300
    stop_seconds: float = 10.0

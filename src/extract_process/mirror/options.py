"""PURE. The options of one mirror: markets, how many levels, and how often and how much of everything."""

from dataclasses import dataclass, field

from extract_process.feed.interface import FeedOptions
from extract_process.live.options import LOOK_AGAIN_SECONDS
from extract_process.mirror.send_buffer import SendLimits
from extract_process.venues import DEFAULT_VENUE

LEVELS = 30
MOST_SNAPSHOT_LEVELS = 1_000
"""What a proof compares; venues may have more."""

LEAST_SNAPSHOT_SHARE = 3
"""A snapshot has at least this many times the published levels."""


@dataclass(frozen=True, slots=True)
class MirrorOptions(FeedOptions):
    """One mirror; the names are those of the command's options."""

    symbols: tuple[str, ...]
    venue: str = DEFAULT_VENUE
    instance: str = "main"
    channels: tuple[str, ...] = ("depth", "trades", "ticker")
    levels: int = LEVELS
    conflate_seconds: float = 0.0
    snapshot_seconds: float = 10.0
    batch_seconds: float = 0.1
    limits: SendLimits = field(default_factory=SendLimits)
    room_bytes: int = 16 * 1024**2
    duration_seconds: float | None = None
    snapshot_levels: int = 1_000
    prove_seconds: float = 300.0
    look_again_seconds: float = LOOK_AGAIN_SECONDS
    stop_seconds: float = 10.0

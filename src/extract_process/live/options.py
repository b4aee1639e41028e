"""PURE. The options of one live capture: markets, and how much, how often and how long of everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extract_process.feed.interface import FeedOptions
from extract_process.markets import Wanted
from extract_process.spool.limits import BatchLimits
from extract_process.stream_ids import StreamKey
from extract_process.venues import DEFAULT_VENUE
from tickhouse_core.datasets import CHANNELS
from tickhouse_core.metrics import BUSY_BEAT_SECONDS

LOOK_AGAIN_SECONDS = 300.0
"""Between two looks for symbols that the venue does not know."""


def give_up_order(last: Sequence[str]) -> tuple[str, ...]:
    """Every channel, in the order in which a full spool stops them: `last` at the end, the others as the catalogue has them."""
    return (*(channel for channel in CHANNELS if channel not in last), *last)


@dataclass(frozen=True, slots=True)
class StreamOptions(FeedOptions):
    """One capture; the names are those of the command's options.

    `wanted` has the most important symbols first. `intervals` and `priorities` are of the symbols that have their own.
    """

    wanted: Wanted
    venue: str = DEFAULT_VENUE
    instance: str = "main"
    interval: str = "1m"
    intervals: Mapping[str, str] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    duration_seconds: float | None = None
    limits: BatchLimits = field(default_factory=BatchLimits)
    fsync_seconds: float = 1.0
    spool_bytes: int = 20 * 1024**3
    give_up_order: tuple[str, ...] = give_up_order(("klines", "trades", "depth"))
    snapshot_levels: int | None = None
    prove_seconds: float = 300.0
    poll_seconds: float = 60.0
    look_again_seconds: float = LOOK_AGAIN_SECONDS
    stop_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    busy_heartbeat_seconds: float = BUSY_BEAT_SECONDS

    @property
    def streams(self) -> list[StreamKey]:
        """Every channel of every symbol."""
        return [
            StreamKey(channel, symbol, self.intervals.get(symbol, self.interval) if channel == "klines" else "")
            for symbol, channels in self.wanted.items()
            for channel in channels
        ]

    @property
    def stops_in_order(self) -> list[str]:
        """The channels that are recorded, in the order in which a full spool stops them."""
        recorded = {channel for channels in self.wanted.values() for channel in channels}
        return [channel for channel in self.give_up_order if channel in recorded]

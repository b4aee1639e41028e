"""PURE. What a feed is given: FeedOptions say how it connects, a FrameHandler receives what it delivers.

The live capture, the mirror and its proof are a FrameHandler each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from extract_process.shards import Shard
from extract_process.stream_ids import StreamKey
from tickhouse_core.event_kinds import EventKind, GapCause


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """`rotate_seconds` is when a connection is replaced, before the venue's 24 h are over; both deliver for `overlap_seconds`.

    `silence_seconds` without a byte, pings included (more where the venue pings seldom), and `mute_seconds` at least without
    data; see `DataSilence`.
    `shard`: which part of the markets this process has, where several share them.
    """

    rotate_seconds: float = 23 * 3600.0
    overlap_seconds: float = 5.0
    silence_seconds: float = 60.0
    mute_seconds: float = 30.0
    first_message_seconds: float = 60.0
    streams_per_connection: int = 300
    shard: Shard | None = None

    @property
    def sharers(self) -> int:
        """How many processes like this one share the limits that the venue sets to an address."""
        return self.shard.count if self.shard else 1


class FrameHandler(Protocol):
    """All of it is called in the event loop, in the callback that read the frames."""

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        """Takes frames; returns their records and control messages. `extra` frames are not tracked until promotion."""

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        """Recorded messages of one connection at a time, in the order in which they came."""

    def spans(self) -> Mapping[StreamKey, tuple[int, int]]:
        """The first and the last tracked id, of the numbering that each stream has now."""

    def on_break(self, cause: GapCause, concerns: Callable[[StreamKey], bool]) -> None:
        """Streams were interrupted: holes that show now have this cause."""

    def tell(self, event: EventKind, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        """Something happened to a connection (no key) or to one of its streams."""

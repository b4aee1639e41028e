"""FrameHandler: receives what the connections of a StreamFeed deliver. The live capture and the mirror are one each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from extract_process.stream_key import StreamKey


class FrameHandler(Protocol):
    """All of it is called in the event loop, in the callback that read the frames."""

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        """Takes frames; returns their records and control messages. `extra` frames are not tracked until promotion."""

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        """Recorded messages of one connection at a time, in the order in which they came."""

    def spans(self) -> Mapping[StreamKey, tuple[int, int]]:
        """The first and the last tracked id, of the numbering that each stream has now."""

    def on_break(self, cause: str, concerns: Callable[[StreamKey], bool]) -> None:
        """Streams were interrupted: holes that show now have this cause."""

    def tell(self, event: str, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        """Something happened to a connection (no key) or to one of its streams."""

"""PURE. StreamKey: the name of one stream, and which ids a message has in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from extract_process.ranges import Grid, grid_of
from extract_process.records import DATASET_OF, DepthDiff, Kline, Trade, UnreadableRow
from extract_process.sequence import EVERY_ID

_CHANNEL_OF = {record: dataset.channel for record, dataset in DATASET_OF.items()}
ALL_SYMBOLS = "*"
"""The symbol of a stream of the whole market."""


@dataclass(frozen=True, slots=True)
class StreamKey:
    """A channel of a symbol; `interval` is empty except for klines, whose ids are open times."""

    channel: str
    symbol: str
    interval: str = ""

    @property
    def grid(self) -> Grid:
        """Which ids exist."""
        return grid_of(self.interval) if self.interval else EVERY_ID


def key_of(message: object) -> StreamKey | None:
    """The stream a record belongs to; None for control messages."""
    if isinstance(message, UnreadableRow):
        return StreamKey(message.channel, message.symbol, message.interval)
    channel = _CHANNEL_OF.get(type(message))
    return StreamKey(channel, message.symbol, getattr(message, "interval", "")) if channel else None  # type: ignore[attr-defined]


def ids_of(message: object) -> tuple[int, int] | None:
    """First and last id of a record, both included; None for what has no row or no ids (an open kline, a ticker)."""
    match message:
        case DepthDiff():
            return message.first_update_id, message.last_update_id
        case Trade():
            return message.trade_id, message.trade_id
        case Kline() if message.is_closed:
            return message.open_time, message.open_time
    return None


def first_ids_of(messages: Iterable[object]) -> dict[StreamKey, int]:
    """With which id each stream begins in these messages."""
    first_ids: dict[StreamKey, int] = {}
    for message in messages:
        key, ids = key_of(message), ids_of(message)
        if key is not None and ids is not None:
            first_ids.setdefault(key, ids[0])
    return first_ids

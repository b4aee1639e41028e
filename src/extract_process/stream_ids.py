"""PURE. The stream that a record belongs to, and the ids that the record accounts for there."""

from collections.abc import Iterable
from dataclasses import dataclass

from extract_process.ranges import EVERY_ID, Grid, grid_of
from extract_process.records import DATASET_OF, DepthDiff, Kline, NoTrade, Trade, UnreadableRow


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


_CHANNEL_OF = {record: dataset.channel for record, dataset in DATASET_OF.items()}
_SPARSE_IDS = {record: dataset.id_column for record, dataset in DATASET_OF.items() if dataset.has_sparse_ids}
CHANNELS_WITH_IDS = tuple(str(_CHANNEL_OF[record]) for record in (Kline, Trade, DepthDiff, *_SPARSE_IDS))
"""Whose records `ids_of` knows: a hole between two of them is a gap, in a sparse channel after an interruption only."""


def key_of(message: object) -> StreamKey | None:
    """The stream a record belongs to; None for control messages."""
    if isinstance(message, UnreadableRow):
        return StreamKey(message.channel, message.symbol, message.interval)
    if isinstance(message, NoTrade):
        return StreamKey("trades", message.symbol)
    channel = _CHANNEL_OF.get(type(message))
    return StreamKey(channel, message.symbol, getattr(message, "interval", "")) if channel else None  # type: ignore[attr-defined]


def ids_of(message: object) -> tuple[int, int] | None:
    """First and last id that a record accounts for, both included; None for what has no ids (an open kline)."""
    match message:
        case DepthDiff():
            return message.first_update_id, message.last_update_id
        case Trade() | NoTrade():
            return message.trade_id, message.trade_id
        case Kline() if message.is_closed:
            return message.open_time, message.open_time
    if name := _SPARSE_IDS.get(type(message)):
        number: int = getattr(message, name)
        return number, number
    return None


def first_ids_of(messages: Iterable[object]) -> dict[StreamKey, int]:
    """With which id each stream begins in these messages."""
    first_ids: dict[StreamKey, int] = {}
    for message in messages:
        key, ids = key_of(message), ids_of(message)
        if key is not None and ids is not None:
            first_ids.setdefault(key, ids[0])
    return first_ids

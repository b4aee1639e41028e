"""PURE. Dialect: how one venue writes what a capture reads, as plain functions. A second venue is a second value.

What is said on a connection beside the data is here too: replies, and that the venue is about to close.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from extract_process.records import DepthSnapshot, Trade
from tickhouse_core.datasets import TRADES, most_text_bytes


class FrameRefused(ValueError):
    """A frame that is none of the venue's messages. `reason` is a short machine-readable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


_MOST_NAME_BYTES = most_text_bytes(TRADES.schema.field("symbol")) or 0


def name_of(value: object) -> str:
    """A symbol, or the like, as a column of names holds it. Raises FrameRefused for anything else.

    The loader refuses an object with a longer one whole, with all its sound rows.
    """
    if type(value) is not str or not value:
        raise FrameRefused("wrong_type", f"{value!r:.40} is no text")
    if len(value) * 4 > _MOST_NAME_BYTES and len(value.encode()) > _MOST_NAME_BYTES:
        raise FrameRefused("wrong_type", f"{value!r:.40}… has {len(value):,} characters and is no name")
    return value


DATA_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What our code raises on unforeseen data. It costs the message or the symbol that had it, and is logged."""


class Reply(NamedTuple):
    """The answer to a control message; `error` is empty when it was accepted."""

    id: int | str | None
    error: str


class Welcome(NamedTuple):
    """The venue is ready to be asked, where it says so."""


class Pong(NamedTuple):
    """The answer to a ping that is a message: it says nothing about the data."""


class ServerShutdown(NamedTuple):
    """The venue is about to close this connection (since 2026-05-08; no lead time is promised)."""

    event_time: int


class Unknown(NamedTuple):
    """A message of a kind that nobody asked for: tolerated, new kinds appear."""

    name: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """`parse_frame` raises FrameRefused; the parsers of REST bodies raise VenueUnavailable for what they cannot read."""

    venue: str
    parse_frame: Callable[[bytes, int], list[Any]]
    """Frame and receipt_time to records and control messages, in order."""
    channel_of_frame: Callable[[bytes], str]
    """The channel whose row a frame would be, empty for a control message or what cannot be read."""
    parse_depth: Callable[[bytes, str, str], DepthSnapshot]
    """Body, symbol, reason."""
    parse_trades: Callable[[bytes, str], list[Trade]]
    """Body, symbol."""
    parse_klines: Callable[[bytes, str, str, int], pa.Table]
    """Body, symbol, interval, receipt_time."""
    sparse_channels: frozenset[str] = frozenset()
    """Channels whose ids grow without being consecutive: a jump is a hole only where the stream was interrupted."""
    settle_seconds: float | None = None
    """Set where streamed klines never say that they are closed: the next one tells it, and so much later REST has it."""

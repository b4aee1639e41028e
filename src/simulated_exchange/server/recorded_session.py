"""Recorded sessions of websockets as any venue has them: messages by stream, depth snapshots among them, in recorded order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import NamedTuple

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.server.messages import Channel

Levels = list[list[str]]


class Recorded(NamedTuple):
    """One message, or a depth snapshot (`stream` empty); `offset` in microseconds since the file's first line."""

    offset: int
    stream: str
    symbol: str
    channel: Channel
    first_id: int
    last_id: int
    text: str


@dataclass(slots=True)
class Session:
    """Everything recorded, in order; several files run side by side, each from its own first line on."""

    lines: list[Recorded]
    start: int
    """Milliseconds: where the exchange's clock starts."""

    describe: "Callable[[str, Session], Instrument]"
    changes_of: "Callable[[str], tuple[Levels, Levels]]"
    """Bids and asks that a diff changes, by its text."""

    streams: frozenset[str] = field(init=False)
    instruments: dict[str, Instrument] = field(init=False)

    def __post_init__(self) -> None:
        self.streams = frozenset(line.stream for line in self.lines if line.stream)
        symbols = sorted({line.symbol for line in self.lines if line.symbol})
        self.instruments = {symbol: self.describe(symbol, self) for symbol in symbols}

    def of(self, symbol: str, channel: Channel) -> Iterator[tuple[int, Recorded]]:
        """The messages of one symbol and channel with their places in the recording."""
        return (
            (place, line)
            for place, line in enumerate(self.lines)
            if line.symbol == symbol and line.channel is channel and line.stream
        )

    def snapshots(self) -> Iterator[tuple[int, Recorded]]:
        return ((place, line) for place, line in enumerate(self.lines) if not line.stream)


def session_of(
    files: "Sequence[list[tuple[int, Recorded]]]",
    describe: "Callable[[str, Session], Instrument]",
    changes_of: "Callable[[str], tuple[Levels, Levels]]",
) -> Session | None:
    """Files side by side, those without a message left out; None if no file has any."""
    found = [(start, lines) for start, lines in map(_with_offsets, files) if any(line.stream for line in lines)]
    if not found:
        return None
    lines = list(merge(*(lines for _, lines in found), key=lambda line: line.offset))
    return Session(lines, found[0][0] // 1000, describe, changes_of)


def _with_offsets(lines: list[tuple[int, Recorded]]) -> tuple[int, list[Recorded]]:
    """Lines without a time of their own come with the one before them; time never runs backwards."""
    start = next((time for time, _ in lines if time), 0)
    offset, found = 0, []
    for time, line in lines:
        offset = max(offset, time - start) if time else offset
        found.append(line._replace(offset=offset))
    return start, found

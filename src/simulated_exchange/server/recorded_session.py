"""Recorded sessions of websockets as any venue has them: messages by stream, depth snapshots among them, in recorded order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.server.messages import Channel
from simulated_exchange.server.recorded_klines import UNREADABLE, ReplayError, lines_of

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


def read_session(
    paths: Sequence[Path],
    convert: "Callable[[dict[str, Any], int], tuple[int, Recorded] | None]",
    describe: "Callable[[str, Session], Instrument]",
    changes_of: "Callable[[str], tuple[Levels, Levels]]",
) -> Session | None:
    """Files side by side, those without a message left out; None if no file has any. ReplayError if one cannot be read.

    `convert` takes a line of the file and its receive time (microseconds, 0 = unknown), and returns a time and the message;
    None for lines of others.
    """
    files = [_with_offsets(list(_read(path, convert))) for path in paths]
    found = [(start, lines) for start, lines in files if any(line.stream for line in lines)]
    if not found:
        return None
    lines = list(merge(*(lines for _, lines in found), key=lambda line: line.offset))
    return Session(lines, found[0][0] // 1000, describe, changes_of)


def _read(path: Path, convert: "Callable[[dict[str, Any], int], tuple[int, Recorded] | None]") -> Iterator[tuple[int, Recorded]]:
    for number, text in enumerate(lines_of(path), 1):
        try:
            record = orjson.loads(text)
            found = convert(record, int(record.get("recv_ns", 0)) // 1000)
        except UNREADABLE as error:
            raise ReplayError(f"{path} line {number}: not a recorded message ({error!r})") from error
        if found:
            yield found


def _with_offsets(lines: list[tuple[int, Recorded]]) -> tuple[int, list[Recorded]]:
    """Lines without a time of their own come with the one before them; time never runs backwards."""
    start = next((time for time, _ in lines if time), 0)
    offset, found = 0, []
    for time, line in lines:
        offset = max(offset, time - start) if time else offset
        found.append(line._replace(offset=offset))
    return start, found

"""PURE. Blocks of 1,440 intervals, in which gold/indicators.sql builds: which go into one statement, and what it reads for them.

The statement reads, of each interval, one span of time of all symbols it names: a range of the primary key. Blocks that are
far apart in time, or of symbols that share few days, go into several statements.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tickhouse_core.timestamps import INTERVAL_SECONDS, SECOND_US, to_datetime

LENGTH = 1_440
"""Intervals in a block."""

WARM_UP = 1_000
"""Intervals before a block that its recursions begin with."""

SPARE = 256
"""Blocks that a statement may read without need, beside as many as it builds: planning it takes as long as reading these."""


class Block(NamedTuple):
    """It begins at `start` (seconds), its rows from `changed_us` (microseconds) on are built."""

    interval: str
    venue: str
    symbol: str
    start: int
    changed_us: int


def touched_blocks(rows: Iterable[Sequence[Any]]) -> list[Block]:
    """The blocks that are built anew, in order of interval, venue, symbol and time.

    `rows` as touched_blocks.sql gives them: interval, venue, symbol, the block's start (seconds), the first and the last of its
    intervals that were touched (microseconds). The block after is one too where it begins within `WARM_UP` intervals of the last.
    """
    changed: dict[tuple[str, str, str, int], int] = {}
    for interval, venue, symbol, start, first_us, last_us in rows:
        seconds = INTERVAL_SECONDS[interval]
        after = start + LENGTH * seconds
        touches = [(start, first_us)]
        if last_us + WARM_UP * seconds * SECOND_US >= after * SECOND_US:
            touches.append((after, after * SECOND_US))
        for block, changed_us in touches:
            key = (interval, venue, symbol, block)
            changed[key] = min(changed_us, changed.get(key, changed_us))
    return [Block(*key, changed_us) for key, changed_us in sorted(changed.items())]


def cut_blocks(blocks: Iterable[Block], at_once: int) -> Iterator[list[Block]]:
    """The blocks in their order, in parts of at most `at_once`, of which none reads much more than it builds."""
    part = _Part()
    for block in blocks:
        if part.blocks and (len(part.blocks) == at_once or part.read_with(block) > 2 * (len(part.blocks) + 1) + SPARE):
            yield part.blocks
            part = _Part()
        part.add(block)
    if part.blocks:
        yield part.blocks


class _Part:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._names: set[tuple[str, str]] = set()
        self._spans: dict[str, tuple[int, int]] = {}
        """First and last start, by interval."""

    def read_with(self, block: Block) -> int:
        """Blocks that are read for this part when it has this one too."""
        spans = {**self._spans, block.interval: self._widened(block)}
        length = sum((last - first) // (LENGTH * INTERVAL_SECONDS[interval]) + 1 for interval, (first, last) in spans.items())
        return length * (len(self._names) + ((block.venue, block.symbol) not in self._names))

    def add(self, block: Block) -> None:
        self._spans[block.interval] = self._widened(block)
        self._names.add((block.venue, block.symbol))
        self.blocks.append(block)

    def _widened(self, block: Block) -> tuple[int, int]:
        first, last = self._spans.get(block.interval, (block.start, block.start))
        return min(first, block.start), max(last, block.start)


def what_to_read(blocks: Sequence[Block], intervals: Sequence[str]) -> dict[str, Any]:
    """Parameters of gold/indicators.sql; `firsts` and `ends` by interval, equal where it has no block."""
    firsts, ends = dict.fromkeys(intervals, 0), dict.fromkeys(intervals, 0)
    for interval in dict.fromkeys(block.interval for block in blocks):
        starts = [block.start for block in blocks if block.interval == interval]
        firsts[interval] = max(0, min(starts) - WARM_UP * INTERVAL_SECONDS[interval])
        ends[interval] = max(starts) + LENGTH * INTERVAL_SECONDS[interval]
    return {
        "touched": [tuple(block) for block in blocks],
        "names": sorted({(block.venue, block.symbol) for block in blocks}),
        "firsts": [_instant(firsts[interval]) for interval in intervals],
        "ends": [_instant(ends[interval]) for interval in intervals],
    }


def _instant(seconds: int) -> str:
    return to_datetime(seconds * SECOND_US).strftime("%Y-%m-%d %H:%M:%S")

"""PURE. Shards: which of the markets one of several processes has. Nobody writes lists: each process works out its part.

Rendezvous hashing (Thaler and Ravishankar, 1998): a market belongs to the shard with the highest score for it. So one more
shard takes about 1/n of the markets from all others alike, and no market moves between the others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tickhouse_core.cells import ALONE, Cell
from tickhouse_core.errors import UsageError

MOST_SHARDS = 1_000
_SHAPE = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)
_NAME = re.compile(r"(-cell-[0-9]{1,3})?(-shard-[0-9]{1,4})?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `number` of `count`, from 1 on, of the markets of a cell."""

    number: int = 1
    count: int = 1
    cell: Cell = ALONE
    is_named: bool = True
    """False: no --shard was given, and the process keeps the name it has without shards."""

    def __str__(self) -> str:
        shard = f"--shard {self.number}/{self.count}" if self.is_named else ""
        return " and ".join(filter(None, (shard, f"TICKHOUSE_CELL={self.cell}" if self.cell.count > 1 else "")))

    def has(self, venue: str, symbol: str) -> bool:
        """Whether it is the one shard of the one cell that has this market."""
        cell = self.cell
        return _owner(f"cell {venue}", symbol, cell.count) == cell.number and _owner(venue, symbol, self.count) == self.number

    def part_of(self, venue: str, symbols: Iterable[str]) -> list[str]:
        """Its symbols, in their order. Raises UsageError where it has none: the process would do nothing."""
        named = list(symbols)
        part = [symbol for symbol in named if self.has(venue, symbol)]
        if named and not part:
            raise UsageError(f"{self}: none of the {len(named)} symbols of {venue} is in it: use fewer")
        return part

    def instance(self, name: str) -> str:
        """The name of the process. It stays when a count changes: its spool and last ids are those of the same shard."""
        return f"{name}{self.cell.suffix}{f'-shard-{self.number}' if self.is_named else ''}"


def shard_named(text: str | None, cell: Cell) -> Shard | None:
    """What `--shard 2/4` means in a cell; None where there is neither a shard nor more than one cell. Raises UsageError."""
    if text is None:
        return Shard(cell=cell, is_named=False) if cell.count > 1 else None
    found = _SHAPE.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MOST_SHARDS:
        raise UsageError(f"--shard {text!r}: number/count, such as 2/4, with numbers from 1 to {MOST_SHARDS:,}")
    return Shard(number, count, cell)


def without_shard(instance: str) -> str:
    """The name that all shards and cells of one recorder share, and that it had before there were any."""
    return _NAME.sub("", instance)


def _owner(venue: str, symbol: str, count: int) -> int:
    return 1 if count == 1 else max(range(1, count + 1), key=lambda number: _score(venue, symbol, number))


def _score(venue: str, symbol: str, number: int) -> bytes:
    """The same in every process, Python version and machine. The lengths keep venue and symbol apart."""
    market = b"%d:%s%d:%s" % (len(venue), venue.encode(), len(symbol), symbol.encode())
    return blake2b(market + number.to_bytes(4), digest_size=16).digest()

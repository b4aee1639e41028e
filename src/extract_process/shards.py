"""PURE. Shards: which of the markets one of several processes has. Nobody writes lists: each process works out its part.

Rendezvous hashing (Thaler and Ravishankar, 1998): a market belongs to the shard with the highest score for it. So one more
shard takes about 1/n of the markets from all others alike, and no market moves between the others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tickhouse_core.errors import UsageError

MOST_SHARDS = 1_000
_SHAPE = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)
_NAME = re.compile(r"-shard-[0-9]{1,4}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `number` of `count`, from 1 on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, venue: str, symbol: str) -> bool:
        """Whether it is the one shard that has this market."""
        return max(range(1, self.count + 1), key=lambda number: _score(venue, symbol, number)) == self.number

    def part_of(self, venue: str, symbols: Iterable[str]) -> list[str]:
        """Its symbols, in their order. Raises UsageError where it has none: the process would do nothing."""
        named = list(symbols)
        part = [symbol for symbol in named if self.has(venue, symbol)]
        if named and not part:
            raise UsageError(f"--shard {self}: none of the {len(named)} symbols of {venue} is in it: use fewer shards")
        return part

    def instance(self, name: str) -> str:
        """The name of the process. It stays when `count` changes: its spool and last ids are those of the same shard."""
        return f"{name}-shard-{self.number}"


def shard_named(text: str | None) -> Shard | None:
    """What `--shard 2/4` means; None where it is not given. Raises UsageError."""
    if text is None:
        return None
    found = _SHAPE.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MOST_SHARDS:
        raise UsageError(f"--shard {text!r}: number/count, such as 2/4, with numbers from 1 to {MOST_SHARDS:,}")
    return Shard(number, count)


def without_shard(instance: str) -> str:
    """The name that all shards of one recorder share, and that it had before there were shards."""
    return _NAME.sub("", instance)


def _score(venue: str, symbol: str, number: int) -> bytes:
    """The same in every process, Python version and machine. The lengths keep venue and symbol apart."""
    market = b"%d:%s%d:%s" % (len(venue), venue.encode(), len(symbol), symbol.encode())
    return blake2b(market + number.to_bytes(4), digest_size=16).digest()

"""PURE. Cells: whole pipelines side by side, each with some of the markets, a bucket, queues and a ClickHouse of its own.

A bucket for each, because S3 routes a notification by the key's beginning and end alone, and refuses two that overlap: keys
begin with dataset, venue and hour, and no beginning is that of some markets. Cell 1 has the names that there are without cells,
so a pipeline that grows keeps what it has.
"""

import re
from dataclasses import dataclass

MOST_CELLS = 100
_SHAPE = re.compile(r"([0-9]{1,3})/([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell `number` of `count`, from 1 on."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def suffix(self) -> str:
        """Of the names of its bucket, its queues and its recorders."""
        return "" if self.number == 1 else f"-cell-{self.number}"

    @property
    def all(self) -> "list[Cell]":
        """The cells that it is one of, itself first."""
        others = [Cell(number, self.count) for number in range(1, self.count + 1) if number != self.number]
        return [self, *others]


ALONE = Cell()
"""The one cell that there is without cells."""


def cell_named(text: str) -> Cell:
    """What `2/4` means. Raises ValueError."""
    found = _SHAPE.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MOST_CELLS:
        raise ValueError(f"must be number/count, such as 2/4, with numbers from 1 to {MOST_CELLS}")
    return Cell(number, count)

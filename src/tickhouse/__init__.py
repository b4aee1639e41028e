"""The front door for people: one command line over the processes, everything in one process for a laptop, and the read API.

import tickhouse as th
lake = th.open("data")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickhouse.reading.lake import Lake
    from tickhouse.reading.lake import open_lake as open  # noqa: A004
    from tickhouse.reading.replay import Item, replay
    from tickhouse.reading.result import Book, Rows

_PUBLIC = {
    "Book": ("tickhouse.reading.result", "Book"),
    "Item": ("tickhouse.reading.replay", "Item"),
    "Lake": ("tickhouse.reading.lake", "Lake"),
    "Rows": ("tickhouse.reading.result", "Rows"),
    "open": ("tickhouse.reading.lake", "open_lake"),
    "replay": ("tickhouse.reading.replay", "replay"),
}

__all__ = ["Book", "Item", "Lake", "Rows", "open", "replay"]


def __getattr__(name: str) -> Any:
    """Names of the read API are imported when they are first used: the command line needs no Arrow to print its help."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tickhouse' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)

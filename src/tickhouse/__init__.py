"""The front door for people: one command line over the processes, everything in one process for a laptop, and the read API.

import tickhouse as th
lake = th.open("data")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickhouse_core.reading.lake import Lake
    from tickhouse_core.reading.lake import open_lake as open  # noqa: A004
    from tickhouse_core.reading.replay import Item, replay
    from tickhouse_core.reading.result import Book, Rows

_PUBLIC = {
    "Book": ("tickhouse_core.reading.result", "Book"),
    "Item": ("tickhouse_core.reading.replay", "Item"),
    "Lake": ("tickhouse_core.reading.lake", "Lake"),
    "Rows": ("tickhouse_core.reading.result", "Rows"),
    "open": ("tickhouse_core.reading.lake", "open_lake"),
    "replay": ("tickhouse_core.reading.replay", "replay"),
}

__all__ = ["Book", "Item", "Lake", "Rows", "open", "replay"]


def __getattr__(name: str) -> Any:
    """Names of the read API are imported when they are first used: the command line needs no Arrow to print its help."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tickhouse' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)

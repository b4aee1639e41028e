"""The registry of venues: one line each. A further venue is a folder, a line here and its markets in markets.yaml."""

from importlib import import_module

from extract_process.venues.api import Venue
from tickhouse_core.errors import UsageError

_MODULES = {
    "binance": "extract_process.venues.binance",
    "kucoin": "extract_process.venues.kucoin",
}
"""By name: the module whose `VENUE` it is. Loaded when it is asked for."""

DEFAULT_VENUE = next(iter(_MODULES))


def register(name: str, module: str) -> None:
    """Adds a venue from elsewhere, as a line above does: for one that is not part of the project."""
    _MODULES[name] = module


def venue_names() -> tuple[str, ...]:
    return tuple(_MODULES)


def venue_named(name: str) -> Venue:
    """Raises UsageError that lists the names."""
    if name not in _MODULES:
        raise UsageError(f"--venue {name!r}: choose from {', '.join(_MODULES)}")
    venue: Venue = import_module(_MODULES[name]).VENUE
    return venue

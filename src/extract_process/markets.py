"""Markets: which symbols and channels are collected, from a markets file or from the command line."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tickhouse_core.errors import UsageError
from tickhouse_core.resources import RESOURCES

MARKETS_FILE = Path("resources/markets.yaml")
"""The user's own, seen from the working directory."""

Symbol = Annotated[str, Field(pattern=r"^\S+$")]
Wanted = dict[str, tuple[str, ...]]
"""Channels by symbol, both in the order in which they were named first."""


class Tier(BaseModel, extra="forbid"):
    """Some symbols of one venue that are collected alike."""

    enabled: bool
    streams: list[str] = Field(min_length=1)
    symbols: list[Symbol] = Field(min_length=1)


def markets_file() -> Path:
    """MARKETS_FILE where there is one, else the file that comes with tickhouse: BTC and ETH against USDT."""
    return MARKETS_FILE if MARKETS_FILE.exists() else RESOURCES / "markets.yaml"


def read_markets(path: Path, venue: str, known_channels: tuple[str, ...]) -> Wanted:
    """The enabled tiers of one venue. Raises UsageError that names the file and the place."""
    try:
        venues = TypeAdapter(dict[str, dict[str, Tier]]).validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): name symbols with --symbol") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(f"{path}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    wanted: Wanted = {}
    for name, tier in venues.get(venue, {}).items():
        if unknown := [channel for channel in tier.streams if channel not in known_channels]:
            raise UsageError(f"{path}: {venue}.{name}.streams: unknown {unknown[0]!r}, choose from {', '.join(known_channels)}")
        for symbol in tier.symbols if tier.enabled else ():
            wanted[symbol] = tuple(dict.fromkeys((*wanted.get(symbol, ()), *tier.streams)))
    if not wanted:
        raise UsageError(f"{path} enables no symbol of {venue}: enable a tier or name symbols with --symbol")
    return wanted

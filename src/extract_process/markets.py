"""Markets: which symbols and channels are collected, from a markets file, ACTIVE_SYMBOLS or the command line."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from extract_process.venues import Venue, venue_names
from tickhouse_core.errors import UsageError
from tickhouse_core.resources import RESOURCES
from tickhouse_core.settings import MarketSettings, read

log = logging.getLogger(__name__)

MARKETS_FILE = Path("resources/markets.yaml")
"""The user's own, seen from the working directory."""

DEFAULT_CHANNELS = ("trades", "depth")
EXAMPLE = "binance: {majors: {enabled: true, streams: [trades, depth], symbols: [BTCUSDT]}}"
"""A whole markets file, for errors."""

NO_PRIORITY = 1_000_000
"""After every symbol that has one."""

_TIER_DEPTH = 2
"""Keys from the top of the file down to a tier: venue and name."""

_EXPECTED = ("venues with their tiers", "tiers with their keys", "the keys of a tier", "a symbol")
"""By the number of keys from the top."""

SymbolName = Annotated[str, Field(pattern=r"^\S+$")]
Wanted = dict[str, tuple[str, ...]]
"""Channels by symbol."""


class Symbol(BaseModel, extra="forbid"):
    """One symbol of a tier; what is left out is as the tier has it."""

    symbol: SymbolName
    enabled: bool = True
    priority: int | None = Field(None, ge=1, lt=NO_PRIORITY)
    streams: list[str] | None = Field(None, min_length=1)
    interval: str | None = None


class Tier(BaseModel, extra="forbid"):
    """Some symbols of one venue that are collected alike, but for what a symbol says of itself."""

    enabled: bool
    streams: list[str] = Field(min_length=1)
    priority: int = Field(NO_PRIORITY, ge=1, le=NO_PRIORITY)
    interval: str | None = None
    symbols: list[Annotated[Symbol, BeforeValidator(lambda named: {"symbol": named} if isinstance(named, str) else named)]] = (
        Field(min_length=1)
    )


@dataclass
class Markets:
    """What is collected from one venue, the most important symbols first.

    `intervals` are those of the klines and `priorities` the numbers, of the symbols that have them. `are_usual`: neither the
    markets file nor ACTIVE_SYMBOLS has the venue.
    """

    wanted: Wanted = field(default_factory=dict)
    intervals: dict[str, str] = field(default_factory=dict)
    priorities: dict[str, int] = field(default_factory=dict)
    are_usual: bool = False

    def only(self, symbols: Iterable[str]) -> "Markets":
        """These of its symbols."""
        kept = set(symbols)
        wanted = {symbol: channels for symbol, channels in self.wanted.items() if symbol in kept}
        return replace(self, wanted=wanted)


def markets_file() -> Path:
    """MARKETS_FILE where there is one, else the file that comes with tickhouse: BTC and ETH against USDT."""
    return MARKETS_FILE if MARKETS_FILE.exists() else RESOURCES / "markets.yaml"


def read_markets(path: Path, venue: Venue, active: Sequence[str] = ()) -> Markets:
    """The enabled symbols of one venue's enabled tiers; of a venue that is not in the file its usual ones.

    With `active`, exactly these symbols instead: one that no enabled tier has gets the default channels. Raises UsageError
    that names the file and the place.
    """
    markets = Markets()
    tiers = _tiers(path, venue.name)
    if tiers is None and not active:
        active, markets.are_usual = venue.usual_symbols, True
        said = {"venue": venue.name, "symbols": ", ".join(active), "file": path}
        log.warning("not in the markets file: its usual symbols", extra=said)
    for name, tier in (tiers or {}).items():
        place = f"{path}: {venue.name}.{name}"
        _check(place, tier, venue)
        for symbol in tier.symbols:
            _check(f"{place}.{symbol.symbol}", symbol, venue)
            if tier.enabled and symbol.enabled and (not active or symbol.symbol in active):
                _add(markets, tier, symbol, place)
    for symbol_name in active:
        markets.wanted.setdefault(symbol_name, DEFAULT_CHANNELS)
    if not markets.wanted:
        raise UsageError(f"{path} enables no symbol of {venue.name}: enable a tier or name symbols with --symbol")
    order = sorted(markets.wanted, key=lambda symbol: markets.priorities.get(symbol, NO_PRIORITY))
    markets.wanted = {symbol: markets.wanted[symbol] for symbol in order}
    return markets


def collected_markets(venue: Venue) -> Markets:
    """What is collected where no symbol is named: ACTIVE_SYMBOLS, or those of the markets file (see `read_markets`)."""
    return read_markets(markets_file(), venue, active_symbols(venue.name))


def named_or_active(named: Sequence[str] | None, *venues: str) -> list[str]:
    """The symbols of `--symbol`, or else ACTIVE_SYMBOLS, each once. Raises UsageError where there are none."""
    symbols = list(dict.fromkeys(named or [symbol for venue in venues for symbol in active_symbols(venue)]))
    if not symbols:
        raise UsageError("no symbol: name it with --symbol, for example --symbol BTCUSDT, or set ACTIVE_SYMBOLS")
    return symbols


def active_symbols(venue: str) -> tuple[str, ...]:
    """Those of ACTIVE_SYMBOLS for one venue. Raises UsageError where all are of other venues, and for a venue that is none."""
    names = read(MarketSettings).active_symbols.replace(",", " ").split()
    named = [name.rpartition(":") for name in names]
    for name, (of, _, symbol) in zip(names, named, strict=True):
        if not symbol or (name != symbol and of not in venue_names()):
            raise UsageError(f"ACTIVE_SYMBOLS: {name!r} is no SYMBOL or VENUE:SYMBOL; the venues are {', '.join(venue_names())}")
    symbols = tuple(dict.fromkeys(symbol for of, _, symbol in named if of in ("", venue)))
    if names and not symbols:
        raise UsageError(f"ACTIVE_SYMBOLS has no symbol for {venue}: add one, for example {venue}:SYMBOL")
    return symbols


def _tiers(path: Path, venue: str) -> dict[str, Tier] | None:
    """None where the file does not name the venue."""
    import yaml  # who names symbols needs no file: a twentieth of the start of a backfill

    try:
        venues = TypeAdapter(dict[str, dict[str, Tier]]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{path} cannot be read ({why}): name symbols with --symbol") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_mistake(error)}") from error
    known = venue_names()
    if unknown := [name for name in venues if name not in known]:
        raise UsageError(f"{path}: unknown venue {unknown[0]!r}, choose from {', '.join(known)}")
    return venues.get(venue)


def _mistake(error: ValidationError) -> str:
    """Place and words of one mistake. An unknown key comes first: it is often the key that another mistake says is missing."""
    problems = error.errors()
    if unknown := [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]:
        having = min(unknown, key=len)[:-1]
        keys = ", ".join(repr(loc[-1]) for loc in unknown if loc[:-1] == having)
        known = Symbol if "symbols" in having[_TIER_DEPTH:] else Tier
        return f"{_words(having)}unknown key {keys}, choose from {', '.join(known.model_fields)}"
    place, said = problems[0]["loc"], problems[0]["msg"]
    if problems[0]["type"] in ("dict_type", "model_type"):
        said = f"expected {_EXPECTED[min(len(place), len(_EXPECTED) - 1)]}, such as {EXAMPLE}"
    return f"{_words(place)}{said}"


def _words(place: Sequence[int | str]) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""


def _check(place: str, named: Tier | Symbol, venue: Venue) -> None:
    if unknown := [channel for channel in named.streams or () if channel not in venue.channels]:
        raise UsageError(f"{place}.streams: unknown {unknown[0]!r}, choose from {', '.join(venue.channels)}")
    if named.interval is not None and named.interval not in venue.intervals:
        raise UsageError(f"{place}.interval: unknown {named.interval!r}, choose from {', '.join(venue.intervals)}")


def _add(markets: Markets, tier: Tier, symbol: Symbol, place: str) -> None:
    name, priority = symbol.symbol, symbol.priority or tier.priority
    streams = symbol.streams or tier.streams
    markets.wanted[name] = tuple(dict.fromkeys((*markets.wanted.get(name, ()), *streams)))
    if priority < markets.priorities.get(name, NO_PRIORITY):
        markets.priorities[name] = priority
    if (interval := symbol.interval or tier.interval) and markets.intervals.setdefault(name, interval) != interval:
        raise UsageError(f"{place}.{name}: interval {interval}, but another tier has {markets.intervals[name]}: name one")

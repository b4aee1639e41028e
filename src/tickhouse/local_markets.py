"""What each venue records of the channels and symbols that a person named: those that it has, spelled as it spells them."""

import logging
from collections.abc import Mapping, Sequence

from extract_process.listing import CONNECTIONS, did_you_mean, likely_symbols, unknown_of
from extract_process.venues import venue_named
from tickhouse_core.errors import UnknownSymbols, UsageError, VenueError
from tickhouse_core.lifecycle import StopRequest, run_until_stopped
from tickhouse_core.settings import SpoolSettings, read

log = logging.getLogger(__name__)

LOOK_UP_SECONDS = 10.0
"""Longer, a venue counts as unavailable: recording begins, and looks the symbols up again by itself."""


def channels_by_venue(venues: Sequence[str], named: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each venue the named channels that it has.

    Raises UsageError for a channel that no venue has, and for a venue that has none of them.
    """
    having = {name: venue_named(name).channels for name in venues}
    if unknown := [channel for channel in named if not any(channel in channels for channels in having.values())]:
        raise UsageError(f"--channel {unknown[0]!r}: {_choice(having)}")
    chosen = {name: tuple(channel for channel in named if channel in channels) for name, channels in having.items()}
    if idle := [name for name, channels in chosen.items() if not channels]:
        others = " or ".join(named)
        raise UsageError(f"--venue {idle[0]}: it has no {others}; leave it out, or {_choice({idle[0]: having[idle[0]]})}")
    for name, channels in chosen.items():
        if missing := [channel for channel in named if channel not in channels]:
            log.info("channels that this venue does not have are left out", extra={"venue": name, "channels": ", ".join(missing)})
    return chosen


def _choice(having: Mapping[str, Sequence[str]]) -> str:
    """Venues with the same channels are named together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, channels in having.items():
        alike.setdefault(tuple(channels), []).append(name)
    return "choose from " + ", or ".join(f"{', '.join(channels)} ({', '.join(names)})" for channels, names in alike.items())


async def markets_in_time(venues: Sequence[str], symbols: Sequence[str], stop: StopRequest) -> dict[str, list[str]]:
    """As `choose_markets`; every venue gets all symbols where there is no answer in time. They are checked again later."""
    found: dict[str, list[str]] = {}

    async def choose() -> None:
        found.update(await choose_markets(venues, symbols))

    chosen = await run_until_stopped(stop, LOOK_UP_SECONDS, choose())
    if chosen.cancelled():
        log.warning("symbols are not checked: no answer yet", extra={"venues": ", ".join(venues), "seconds": LOOK_UP_SECONDS})
        return {name: list(symbols) for name in venues}
    chosen.result()
    return found


async def choose_markets(venues: Sequence[str], symbols: Sequence[str]) -> dict[str, list[str]]:
    """The symbols that each venue lists. A venue that does not answer gets the symbols that no other venue lists.

    Raises UsageError for a symbol that a venue spells another way, where no venue lists any symbol, and for a venue that
    would record nothing.
    """
    markets: dict[str, list[str]] = {}
    away: list[str] = []
    likely: dict[str, str] = {}
    for name in venues:
        async with venue_named(name).open_rest(read(SpoolSettings).folder, CONNECTIONS) as rest:
            try:
                unknown = await unknown_of(rest, symbols)
                likely |= await likely_symbols(rest, unknown)
            except UnknownSymbols as error:
                unknown = tuple(symbols)
                likely |= error.likely
            except VenueError as error:
                log.warning("symbols cannot be checked yet", extra={"venue": name, "error": str(error)})
                away.append(name)
                continue
            markets[name] = [symbol for symbol in symbols if symbol not in unknown]
    listed = {symbol for chosen in markets.values() for symbol in chosen}
    strange = [symbol for symbol in symbols if symbol not in listed]
    markets |= {name: strange or list(symbols) for name in away}
    if strange and not away:
        said = f"unknown symbol {', '.join(strange)} on {' and '.join(venues)}: write it as the venue does"
        if meant := {symbol: likely[symbol] for symbol in strange if symbol in likely}:
            raise UsageError(did_you_mean(said, meant))
        if not listed:
            raise UsageError(said)
        log.error("no venue knows these symbols: they are left out", extra={"symbols": ", ".join(strange)})
    if idle := [name for name, chosen in markets.items() if not chosen]:
        example = venue_named(idle[0]).symbol_example
        raise UsageError(f"--venue {idle[0]}: none of the symbols is a market there, for example {example}")
    return markets

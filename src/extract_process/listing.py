"""Listing: which of the wanted symbols the venue knows. One that is delisted, or not listed yet, keeps no other from its work."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from extract_process.venue import VenueRest
from tickhouse_core.errors import UnknownSymbols, UsageError, VenueError

log = logging.getLogger(__name__)

CONNECTIONS = 100
"""Requests of a live process at once: its queue sends far fewer."""


class Listing:
    """`unknown` are the wanted symbols that the venue does not know, in their order; it shrinks when they are listed."""

    def __init__(self, rest: VenueRest, wanted: Sequence[str], unknown: Sequence[str] = ()) -> None:
        self.unknown = tuple(unknown)
        self._rest = rest
        self._wanted = tuple(wanted)

    @property
    def known(self) -> tuple[str, ...]:
        """The wanted symbols without the unknown ones."""
        return tuple(symbol for symbol in self._wanted if symbol not in self.unknown)

    async def watch(self, seconds: float, on_listed: Callable[[Sequence[str]], None]) -> None:
        """Asks for the unknown symbols every so many seconds; ends when the venue knows all of them."""
        while self.unknown:
            await asyncio.sleep(seconds)
            try:
                still = await unknown_of(self._rest, self.unknown)
            except UnknownSymbols:
                continue
            except VenueError as error:
                log.warning("unknown symbols cannot be looked for", extra={"error": str(error)})
                continue
            listed = tuple(symbol for symbol in self.unknown if symbol not in still)
            self.unknown = still
            log.warning("the venue knows these symbols now", extra={"symbols": ", ".join(listed)})
            on_listed(listed)


async def open_listing(rest: VenueRest, symbols: Sequence[str]) -> Listing:
    """Asks once and names the unknown symbols in one line.

    Raises UnknownSymbols where the venue knows none of them; REST being unavailable is no reason not to record.
    """
    try:
        await rest.synchronize_clock()
        unknown = await unknown_of(rest, symbols)
    except UsageError:
        raise
    except VenueError as error:
        log.error("symbols are not checked, REST is away", extra={"error": str(error)})
        return Listing(rest, symbols)
    if unknown:
        what = {"symbols": ", ".join(unknown), "known": len(symbols) - len(unknown)}
        log.error("the venue does not know these symbols: they are left out and looked for again", extra=what)
    return Listing(rest, symbols, unknown)


async def unknown_of(rest: VenueRest, symbols: Sequence[str]) -> tuple[str, ...]:
    """Those of the symbols that the venue does not know; warns of those that do not trade.

    Raises UnknownSymbols where it knows none of them, and VenueError.
    """
    unknown: dict[str, None] = {}
    while True:
        try:
            statuses = await rest.fetch_statuses([symbol for symbol in symbols if symbol not in unknown])
        except UnknownSymbols as error:
            unknown |= dict.fromkeys(error.symbols)
            if all(symbol in unknown for symbol in symbols):
                raise
            continue
        if quiet := [symbol for symbol, is_trading in statuses.items() if not is_trading]:
            log.warning("symbols are not trading", extra={"symbols": ", ".join(quiet)})
        return tuple(symbol for symbol in symbols if symbol in unknown)

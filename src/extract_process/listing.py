"""Listing: which of the wanted symbols the venue knows. One that is delisted, or not listed yet, keeps no other from its work."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from extract_process.venues.api import VenueRest
from tickhouse_core.errors import UnknownSymbols, UsageError, VenueError

log = logging.getLogger(__name__)

UNCHECKED_SECONDS = 30.0
"""At most, between two tries to check the symbols where REST was away at the start."""

CONNECTIONS = 100
"""Requests of a live process at once: its queue sends far fewer."""


_MOST_SUGGESTED = 5
QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BTC", "ETH", "BNB", "KCS", "EUR", "TRY", "BRL", "USD")
"""Currencies that a market is often quoted in, longer ones first: where a spelling without a separator can be cut in two."""


class Listing:
    """`unknown` are the wanted symbols that the venue does not know, in their order; it follows what the venue says."""

    def __init__(self, rest: VenueRest, wanted: Sequence[str], unknown: Sequence[str] = (), *, is_checked: bool = True) -> None:
        """Not checked: REST was away, all symbols count as known until it answers."""
        self.unknown = tuple(unknown)
        self._is_checked = is_checked
        self._rest = rest
        self._wanted = tuple(wanted)
        self._doubt = asyncio.Event()

    @property
    def known(self) -> tuple[str, ...]:
        """The wanted symbols without the unknown ones."""
        return tuple(symbol for symbol in self._wanted if symbol not in self.unknown)

    async def watch(
        self, seconds: float, on_listed: Callable[[Sequence[str]], None], on_unknown: Callable[[Sequence[str]], None]
    ) -> None:
        """Asks for the unknown symbols every so many seconds, and for all of them once there is a doubt.

        `on_unknown` hears of those that could not be named at the start, or that the venue does not know any more.
        """
        pause = min(seconds, UNCHECKED_SECONDS)
        while True:
            usual = pause if not self._is_checked else seconds if self.unknown else None
            is_doubted = await self._doubted_within(usual)
            self._doubt.clear()
            found = await self._still_unknown(self._wanted if is_doubted or not self._is_checked else self.unknown)
            if found is not None:
                self._is_checked = True
                before, self.unknown = self.unknown, found
                if listed := tuple(symbol for symbol in before if symbol not in found):
                    log.warning("the venue knows these symbols now", extra={"symbols": ", ".join(listed)})
                    on_listed(listed)
                if gone := tuple(symbol for symbol in found if symbol not in before):
                    _say_unknown(gone, found, self._wanted)
                    on_unknown(gone)
            if is_doubted:
                if found is None:
                    self.doubt()
                await asyncio.sleep(pause)  # it may refuse for another reason, again and again

    def doubt(self) -> None:
        """The venue refused what it should know: all symbols are looked for again."""
        self._doubt.set()

    async def _doubted_within(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._doubt.wait()
        except TimeoutError:
            return False
        return True

    async def _still_unknown(self, symbols: Sequence[str]) -> tuple[str, ...] | None:
        """None: the venue does not answer."""
        try:
            return await unknown_of(self._rest, symbols)
        except UnknownSymbols:
            return tuple(symbols)
        except VenueError as error:
            log.warning("unknown symbols cannot be looked for", extra={"error": str(error)})
            return None


def _say_unknown(named: Sequence[str], unknown: Sequence[str], wanted: Sequence[str]) -> None:
    what = {"symbols": ", ".join(named), "known": len(wanted) - len(unknown)}
    log.error("the venue does not know these symbols: they are left out and looked for again", extra=what)


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
        return Listing(rest, symbols, is_checked=False)
    if unknown:
        _say_unknown(unknown, unknown, symbols)
    return Listing(rest, symbols, unknown)


async def unknown_of(rest: VenueRest, symbols: Sequence[str]) -> tuple[str, ...]:
    """Those of the symbols that the venue does not know; warns of those that do not trade.

    Raises UnknownSymbols where it knows none of them, with the spelling that was probably meant, and VenueError.
    """
    unknown: dict[str, None] = {}
    while True:
        try:
            statuses = await rest.fetch_statuses([symbol for symbol in symbols if symbol not in unknown])
        except UnknownSymbols as error:
            unknown |= dict.fromkeys(error.symbols)
            if all(symbol in unknown for symbol in symbols):
                if likely := await likely_symbols(rest, list(unknown)):
                    raise UnknownSymbols(did_you_mean(str(error), likely), error.symbols, likely) from error
                raise
            continue
        if quiet := [symbol for symbol, is_trading in statuses.items() if not is_trading]:
            log.warning("symbols are not trading", extra={"symbols": ", ".join(quiet)})
        return tuple(symbol for symbol in symbols if symbol in unknown)


async def likely_symbols(rest: VenueRest, unknown: Sequence[str]) -> dict[str, str]:
    """For each unknown symbol the market with the same letters in the venue's spelling, if the venue lists one.

    Checks the first few symbols only. Empty where the venue does not answer.
    """
    spellings = {symbol: spellings_of(symbol) for symbol in unknown[:_MOST_SUGGESTED]}
    asked = list(dict.fromkeys(one for each in spellings.values() for one in each))
    if not asked:
        return {}
    try:
        known = set(await rest.fetch_statuses(asked))
    except UnknownSymbols as error:
        known = set(asked) - set(error.symbols)
    except VenueError as error:
        log.debug("likely symbols cannot be looked for", extra={"error": str(error)})
        return {}
    return {symbol: listed[0] for symbol, each in spellings.items() if (listed := [one for one in each if one in known])}


def did_you_mean(said: str, likely: Mapping[str, str]) -> str:
    """Replaces the advice after the colon of a message about unknown symbols by the likely ones."""
    return f"{said.partition(':')[0]}: did you mean {', '.join(likely.values())}?"


def spellings_of(symbol: str) -> list[str]:
    """Other ways to write a market: in capitals, its two currencies together, or with a dash between them."""
    parts = [part for part in re.split(r"[^0-9A-Za-z]+", symbol.upper()) if part]
    together = "".join(parts)
    found = [symbol.upper().strip(), together, "-".join(parts)]
    if len(parts) == 1:
        found += [f"{together.removesuffix(quote)}-{quote}" for quote in QUOTES if together.endswith(quote) and together != quote]
    return [one for one in dict.fromkeys(found) if one and one != symbol]

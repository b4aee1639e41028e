"""What a venue's REST API says of a symbol whose bulk files are read: its contract, whether it is listed, since when it trades.

REST may be unavailable where the files are not, and forgets what was delisted: then nothing is known, and a later run asks again.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from extract_process.listing import unknown_of
from extract_process.ranges import Range
from extract_process.venues import Venue
from extract_process.venues.api import VenueRest
from tickhouse_core.errors import UnknownSymbols, UnusableAnswer, VenueError
from tickhouse_core.timestamps import DAY_US

log = logging.getLogger(__name__)

_DAILY = "1d"
"""Its candles open at midnight, UTC, as the days of files do."""


class Listing:
    """Of a venue of which nothing is asked."""

    async def contract_size(self, symbol: str) -> str:
        """What a contract is worth in the quote asset; empty where that is not known."""
        return ""

    async def doubt(self, symbol: str) -> str:
        """Why there may be no such market, and what to do; empty where the venue lists it."""
        return ""

    async def first_day(self, symbol: str, since: int) -> int:
        """The day of the venue's first candle since a day, both since 1970: no trade is older. 0 where it is not known."""
        return 0


class VenueListing(Listing):
    """`folder` has the venue's rate limit."""

    def __init__(self, venue: Venue, folder: Path) -> None:
        self._venue = venue
        self._folder = folder

    async def contract_size(self, symbol: str) -> str:
        try:
            async with self._rest() as rest:
                await rest.fetch_statuses([symbol])
                return rest.contract_sizes.get(symbol, "")
        except (VenueError, UnknownSymbols) as error:
            log.warning("what a contract is worth is not known: volumes in the quote asset wait", extra={"why": str(error)})
            return ""

    async def doubt(self, symbol: str) -> str:
        """Where no list can be had, a correct symbol is doubted too."""
        try:
            async with self._rest() as rest:
                await unknown_of(rest, [symbol])
        except UnknownSymbols as error:
            return str(error)
        except VenueError as error:
            log.warning("whether the venue lists a symbol is not known", extra={"symbol": symbol, "why": str(error)})
            return f"its markets cannot be looked up now: write it as the venue does, for example {self._venue.symbol_example}"
        return ""

    async def first_day(self, symbol: str, since: int) -> int:
        """One question. A market whose first candle is still to come has none so far, up to now."""
        try:
            async with self._rest() as rest:
                await unknown_of(rest, [symbol])
                now = rest.client.server_now()
                wanted = Range(max(since * DAY_US, self._venue.earliest_us), now)
                first = await rest.fetch_first_open_time(symbol, _DAILY, wanted)
        except (VenueError, UnknownSymbols, UnusableAnswer) as error:
            log.warning("since when a symbol trades is not known", extra={"symbol": symbol, "why": str(error)})
            return 0
        return (now if first is None else first) // DAY_US

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[VenueRest]:
        async with self._venue.open_rest(self._folder, 1) as rest:
            await rest.synchronize_clock()
            yield rest

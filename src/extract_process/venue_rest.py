"""What the live commands do with a venue's REST side before they begin: symbols are checked once."""

import logging

from extract_process.venue import VenueRest
from tickhouse_core.errors import UsageError, VenueError

log = logging.getLogger(__name__)

CONNECTIONS = 100
"""Requests of a live capture at once: its queue sends far fewer."""


async def check_symbols(rest: VenueRest, symbols: list[str]) -> None:
    """Raises UsageError for a symbol the venue does not know; REST being away is no reason not to record."""
    try:
        await rest.synchronize_clock()
        for symbol, is_trading in (await rest.fetch_statuses(symbols)).items():
            if not is_trading:
                log.warning("symbol is not trading", extra={"symbol": symbol})
    except UsageError:
        raise
    except VenueError as error:
        log.error("symbols are not checked, REST is away", extra={"error": str(error)})

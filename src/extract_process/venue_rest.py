"""The venue's REST side as the live capture opens it: one budget, shared bans, symbols checked once."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from extract_process.ban_memory import BanMemory
from extract_process.binance.dialect import BINANCE
from extract_process.binance.rest_api import BinanceRest
from extract_process.weight_budget import WeightBudget
from pipeline.errors import UsageError, VenueError
from pipeline.settings import BinanceSettings, read

log = logging.getLogger(__name__)

_FIRST_LIMIT = 1_200
"""Weight a minute before exchangeInfo has told the real limit."""

_SYMBOLS_PER_REQUEST = 100


@asynccontextmanager
async def open_rest(folder: Path) -> AsyncIterator[BinanceRest]:
    """The REST side for one process, with its budget and the bans other processes were told of."""
    venue = read(BinanceSettings)
    parts = urlsplit(venue.rest_url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    bans = BanMemory(folder.parent, BINANCE.venue, host)
    async with httpx.AsyncClient(base_url=venue.rest_url, timeout=httpx.Timeout(30, connect=5, pool=None)) as client:
        yield BinanceRest(client, WeightBudget(_FIRST_LIMIT), bans)


async def check_symbols(rest: BinanceRest, symbols: list[str]) -> None:
    """Raises UsageError for a symbol the venue does not know; REST being away is no reason not to record."""
    try:
        await rest.synchronize_clock()
        for start in range(0, len(symbols), _SYMBOLS_PER_REQUEST):
            info = await rest.fetch_exchange_info(symbols[start : start + _SYMBOLS_PER_REQUEST])
            _warn_of_halted(info.statuses.items())
    except UsageError:
        raise
    except VenueError as error:
        log.error("symbols are not checked, REST is away", extra={"error": str(error)})


def _warn_of_halted(statuses: Iterable[tuple[str, str]]) -> None:
    for symbol, status in statuses:
        if status != "TRADING":
            log.warning("symbol is not trading", extra={"symbol": symbol, "status": status})

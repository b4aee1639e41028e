"""Which of the symbols that a backfill is asked for can be had, and from where: REST, only the archive, or nowhere."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extract_process.backfill.archived import is_archived
from extract_process.listing import unknown_of
from extract_process.parquet import write_events
from extract_process.records import StreamEvent
from extract_process.venues import Venue
from extract_process.venues.api import Archive, VenueRest
from tickhouse_core.errors import UnknownSymbols, UsageError
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """`only_archived` are delisted symbols: the exchange has forgotten them and the archive has not."""

    only_archived: frozenset[str]
    unknown: tuple[str, ...]


async def look_up(
    symbols: Sequence[str],
    interval: str,
    rest: VenueRest,
    archive: Archive | None,
    bounds: Callable[[], tuple[int, int]],
    venue: Venue,
) -> Found:
    """`archive` is None where only REST is to be asked; `bounds` are the wanted instants, in microseconds.

    Raises UsageError where nobody knows any of the symbols, and VenueError.
    """
    try:
        unknown = await unknown_of(rest, symbols)
    except UnknownSymbols:
        if archive is None:
            raise
        unknown = tuple(symbols)
    if archive is None:
        return Found(frozenset(), unknown)
    archived = [symbol for symbol in unknown if await is_archived(archive, symbol, interval, *bounds())]
    strangers = tuple(symbol for symbol in unknown if symbol not in archived)
    if len(strangers) == len(symbols):
        raise UsageError(
            f"{', '.join(strangers)}: unknown to the exchange and to the archive in this range: "
            f"write it as the venue does, for example {venue.symbol_example}"
        )
    if archived:
        log.warning("unknown to the exchange, asking only the archive", extra={"symbols": archived})
    return Found(frozenset(archived), strangers)


def say_unknown(store: ObjectStore, venue: str, interval: str, symbols: Sequence[str]) -> None:
    """One event for each, as an object of its own."""
    for number, symbol in enumerate(symbols, start=1):
        instance, now = f"backfill-{symbol}-{interval}", now_us()
        event = StreamEvent(venue, symbol, "klines", instance, "unknown_symbol", None, None, now, None, "", interval)
        write_events(store, [event], now, number)

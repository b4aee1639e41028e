"""PURE. `aggTrades`: trades of one time, price and side are one fill of one order (`rest-api.md`: "Compressed/Aggregate trades").

The venue numbers them by a counter of its own, which trades do not say. Here `a` is the id of the last trade, so that a page
goes on from `fromId` = `a` + 1 as the venue's does; `a` jumps where an aggregate has several trades, `f` and `l` never do.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any

_BEFORE = 100
"""An aggregate that `fromId` is in may have begun so many trades earlier."""

LOOK = 1_000 + _BEFORE + 1
"""Trades that are looked at for one answer: enough for 1,000 aggregates of one trade each, and one that may be cut."""

KEPT = 1_000
"""At least so many of the latest trades are known; where there are fewer, these are all."""


def first_of_page(from_id: int) -> int:
    """The trade to begin at, for aggregates from an id on."""
    return max(from_id - _BEFORE, 0)


def aggregates(trades: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of trades as `historicalTrades` has them, in order of their ids."""
    for (time, price, is_buyer_maker), group in groupby(trades, lambda it: (it["time"], it["price"], it["isBuyerMaker"])):
        fills = list(group)
        first, last = fills[0]["id"], fills[-1]["id"]
        quantity = f"{sum((Decimal(fill['qty']) for fill in fills), Decimal(0)):.8f}"
        yield {"a": last, "p": price, "q": quantity, "f": first, "l": last, "T": time, "m": is_buyer_maker, "M": True}


def page_of(trades: list[dict[str, Any]], from_id: int, limit: int) -> list[dict[str, Any]]:
    """The oldest `limit` aggregates from an id on. A full look at trades may end in the middle of its last aggregate."""
    found = list(aggregates(trades))
    if len(trades) >= LOOK and len(found) > 1:
        del found[-1]
    return [one for one in found if one["a"] >= from_id][:limit]


def latest_of(trades: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int | None]:
    """The aggregates of the latest trades, and the instant up to which they are not known; None where these are all.

    The first of them may have begun among trades that are not known any more: it is left out.
    """
    found = list(aggregates(trades))
    return (found[1:], found[0]["T"]) if len(trades) >= KEPT else (found, None)

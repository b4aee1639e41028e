"""A contract against spot for the page: the basis of the last recorded hour and the funding that runs."""

from collections.abc import Sequence
from typing import Any

from status_page.queries import Queries, Recent
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, SECOND_US, to_datetime

_FRESH_SECONDS = 5.0
_BASIS_SECONDS = 60.0
"""How often an hour of basis is read again without a new second: an older one may have come."""

_MARKS_US = 2 * MINUTE_US
"""Of mark prices, of which there is one each second."""


class Bases:
    """Thread-safe: many viewers cost as much as one. Errors: the warehouse's."""

    def __init__(self, queries: Queries, fresh_seconds: float = _FRESH_SECONDS) -> None:
        self._recent = Recent(queries, fresh_seconds)
        self._hours = Recent(queries, _BASIS_SECONDS)

    def of(self, venue: str, symbol: str) -> dict[str, Any]:
        """`pairs`, at most 4: a contract and a spot market of it, of which one is the market; empty for others.

        Of each: `venue`, `symbol`, `spot_venue`, `spot_symbol` (empty: no spot is recorded), `delivery` (0: none), `since`,
        `until`; `basis`: begin of ten seconds, bps and share of a year (null: a perpetual); `funding`: rate, when it is settled,
        hours, share of a year, premium in bps, or null. Instants in microseconds.
        """
        return {"pairs": self._recent.get((venue, symbol), lambda: self._pairs(venue, symbol))}

    def _pairs(self, venue: str, symbol: str) -> list[dict[str, Any]]:
        return [self._pair(row) for row in self._recent.queries.ask("basis_pairs", {"venue": venue, "symbol": symbol})]

    def _pair(self, row: Sequence[Any]) -> dict[str, Any]:
        ask = self._recent.queries.ask
        contract: dict[str, Any] = {"venue": str(row[0]), "symbol": str(row[1])}
        spot = {"spot_venue": str(row[2]), "spot_symbol": str(row[3])}
        [[newest, marked]] = ask("basis_newest", contract)
        until = int(newest or 0) + SECOND_US
        known = (*contract.values(), *spot.values(), str(newest))
        hour = contract | spot | _stretch(until - HOUR_US, until)
        basis = self._hours.get(known, lambda: ask("basis", hour)) if newest and spot["spot_venue"] else []
        funding = ask("carry", contract | _stretch(int(marked) - _MARKS_US, int(marked) + 1)) if marked else []
        pair = contract | spot | {"delivery": int(row[4]), "since": until - HOUR_US, "until": until}
        return pair | {"basis": [list(one) for one in basis], "funding": list(funding[0]) if funding else None}


def _stretch(since_us: int, until_us: int) -> dict[str, str]:
    return {name: to_datetime(at).strftime("%Y-%m-%d %H:%M:%S.%f") for name, at in (("since", since_us), ("until", until_us))}

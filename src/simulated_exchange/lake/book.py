"""PURE. One symbol's book as a replay passes: a recorded snapshot and every diff since, as long as they go on without a hole."""

from bisect import insort
from collections.abc import Sequence
from decimal import Decimal

from simulated_exchange.lake.items import Change, Pair, Snapshot

_MOST_AHEAD = 50


class LakeBook:
    """Exact as far down as the snapshot it stands on went; below that only what has changed since is known."""

    def __init__(self) -> None:
        self._ahead: list[Snapshot] = []
        self._sides: tuple[dict[str, str], dict[str, str]] | None = None
        self._update_id = -1

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """One that the replay has not come to yet."""
        if snapshot.update_id > self._update_id and len(self._ahead) < _MOST_AHEAD:
            insort(self._ahead, snapshot)

    def on_diff(self, diff: Change) -> None:
        """In the order of their ids. Behind a hole the book is unknown, until a snapshot falls into the diffs."""
        if self._sides is not None and diff.first_id > self._update_id + 1:
            self._sides = None
        if self._sides is None:
            self._stand_on(diff)
        if self._sides is not None and diff.last_id > self._update_id:
            for side, levels in zip(self._sides, (diff.bids, diff.asks), strict=True):
                for price, quantity in levels:
                    if quantity.strip("0."):
                        side[price] = quantity
                    else:
                        side.pop(price, None)
        self._update_id = max(self._update_id, diff.last_id)
        while self._ahead and self._ahead[0].update_id <= self._update_id:
            del self._ahead[0]

    def shown(self, limit: int) -> Snapshot | None:
        """The best levels now. Where it is not known: the next recorded snapshot, which is some updates ahead; or None."""
        if self._sides is None:
            if not self._ahead:
                return None
            ahead = self._ahead[0]
            return Snapshot(ahead.update_id, ahead.bids[:limit], ahead.asks[:limit])
        bids, asks = self._sides
        return Snapshot(self._update_id, _best(bids, limit, is_bid=True), _best(asks, limit, is_bid=False))

    def _stand_on(self, diff: Change) -> None:
        """The first snapshot that this diff goes on from."""
        for snapshot in self._ahead:
            if diff.first_id - 1 <= snapshot.update_id <= diff.last_id:
                self._sides = dict(snapshot.bids), dict(snapshot.asks)
                self._update_id = snapshot.update_id
                return


def _best(side: dict[str, str], limit: int, *, is_bid: bool) -> list[Pair]:
    prices: Sequence[str] = sorted(side, key=Decimal, reverse=is_bid)
    return [(price, side[price]) for price in prices[:limit]]

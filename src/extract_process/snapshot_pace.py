"""PURE. SnapshotPace: a symbol whose book breaks again and again, or cannot start, asks for snapshots less and less often."""

FREE = 4
"""Requests of a symbol that go at once before they grow apart."""

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
CALM_SECONDS = 120.0
"""Without a request for so long (beside the last pause), the next one is the first again."""


class SnapshotPace:
    """`now` is in seconds of a clock that never steps; symbols are those of one process."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int, float]] = {}

    def pause_before(self, symbol: str, reason: str, now: float) -> float:
        """Seconds until this request should go out. A snapshot that was too old is never asked for again at once."""
        count, last = self._asked.get(symbol, (0, 0.0))
        if now - last > CALM_SECONDS:
            count = 0
        step = max(0, count - 1) if reason == "snapshot_too_old" else count - FREE
        pause = 0.0 if step < 0 else min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**step)
        self._asked[symbol] = count + 1, now + pause
        return pause

"""PURE. SnapshotPace: a symbol whose book cannot start or cannot be followed asks for snapshots less and less often."""

FREE = 4
"""Requests of a symbol after odd data that go at once before they grow apart."""

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
CALM_SECONDS = 120.0
"""Seconds without such a request (beside the last pause) after which the next one counts as the first again."""

_USUAL = frozenset({"start", "gap", "mismatch", "proof", "refresh"})


class SnapshotPace:
    """`now` is in seconds of a clock that never steps; symbols are those of one process."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, bool], tuple[int, float]] = {}

    def pause_before(self, symbol: str, reason: str, now: float) -> float:
        """Seconds until this request is sent. A snapshot that was too old is never requested again at once."""
        if reason in _USUAL:
            return 0.0
        is_too_old = reason == "snapshot_too_old"
        count, last = self._asked.get((symbol, is_too_old), (0, now))
        if now - last > CALM_SECONDS:
            count = 0
        step = count if is_too_old else count - FREE
        pause = 0.0 if step < 0 else min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**step)
        self._asked[symbol, is_too_old] = count + 1, now + pause
        return pause

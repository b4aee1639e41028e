"""PURE. ReconnectDelay: how long to wait before the next connect, with full jitter."""

from tickhouse_core.backoff import Backoff

LIVED_SECONDS = 60.0
"""A connection that lived longer ended by chance; a shorter one is a sign of trouble that goes on."""


class ReconnectDelay:
    """Grows with every connection that did not live, whether or not its handshake succeeded.

    A server that accepts and closes at once would otherwise be dialled thousands of times (Binance allows 300 connects
    in 5 minutes).
    """

    def __init__(self, first_seconds: float = 0.5, most_seconds: float = 30.0) -> None:
        self._backoff = Backoff(first_seconds, most_seconds)
        self._failures = 0

    def next_delay(self, lived_seconds: float, fraction: float) -> float:
        """Seconds to wait after a connection that lived `lived_seconds` (0: it never opened); `fraction` is random in [0, 1)."""
        if lived_seconds >= LIVED_SECONDS:
            self._failures = 0
        self._failures += 1
        return self._backoff.pause(self._failures, fraction)

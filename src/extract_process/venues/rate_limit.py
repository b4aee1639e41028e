"""PURE. WeightBudget: when the next request may be sent without ever breaking the venue's weight limit."""

MINUTE_US = 60_000_000


class WeightBudget:
    """Request weight in fixed clock minutes of the server's clock.

    Binance, "How to interpret rate limits": a request at 00:01:23 counts in the minute 00:01:00, and the counter
    resets at 00:02:00. The counter is the address's, so the server's tally (`X-MBX-USED-WEIGHT-1M`) wins over our
    own count. All instants are microseconds of the server's clock.
    """

    def __init__(self, limit: int, share: float = 0.95) -> None:
        """Uses at most `share` of `limit` a minute: at 6000, the rest is one 5000-level snapshot (250) and change."""
        self.limit = limit
        self._share = share
        self._minute = 0
        self._used = 0
        self._in_flight = 0
        self._blocked_until = 0

    @property
    def used_weight(self) -> int:
        """What the address has used in the current minute, requests without an answer included."""
        return self._used + self._in_flight

    def wait_before(self, weight: int, now_us: int) -> float:
        """Seconds until a request of this weight may be sent; 0 means now, and `on_sent` must follow."""
        if now_us < self._blocked_until:
            return (self._blocked_until - now_us) / 1e6
        self._enter_minute_of(now_us)
        if self.used_weight + weight <= self.limit * self._share or not self.used_weight:
            return 0.0
        return ((self._minute + 1) * MINUTE_US - now_us) / 1e6

    def on_sent(self, weight: int, now_us: int) -> None:
        """The request is on its way: until its answer comes, it may count in any minute."""
        self._enter_minute_of(now_us)
        self._in_flight += weight

    def on_answer(self, weight: int, sent_us: int, now_us: int, used_weight: int | None) -> None:
        """`used_weight` is the server's tally, None where the answer has none (or there was no answer).

        The tally of a request that crossed the turn of a minute belongs to either: only its own weight is counted.
        """
        self._enter_minute_of(now_us)
        self._in_flight -= weight
        if used_weight is None or sent_us // MINUTE_US != self._minute:
            self._used += weight
        else:
            self._used = max(self._used, used_weight)  # answers overtake each other; within a minute it only grows

    def block_until(self, instant_us: int) -> None:
        """No request before the instant: HTTP 429 with Retry-After, or a ban."""
        self._blocked_until = max(self._blocked_until, instant_us)

    def _enter_minute_of(self, now_us: int) -> None:
        minute = now_us // MINUTE_US
        if minute != self._minute:  # also backwards: the server's clock is known only after the first answer
            self._minute, self._used = minute, 0

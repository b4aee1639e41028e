"""PURE. PoolBudget: when the next request may be sent without ever breaking KuCoin's limit of the public pool."""

WINDOW_US = 30_000_000


class PoolBudget:
    """Weight in windows of 30 s, each beginning with the first request after the one before.

    KuCoin, "Rate limit": 2,000 for the public pool, per address; every answer says what is left
    (`gw-ratelimit-remaining`) and when the window ends (`gw-ratelimit-reset`, in milliseconds): the venue's tally wins.
    """

    def __init__(self, limit: int, share: float = 0.95) -> None:
        """Uses at most `share` of `limit` a window."""
        self.limit = limit
        self._share = share
        self._ends = 0
        self._used = 0
        self._in_flight = 0
        self._blocked_until = 0

    @property
    def used_weight(self) -> int:
        """What the address has used in the current window, requests without an answer included."""
        return self._used + self._in_flight

    def wait_before(self, weight: int, now_us: int) -> float:
        """Seconds until a request of this weight may be sent; 0 means now, and `on_sent` must follow."""
        if now_us < self._blocked_until:
            return (self._blocked_until - now_us) / 1e6
        self._close_window(now_us)
        if self.used_weight + weight <= self.limit * self._share or not self.used_weight:
            return 0.0
        return max(self._ends - now_us, 1_000) / 1e6

    def on_sent(self, weight: int, now_us: int) -> None:
        """The request is on its way; the first one of a window opens it."""
        self._close_window(now_us)
        self._in_flight += weight
        if not self._ends:
            self._ends = now_us + WINDOW_US

    def on_answer(self, weight: int, now_us: int, tally: tuple[int, int, int] | None) -> None:
        """`tally` is the venue's limit, what is left of it, and microseconds to its window's end; None where it said none."""
        self._close_window(now_us)
        self._in_flight -= weight
        if tally is None:
            self._used += weight
            return
        self.limit, left, to_end_us = tally
        self._ends = max(self._ends, now_us + to_end_us)
        self._used = max(self._used, self.limit - left)  # answers overtake each other; within a window it only grows

    def block_until(self, instant_us: int) -> None:
        """No request before the instant: HTTP 429, or a ban."""
        self._blocked_until = max(self._blocked_until, instant_us)

    def _close_window(self, now_us: int) -> None:
        if self._ends and now_us >= self._ends:
            self._ends, self._used = (now_us + WINDOW_US, 0) if self._in_flight else (0, 0)

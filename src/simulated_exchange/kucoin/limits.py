"""PURE. KuCoin's limits as the simulator enforces them: the public pool's weight, tokens, and clients that must ping."""

from dataclasses import dataclass, field

SECOND_US = 1_000_000
WINDOW_US = 30 * SECOND_US
TOKEN_LIFE_US = 24 * 3_600 * SECOND_US


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request meets: whether it is served, what is left, and microseconds to the window's end."""

    is_served: bool
    left: int
    reset_us: int


@dataclass(slots=True)
class PoolLimiter:
    """Weight per address in windows of 30 s, each beginning with the first request after the one before."""

    limit: int
    _windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def admit(self, address: str, weight: int, now: int) -> Allowance:
        """Counts one request; `now` in microseconds."""
        start, used = self._windows.get(address, (now, 0))
        if now >= start + WINDOW_US:
            start, used = now, 0
        used += weight
        self._windows[address] = start, used
        return Allowance(used <= self.limit, max(0, self.limit - used), start + WINDOW_US - now)

    def clear(self) -> None:
        self._windows.clear()


@dataclass(slots=True)
class Tokens:
    """Tokens given out and used; valid for a day. Reuse is counted, not refused: the venue's text leaves it open."""

    given: int = 0
    used: int = 0
    reused: int = 0
    _valid: dict[str, tuple[int, int]] = field(default_factory=dict)

    def give(self, now: int) -> str:
        self.given += 1
        token = f"simulated-{self.given:06d}"
        self._valid[token] = now, 0
        return token

    def take(self, token: str, now: int) -> bool:
        """Whether a connection may open with this token."""
        if token not in self._valid or now >= self._valid[token][0] + TOKEN_LIFE_US:
            return False
        given_at, times = self._valid[token]
        self._valid[token] = given_at, times + 1
        self.used += 1
        self.reused += times > 0
        return True


@dataclass(slots=True)
class ClientPulse:
    """The client pings here, as a message; one that says nothing for too long is dead, even while data flows."""

    silence_us: int
    last_heard: int

    def hear(self, now: int) -> None:
        self.last_heard = now

    def ping(self, now: int) -> bytes | None:
        """The venue pings nobody."""
        return None

    def pong(self, payload: bytes) -> None:
        """Answers nothing."""

    def is_dead(self, now: int) -> bool:
        return now - self.last_heard > self.silence_us

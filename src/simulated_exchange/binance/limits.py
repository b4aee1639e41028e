"""PURE. The venue's request limits per client address: fixed windows on the server's clock, 429, then 418 bans.

"A request at 00:01:23.456 counts in minute 00:01:00 and the counter resets at 00:02:00"; a 429 carries Retry-After in seconds,
and who goes on is banned (418) for 2 minutes, growing to 3 days. Times are milliseconds.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

from simulated_exchange.market.intervals import DAY, MINUTE
from simulated_exchange.server.tally import Cause

SHORTEST_BAN = 2 * MINUTE
LONGEST_BAN = 3 * DAY
HTTP_BANNED = 418  # Python's name for it is a teapot


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request: status 200, 429 or 418; `retry_after` in whole seconds, `banned_until` in ms."""

    status: int
    used_weight: int
    retry_after: int = 0
    banned_until: int = 0
    cause: Cause = Cause.LIMIT

    @property
    def is_served(self) -> bool:
        return self.status == HTTPStatus.OK

    @property
    def is_ban(self) -> bool:
        return self.status == HTTP_BANNED


@dataclass(slots=True)
class _Client:
    opened: int = -1
    used_weight: int = 0
    strikes: int = 0
    banned_until: int = 0
    ban_cause: Cause = Cause.LIMIT
    bans: int = 0


@dataclass(slots=True)
class RateLimiter:
    """Counts weight per window of the clock (a minute); bans after `ban_after` refusals inside one window."""

    weight_limit: int = 6_000
    ban_after: int = 10
    window: int = MINUTE
    _clients: dict[str, _Client] = field(default_factory=dict)

    def admit(self, address: str, weight: int, now: int) -> Verdict:
        """Counts one request and says whether it is served."""
        client = self._clients.setdefault(address, _Client())
        _open_window(client, now, self.window)
        if now < client.banned_until:
            return _banned(client, now)
        client.used_weight += weight
        if client.used_weight > self.weight_limit:
            return self._refuse(client, now)
        return Verdict(HTTPStatus.OK, client.used_weight)

    def ban(self, address: str, until: int, now: int) -> Verdict:
        """A scripted ban: every request before `until` gets a 418, and it does not count as one of ours."""
        client = self._clients.setdefault(address, _Client())
        _open_window(client, now, self.window)
        client.banned_until, client.ban_cause = until, Cause.INJECTED
        return _banned(client, now)

    def clear(self) -> None:
        self._clients.clear()

    def _refuse(self, client: _Client, now: int) -> Verdict:
        client.strikes += 1
        if client.strikes > self.ban_after:
            client.banned_until = now + min(SHORTEST_BAN << client.bans, LONGEST_BAN)
            client.ban_cause = Cause.LIMIT
            client.bans = min(client.bans + 1, 16)
            return _banned(client, now)
        return Verdict(HTTPStatus.TOO_MANY_REQUESTS, client.used_weight, _seconds(client.opened + self.window - now))


def _open_window(client: _Client, now: int, window: int) -> None:
    opened = now - now % window
    if client.opened != opened:
        client.opened, client.used_weight, client.strikes = opened, 0, 0


def _banned(client: _Client, now: int) -> Verdict:
    retry_after = _seconds(client.banned_until - now)
    return Verdict(HTTP_BANNED, client.used_weight, retry_after, client.banned_until, cause=client.ban_cause)


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))

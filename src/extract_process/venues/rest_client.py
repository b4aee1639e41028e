"""RestClient: HTTP requests to one venue under one rate limit, with retries, bans and request counts.

A venue supplies `classify` (what a response means) and `tally_of` (what its headers say about the limit). Each endpoint is one
call of `get`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import orjson

from extract_process.venues.body_limit import ACCEPTED, limit_body
from extract_process.venues.rate_limit import RateLimit, Tally
from tickhouse_core.backoff import venue_requests
from tickhouse_core.errors import UsageError, VenueBanned, VenueRefused, VenueUnavailable
from tickhouse_core.files import write_durably
from tickhouse_core.timestamps import DAY_US, MINUTE_US, format_instant, now_us

log = logging.getLogger(__name__)

MOST_LEVELS_ON_THE_LOOP = 1_000
"""Levels per side. A larger snapshot is parsed in a thread, because waiting frames would get a late receipt time."""

_FIREWALL_PAUSE_US = 5 * MINUTE_US
Parsed = TypeVar("Parsed")

LONGEST_BAN_US = 3 * DAY_US
"""Binance bans for two minutes to three days; KuCoin's firewall for less. What claims to last longer is not believed."""


class Answer(NamedTuple, Generic[Parsed]):
    """A body as sent, its time of arrival in microseconds, and its parsed value. Only recovery parses the body again."""

    body: bytes
    receipt_time: int
    parsed: Parsed


@dataclass(slots=True)
class RequestTally:
    """Counts since the start: requests and weight sent, retries, and 429 responses."""

    requests: int = 0
    weight: int = 0
    retries: int = 0
    rate_limited: int = 0
    klines: int = 0
    by_path: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """No usable answer. With `wait_us` all requests wait that long (HTTP 429); without it this request is retried."""

    said: str
    wait_us: int | None = None


@dataclass(frozen=True, slots=True)
class Ban:
    """This address must not send requests for `wait_us` microseconds."""

    said: str
    wait_us: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is wrong. `code` is the venue's own, 0 if there is none."""

    said: str
    code: int = 0


Outcome: TypeAlias = bytes | Retry | Ban | Refused


def refusal(response: httpx.Response, said: str, code: int = 0) -> Retry | Ban | Refused:
    """The meaning of a status at every venue: 403 is a firewall ban, 5xx is transient, anything else is a wrong request."""
    if response.status_code == httpx.codes.FORBIDDEN:
        return Ban(f"refused by the venue's firewall: {said}", _FIREWALL_PAUSE_US)
    return Retry(said) if response.is_server_error else Refused(said, code)


class BanStore:
    """Until when a venue has shut this address out, so that a restart does not ask again.

    One small file per venue and host in the spool folder; written whole or not at all, a power cut included.
    """

    def __init__(self, folder: Path, venue: str, host: str) -> None:
        """`host` keeps a ban by a simulator or a proxy apart from one by the venue itself."""
        self._path = folder / f"{venue}-{quote(host)}-ban.json"

    def remember(self, ban: VenueBanned) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, orjson.dumps({"until_us": ban.until_us, "why": str(ban)}))

    def remembered(self, now_us: int) -> VenueBanned | None:
        """The ban that still lasts, if there is one; never longer than the longest ban after the file was written.

        Raises UsageError where the file is not ours.
        """
        try:
            with self._path.open("rb") as file:
                ban, written_us = orjson.loads(file.read()), os.fstat(file.fileno()).st_mtime_ns // 1_000
            until_us, why = min(int(ban["until_us"]), written_us + LONGEST_BAN_US), str(ban["why"])
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self._path} cannot be read ({error}): remove it if no ban is running") from error
        if now_us >= until_us:
            return None
        return VenueBanned(f"still shut out until {format_instant(until_us)}, asking nothing: {why}", until_us)


class RestClient:
    """Async and safe for many tasks at once. Errors: VenueUnavailable after all retries, VenueRefused, VenueBanned."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        limit: RateLimit,
        bans: BanStore,
        classify: Callable[[httpx.Response, int], Outcome],
        tally_of: Callable[[httpx.Response], Tally | None] = lambda _: None,
    ) -> None:
        """The client's base_url is the venue's; all requests from this address share `limit`.

        `classify` also gets the venue's time. While a stored ban lasts, every request raises VenueBanned at once.
        """
        self.tally = RequestTally()
        self.limit = limit
        self._client = client
        self._bans = bans
        self._classify = classify
        self._tally_of = tally_of
        self._clock_offset_us = 0

    def server_now(self) -> int:
        """The venue's clock, microseconds, as far as the last `synchronize_clock` knows."""
        return now_us() + self._clock_offset_us

    async def synchronize_clock(self, path: str, weight: int, parse: Callable[[bytes], int]) -> None:
        """Sets the clock offset. Our idea of the venue's clock is late by at most the answer's travel time, and never early.

        With an early clock, an open kline would count as closed.
        """
        answer = await self.get(path, {}, weight, lambda body, _: parse(body))
        self._clock_offset_us = answer.parsed - now_us()

    async def get(
        self,
        path: str,
        parameters: dict[str, str],
        weight: int,
        parse: Callable[[bytes, int], Parsed],
        *,
        method: str = "GET",
        in_thread: bool = False,
    ) -> Answer[Parsed]:
        """Sends the request until `parse` can read the answer. `parse` gets the body and its receipt_time."""
        async for attempt in venue_requests():
            with attempt:
                self.tally.retries += attempt.retry_state.attempt_number > 1
                body = await self._ask(method, path, parameters, weight)
                receipt_time = now_us()
                parsed = await asyncio.to_thread(parse, body, receipt_time) if in_thread else parse(body, receipt_time)
                return Answer(body, receipt_time, parsed)
        raise AssertionError("tenacity re-raises the last error")

    async def _ask(self, method: str, path: str, parameters: dict[str, str], weight: int) -> bytes:
        """The body of one usable answer. On HTTP 429 every task that shares the limit waits."""
        while True:
            response = await self._send(method, path, parameters, weight)
            match self._classify(response, self.server_now()):
                case bytes() as body:
                    return body
                case Refused(said, code):
                    raise VenueRefused(said, code)
                case Ban(said, wait_us):
                    raise self._ban(said, now_us() + wait_us)
                case Retry(said, None):
                    raise VenueUnavailable(said)
                case Retry(_, int(wait_us)):
                    self.tally.rate_limited += 1
                    self.limit.block_until(self.server_now() + wait_us)
                    log.warning("rate limited (429), everything waits", extra={"seconds": wait_us / 1e6, "path": path})

    async def _send(self, method: str, path: str, parameters: dict[str, str], weight: int) -> httpx.Response:
        sent_us, tally = await self._turn(weight), None
        self.tally.requests += 1
        self.tally.weight += weight
        self.tally.by_path[path] = self.tally.by_path.get(path, 0) + 1
        try:
            response = await self._client.request(method, path, params=parameters)
            tally = self._tally_of(response)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{self._where(path)}: {type(error).__name__} {error}".rstrip()) from error
        finally:
            self.limit.on_answer(weight, sent_us, self.server_now(), tally)
        return response

    async def _turn(self, weight: int) -> int:
        """When the request may be sent, the venue's time. A ban may also be another process's."""
        while True:
            if banned := self._bans.remembered(now_us()):
                raise banned
            sent_us = self.server_now()
            if not (wait_seconds := self.limit.take(weight, sent_us)):
                return sent_us
            await asyncio.sleep(wait_seconds)

    def _where(self, path: str) -> str:
        base = str(self._client.base_url)
        return f"{urlsplit(base).scheme}://{host_of(base)}{path}"

    def _ban(self, said: str, until_us: int) -> VenueBanned:
        """Stored at once, so that no other task or process and no restart sends requests before it ends."""
        banned = VenueBanned(f"shut out until {format_instant(until_us)}, asking nothing before: {said}", until_us)
        self._bans.remember(banned)
        return banned


@asynccontextmanager
async def open_client(url: str, connections: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client for this many concurrent requests. Answers are bounded: see `limit_body`."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx.Timeout(30, connect=5, pool=None)
    hooks = {"response": [limit_body]}
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, headers=ACCEPTED, event_hooks=hooks) as client:
        yield client


def host_of(url: str) -> str:
    """Name and port, never user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

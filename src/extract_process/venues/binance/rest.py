"""Binance's public REST API under one weight budget: what to do at 429, 418, 403, 5xx and cut answers is decided here."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import orjson
import pyarrow as pa

from extract_process.kline_grid import Range
from extract_process.venues.api import RequestTally
from extract_process.venues.ban_store import LONGEST_BAN_US, BanStore
from extract_process.venues.binance.messages import (
    VENUE,
    ExchangeInfo,
    parse_error,
    parse_exchange_info,
    parse_klines,
    parse_server_time,
)
from extract_process.venues.rate_limit import WeightBudget
from tickhouse_core.errors import UnknownSymbols, VenueBanned, VenueRefused, VenueUnavailable
from tickhouse_core.retrying import venue_requests
from tickhouse_core.timestamps import MINUTE_US, SECOND_US, format_instant, now_us

log = logging.getLogger(__name__)

PAGE_ROWS = 1_000
"""The most klines one request may ask for (weight 2 whatever the limit)."""

_WEIGHTS = {
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
}
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
"""Of /api/v3/depth: by the most levels a side that are asked for."""

_SYMBOLS_PER_REQUEST = 100
_NO_SYMBOL = (-1100, -1121)
"""Codes of a symbol that is misspelt or not listed."""

_BUSY_CODES = {-1000, -1001, -1003, -1006, -1007, -1008}
_FIREWALL_PAUSE_US = 5 * MINUTE_US
Parsed = TypeVar("Parsed")


class BinanceRest:
    """Async and safe for many tasks at once. Errors: VenueUnavailable after all retries, VenueRefused, VenueBanned."""

    def __init__(self, client: httpx.AsyncClient, budget: WeightBudget, bans: BanStore) -> None:
        """The client's base_url is the venue's; the budget is shared by everything that asks from this address.

        While a remembered ban lasts, every request raises VenueBanned at once.
        """
        self.tally = RequestTally()
        self.budget = budget
        self._client = client
        self._bans = bans
        self._banned = bans.remembered(now_us())
        self._clock_offset_us = 0

    def server_now(self) -> int:
        """The venue's clock, microseconds, as far as the last `synchronize_clock` knows."""
        return now_us() + self._clock_offset_us

    async def synchronize_clock(self) -> None:
        """Learns the venue's clock: its limits count in minutes of that clock, not of ours.

        Late by the answer's way at most and never early: an early clock would take an open kline for a closed one.
        """
        server_time = await self._get("/api/v3/time", {}, parse_server_time)
        self._clock_offset_us = server_time - now_us()

    async def fetch_exchange_info(self, symbols: list[str]) -> ExchangeInfo:
        """Statuses of these symbols and the weight limit, which the budget takes over.

        Raises UnknownSymbols: the venue refuses a list without saying which it means, so they are looked for.
        """
        try:
            info = await self._get("/api/v3/exchangeInfo", {"symbols": orjson.dumps(symbols).decode()}, parse_exchange_info)
        except VenueRefused as error:
            if error.code not in _NO_SYMBOL:
                raise
            if not (unknown := await self._find_unknown(symbols)):
                raise
            raise _unknown(unknown) from error
        if info.weight_limit is not None:
            self.budget.limit = info.weight_limit
        return info

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        """Whether each of these symbols trades now; new words for what is no trading appear.

        Raises UnknownSymbols, also for those that a good answer leaves out.
        """
        statuses: dict[str, str] = {}
        unknown: list[str] = []
        for start in range(0, len(symbols), _SYMBOLS_PER_REQUEST):
            part = symbols[start : start + _SYMBOLS_PER_REQUEST]
            try:
                answered = (await self.fetch_exchange_info(part)).statuses
            except UnknownSymbols as error:
                unknown += error.symbols
            else:
                statuses |= answered
                unknown += [symbol for symbol in part if symbol not in answered]
        if unknown:
            raise _unknown(unknown)
        return {symbol: status == "TRADING" for symbol, status in statuses.items()}

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        """One question: with a startTime the venue sends the oldest klines from there."""
        rows = await self._fetch_klines(symbol, interval, wanted, limit=1)
        return int(rows["open_time"][0].value) if rows.num_rows else None

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> pa.Table:
        """Closed klines with open times in `span` (inclusive), oldest first, at most 1,000 rows."""
        return await self._fetch_klines(symbol, interval, span, PAGE_ROWS)

    async def fetch_depth_body(self, symbol: str, levels: int) -> bytes:
        """An order book snapshot as the venue sent it, at most 5,000 levels a side."""
        return await self._get("/api/v3/depth", {"symbol": symbol, "limit": str(levels)}, bytes)

    async def fetch_recent_trades_body(self, symbol: str) -> bytes:
        """The last 1,000 trades, oldest first."""
        return await self._get("/api/v3/trades", {"symbol": symbol, "limit": "1000"}, bytes)

    async def fetch_trades_body(self, symbol: str, from_id: int) -> bytes:
        """1,000 trades from this id on. Raises VenueRefused where the host has no history (data-api.binance.vision)."""
        parameters = {"symbol": symbol, "fromId": str(from_id), "limit": "1000"}
        try:
            return await self._get("/api/v3/historicalTrades", parameters, bytes)
        except VenueRefused as error:
            hint = "api.binance.com has history, data-api.binance.vision has not"
            raise VenueRefused(f"{error} ({hint})", error.code) from error

    def snapshot_pause(self, levels: int, share: float) -> float:
        """Seconds between two snapshots of so many levels that together use this share of the limit a minute."""
        return _weight_of("/api/v3/depth", {"limit": str(levels)}) * 60 / (self.budget.limit * share)

    async def fetch_klines_body(self, symbol: str, interval: str, span: Range) -> bytes:
        """The answer that `fetch_klines` parses, as the venue sent it."""
        self.tally.klines += 1
        parameters = _klines_parameters(symbol, interval, span, PAGE_ROWS)
        return await self._get("/api/v3/klines", parameters, bytes)

    async def _fetch_klines(self, symbol: str, interval: str, span: Range, limit: int) -> pa.Table:
        def parse(body: bytes) -> pa.Table:
            return parse_klines(body, symbol=symbol, interval=interval, receipt_time=now_us())

        self.tally.klines += 1
        return await self._get("/api/v3/klines", _klines_parameters(symbol, interval, span, limit), parse)

    async def _find_unknown(self, symbols: list[str]) -> list[str]:
        """In a refused list, by halves: one of a hundred takes 14 requests."""
        if len(symbols) == 1:
            return symbols
        unknown = []
        for half in (symbols[: len(symbols) // 2], symbols[len(symbols) // 2 :]):
            try:
                await self._get("/api/v3/exchangeInfo", {"symbols": orjson.dumps(half).decode()}, parse_exchange_info)
            except VenueRefused as error:
                if error.code not in _NO_SYMBOL:
                    raise
                unknown += await self._find_unknown(half)
        return unknown

    async def _get(self, path: str, parameters: dict[str, str], parse: Callable[[bytes], Parsed]) -> Parsed:
        """Asks until a usable answer is there; an answer that cannot be parsed counts as none."""
        async for attempt in venue_requests():
            with attempt:
                self.tally.retries += attempt.retry_state.attempt_number > 1
                return parse(await self._ask(path, parameters))
        raise AssertionError("tenacity re-raises the last error")

    async def _ask(self, path: str, parameters: dict[str, str]) -> bytes:
        """One useful answer's body. HTTP 429 is waited out here, by every task that shares the budget."""
        while True:
            response = await self._send(path, parameters)
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return self._body_of(response)
            self.tally.rate_limited += 1
            wait_us = _retry_after_us(response) or MINUTE_US - self.server_now() % MINUTE_US
            self.budget.block_until(self.server_now() + wait_us)
            log.warning("rate limited (429), everything waits", extra={"seconds": wait_us / 1e6, "path": path})

    async def _send(self, path: str, parameters: dict[str, str]) -> httpx.Response:
        weight = _weight_of(path, parameters)
        while wait_seconds := self.budget.wait_before(weight, self.server_now()):  # noqa: ASYNC110  # for the clock
            await asyncio.sleep(wait_seconds)
        if self._banned is not None and now_us() < self._banned.until_us:
            raise self._banned
        sent_us, used_weight = self.server_now(), None
        self.budget.on_sent(weight, sent_us)
        self.tally.requests += 1
        self.tally.weight += weight
        self.tally.by_path[path] = self.tally.by_path.get(path, 0) + 1
        try:
            response = await self._client.get(path, params=parameters)
            used_weight = _used_weight(response)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        finally:
            self.budget.on_answer(weight, sent_us, self.server_now(), used_weight)
        return response

    def _body_of(self, response: httpx.Response) -> bytes:
        """The body of a 200, or the error that the status stands for."""
        if response.is_success:
            return response.content
        code, text = parse_error(response.content)
        said = f"{urlsplit(str(response.url)).path} answered {response.status_code} {code}: {text}"
        if response.status_code == httpx.codes.IM_A_TEAPOT:
            raise self._ban(said, self._banned_until(response, text))
        if response.status_code == httpx.codes.FORBIDDEN:
            raise self._ban(f"refused by the venue's firewall: {said}", now_us() + _FIREWALL_PAUSE_US)
        if response.is_server_error or code in _BUSY_CODES:
            raise VenueUnavailable(said)
        raise VenueRefused(said, code)

    def _ban(self, said: str, until_us: int) -> VenueBanned:
        """Remembered at once, so that neither another task nor a restart asks before it is over."""
        self._banned = VenueBanned(f"shut out until {format_instant(until_us)}, asking nothing before: {said}", until_us)
        self._bans.remember(self._banned)
        return self._banned

    def _banned_until(self, response: httpx.Response, text: str) -> int:
        """By Retry-After (seconds), else by "IP banned until <epoch ms>", else the shortest ban there is, two minutes.

        Never longer than the longest one; digits that are no instant to come count as none.
        """
        if wait_us := _retry_after_us(response):
            return now_us() + wait_us
        now = now_us()
        if named := re.search(r"until ([0-9]{13})(?![0-9])", text):
            until_us = int(named.group(1)) * 1_000 - self._clock_offset_us
            if until_us > now:
                return min(until_us, now + LONGEST_BAN_US)
        return now + 2 * MINUTE_US


def _unknown(symbols: list[str]) -> UnknownSymbols:
    said = f"unknown symbol {', '.join(symbols)} on {VENUE}: write it as the venue does, for example BTCUSDT"
    return UnknownSymbols(said, tuple(symbols))


def _weight_of(path: str, parameters: dict[str, str]) -> int:
    if path != "/api/v3/depth":
        return _WEIGHTS[path]
    return next(weight for levels, weight in _DEPTH_WEIGHTS if int(parameters["limit"]) <= levels)


def _klines_parameters(symbol: str, interval: str, span: Range, limit: int) -> dict[str, str]:
    parameters = {"symbol": symbol, "interval": interval, "limit": str(limit)}
    return parameters | {"startTime": str(span.first // 1_000), "endTime": str(span.last // 1_000)}


def _retry_after_us(response: httpx.Response) -> int:
    """0 where the header is missing or no number of seconds; at most the venue's longest ban, however many digits it has."""
    digits = _digits_in(response, "Retry-After")
    return min(int(digits[:12] or 0) * SECOND_US, LONGEST_BAN_US)


def _used_weight(response: httpx.Response) -> int | None:
    """None where the header is missing or no weight that anybody could have used."""
    digits = _digits_in(response, "X-MBX-USED-WEIGHT-1M")
    return int(digits) if 0 < len(digits) < 10 else None


def _digits_in(response: httpx.Response, header: str) -> str:
    text = response.headers.get(header, "")
    return text if re.fullmatch("[0-9]+", text) else ""

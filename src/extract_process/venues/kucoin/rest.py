"""KuCoin's public REST API under one weight budget: what to do at 429, 403, 5xx and cut answers is decided here."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import httpx
import pyarrow as pa

from extract_process.kline_grid import Range, grid_of
from extract_process.venues.api import RequestTally
from extract_process.venues.ban_store import BanStore
from extract_process.venues.kucoin.intervals import VENUE_NAMES
from extract_process.venues.kucoin.messages import (
    EARLIEST_US,
    SUCCESS,
    VENUE,
    Token,
    parse_error,
    parse_klines,
    parse_server_time,
    parse_symbols,
    parse_token,
)
from extract_process.venues.kucoin.pool_budget import PoolBudget
from tickhouse_core.errors import UnknownSymbols, VenueBanned, VenueRefused, VenueUnavailable
from tickhouse_core.retrying import venue_requests
from tickhouse_core.timestamps import DAY_US, MINUTE_US, SECOND_US, format_instant, now_us

log = logging.getLogger(__name__)

PAGE_ROWS = 1_500
"""The most candles of one answer; of more the venue sends the newest."""

FEW_LEVELS, MANY_LEVELS = 20, 100
"""The two public snapshots; a whole book needs an account."""

_TOKEN, _TIME, _SYMBOLS = "/api/v1/bullet-public", "/api/v1/timestamp", "/api/v2/symbols"
_CANDLES, _TRADES = "/api/v1/market/candles", "/api/v1/market/histories"
_FEW, _MANY = "/api/v1/market/orderbook/level2_20", "/api/v1/market/orderbook/level2_100"
_WEIGHTS = {_TOKEN: 10, _TIME: 3, _SYMBOLS: 4, _CANDLES: 3, _TRADES: 3, _FEW: 2, _MANY: 2}
_WINDOWS_A_MINUTE = 2
_OVERLOADED_US = 2 * SECOND_US
_LONGEST_RESET_US = MINUTE_US  # the window is 30 s
_FIREWALL_PAUSE_US = 5 * MINUTE_US
_TOO_MANY = "429000"
_SUCCESS_MARK, _MARK_WITHIN = f'"code":"{SUCCESS}"'.encode(), 40
"""The usual case, told without decoding a page of candles twice."""

_TALLY = ("gw-ratelimit-limit", "gw-ratelimit-remaining", "gw-ratelimit-reset")
Parsed = TypeVar("Parsed")


class KucoinRest:
    """Async and safe for many tasks at once. Errors: VenueUnavailable after all retries, VenueRefused, VenueBanned."""

    def __init__(self, client: httpx.AsyncClient, budget: PoolBudget, bans: BanStore) -> None:
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
        """Learns the venue's clock. Late by the answer's way at most and never early."""
        server_time = await self._get(_TIME, {}, parse_server_time)
        self._clock_offset_us = server_time - now_us()

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        """Whether each of these symbols trades now. Raises UnknownSymbols."""
        known = await self._get(_SYMBOLS, {}, parse_symbols)
        if unknown := [symbol for symbol in symbols if symbol not in known]:
            said = f"unknown symbol {', '.join(unknown)} on {VENUE}: write it as the venue does, for example BTC-USDT"
            raise UnknownSymbols(said, tuple(unknown))
        return {symbol: known[symbol] for symbol in symbols}

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        """By weeks, then by days, then by the interval: the venue sends the newest candles of a range, never the oldest.

        The first kline ever; None where there is none up to the end of `wanted`.
        """
        first = EARLIEST_US
        for step, span_us in (("1w", None), ("1d", 14 * DAY_US), (interval, 2 * DAY_US)):
            grid = grid_of(step)
            last = wanted.last if span_us is None else min(first + span_us, wanted.last)
            rows = await self._fetch_all(symbol, step, Range(grid.floor(first), max(grid.floor(last), grid.floor(first))))
            if not rows.num_rows:
                return None
            first = int(rows["open_time"][0].value)
            if step == interval:
                break
        return first

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> pa.Table:
        """Closed klines with open times in `span` (inclusive), oldest first."""
        self.tally.klines += 1
        parse = partial(_klines, symbol=symbol, interval=interval)
        return await self._get(_CANDLES, _candles_parameters(symbol, interval, span), parse)

    async def fetch_klines_body(self, symbol: str, interval: str, span: Range) -> bytes:
        """The answer that `fetch_klines` parses, as the venue sent it."""
        self.tally.klines += 1
        return await self._get(_CANDLES, _candles_parameters(symbol, interval, span), bytes)

    async def fetch_depth_body(self, symbol: str, levels: int) -> bytes:
        """A snapshot of 20 or 100 levels a side as the venue sent it."""
        return await self._get(_FEW if levels <= FEW_LEVELS else _MANY, {"symbol": symbol}, bytes)

    async def fetch_recent_trades_body(self, symbol: str) -> bytes:
        """The last 100 trades."""
        return await self._get(_TRADES, {"symbol": symbol}, bytes)

    async def fetch_trades_body(self, symbol: str, from_id: int) -> bytes:
        """Always raises VenueRefused: the last 100 trades are all that REST has."""
        raise VenueRefused(f"{VENUE}'s REST has only the last 100 trades of {symbol}, not those from {from_id} on")

    async def fetch_token(self) -> Token:
        """The way in for one connection, never kept."""
        return await self._get(_TOKEN, {}, parse_token, method="POST")

    def snapshot_pause(self, levels: int, share: float) -> float:
        """Seconds between two snapshots that together use this share of the limit."""
        return _WEIGHTS[_MANY] * 60 / (self.budget.limit * _WINDOWS_A_MINUTE * share)

    async def _fetch_all(self, symbol: str, interval: str, span: Range) -> pa.Table:
        """All klines of a span, page by page from the newest: an answer that is full may lack older ones."""
        rows = await self.fetch_klines(symbol, interval, span)
        while rows.num_rows and rows.num_rows % PAGE_ROWS == 0 and rows["open_time"][0].value > span.first:
            before = grid_of(interval).before(int(rows["open_time"][0].value))
            older = await self.fetch_klines(symbol, interval, Range(span.first, before))
            if not older.num_rows:
                break
            rows = pa.concat_tables([older, rows])
        return rows

    async def _get(
        self, path: str, parameters: dict[str, str], parse: Callable[[bytes], Parsed], *, method: str = "GET"
    ) -> Parsed:
        """Asks until a usable answer is there; an answer that cannot be parsed counts as none."""
        async for attempt in venue_requests():
            with attempt:
                self.tally.retries += attempt.retry_state.attempt_number > 1
                return parse(await self._ask(method, path, parameters))
        raise AssertionError("tenacity re-raises the last error")

    async def _ask(self, method: str, path: str, parameters: dict[str, str]) -> bytes:
        """One useful answer's body. HTTP 429 is waited out here, by every task that shares the budget."""
        while True:
            response = await self._send(method, path, parameters)
            if response.is_success and _SUCCESS_MARK in response.content[:_MARK_WITHIN]:
                return response.content
            code, text = parse_error(response.content)
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS and code != _TOO_MANY:
                return self._body_of(response, path, code, text)
            self.tally.rate_limited += 1
            tally = _tally_of(response)  # an overload has none
            wait_us = tally[2] if tally is not None and tally[2] > 0 else _OVERLOADED_US
            self.budget.block_until(self.server_now() + wait_us)
            log.warning("rate limited (429), everything waits", extra={"seconds": wait_us / 1e6, "path": path})

    async def _send(self, method: str, path: str, parameters: dict[str, str]) -> httpx.Response:
        weight = _WEIGHTS[path]
        while wait_seconds := self.budget.wait_before(weight, self.server_now()):  # noqa: ASYNC110  # for the clock
            await asyncio.sleep(wait_seconds)
        if self._banned is not None and now_us() < self._banned.until_us:
            raise self._banned
        tally = None
        self.budget.on_sent(weight, self.server_now())
        self.tally.requests += 1
        self.tally.weight += weight
        self.tally.by_path[path] = self.tally.by_path.get(path, 0) + 1
        try:
            response = await self._client.request(method, path, params=parameters)
            tally = _tally_of(response)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        finally:
            self.budget.on_answer(weight, self.server_now(), tally)
        return response

    def _body_of(self, response: httpx.Response, path: str, code: str, text: str) -> bytes:
        """The body of a success, or the error that status and code stand for: refusals may come with HTTP 200."""
        said = f"{path} answered {response.status_code} {code}: {text}"
        if response.status_code == httpx.codes.FORBIDDEN:
            raise self._ban(f"refused by the venue's firewall: {said}", now_us() + _FIREWALL_PAUSE_US)
        if response.is_server_error:
            raise VenueUnavailable(said)
        if response.is_success and code in (SUCCESS, ""):  # without a code it is no whole answer: parsing will say so
            return response.content
        raise VenueRefused(said, int(code) if code.isdigit() else 0)

    def _ban(self, said: str, until_us: int) -> VenueBanned:
        """Remembered at once, so that neither another task nor a restart asks before it is over."""
        self._banned = VenueBanned(f"shut out until {format_instant(until_us)}, asking nothing before: {said}", until_us)
        self._bans.remember(self._banned)
        return self._banned


def _klines(body: bytes, *, symbol: str, interval: str) -> pa.Table:
    return parse_klines(body, symbol=symbol, interval=interval, receipt_time=now_us())


def _candles_parameters(symbol: str, interval: str, span: Range) -> dict[str, str]:
    """Seconds. Whether `endAt` is included is documented nowhere: a second more is right in both cases."""
    bounds = {"startAt": str(span.first // SECOND_US), "endAt": str(span.last // SECOND_US + 1)}
    return {"symbol": symbol, "type": VENUE_NAMES[interval]} | bounds


def _tally_of(response: httpx.Response) -> tuple[int, int, int] | None:
    """Limit, what is left, microseconds to the window's end; None unless all three are there."""
    limit, left, reset = (response.headers.get(name, "") for name in _TALLY)
    if not all(re.fullmatch("[0-9]{1,9}", text) for text in (limit, left, reset)):
        return None
    return int(limit), int(left), min(int(reset) * 1_000, _LONGEST_RESET_US)

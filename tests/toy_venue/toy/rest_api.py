"""The toy venue's REST API under one weight budget: every request weighs 1, 600 a clock minute."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow as pa
from extract_process.toy.messages import Parsed, parse_depth, parse_klines, parse_trades, parsed

from extract_process.kline_grid import Range
from extract_process.venues.api import RequestTally
from extract_process.venues.rate_limit import WeightBudget
from tickhouse_core.errors import UnknownSymbols, VenueRefused, VenueUnavailable
from tickhouse_core.retrying import venue_requests
from tickhouse_core.timestamps import now_us

PAGE_ROWS = 500
WEIGHT_LIMIT = 600


class ToyRest:
    """A VenueRest; see there what each method promises."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.tally = RequestTally()
        self.budget = WeightBudget(WEIGHT_LIMIT)
        self._client = client
        self._clock_offset_us = 0

    def server_now(self) -> int:
        return now_us() + self._clock_offset_us

    async def synchronize_clock(self) -> None:
        self._clock_offset_us = await self._get("/time", {}, lambda answer: int(answer["now"]) * 1_000) - now_us()

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        known: dict[str, bool] = await self._get("/markets", {}, dict)
        if unknown := [symbol for symbol in symbols if symbol not in known]:
            said = f"unknown symbol {', '.join(unknown)} on toy: write it as the venue does, for example FOO/BAR"
            raise UnknownSymbols(said, tuple(unknown))
        return {symbol: known[symbol] for symbol in symbols}

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        rows = await self.fetch_klines(symbol, interval, wanted)
        return int(rows["open_time"][0].value) if rows.num_rows else None

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> pa.Table:
        return parse_klines(await self.fetch_klines_body(symbol, interval, span), symbol, interval, now_us())

    async def fetch_klines_body(self, symbol: str, interval: str, span: Range) -> bytes:
        self.tally.klines += 1
        bounds = {"from": str(span.first // 1_000), "to": str(span.last // 1_000)}
        sent = {"market": symbol, "interval": interval, **bounds}
        return await self._fetch("/klines", sent, lambda body: parse_klines(body, symbol, interval, 0))

    async def fetch_depth_body(self, symbol: str, levels: int) -> bytes:
        sent = {"market": symbol, "levels": str(levels)}
        return await self._fetch("/book", sent, lambda body: parse_depth(body, symbol, ""))

    async def fetch_recent_trades_body(self, symbol: str) -> bytes:
        return await self._fetch("/trades", {"market": symbol}, lambda body: parse_trades(body, symbol))

    async def fetch_trades_body(self, symbol: str, from_id: int) -> bytes:
        raise VenueRefused(f"toy has no history: nothing of {symbol} from {from_id} on")

    def snapshot_pause(self, levels: int, share: float) -> float:
        return 60 / (self.budget.limit * share)

    async def _get(self, path: str, sent: dict[str, str], read: Callable[[dict[str, Any]], Parsed]) -> Parsed:
        return parsed(await self._fetch(path, sent, lambda body: parsed(body, read)), read)

    async def _fetch(self, path: str, sent: dict[str, str], check: Callable[[bytes], object]) -> bytes:
        """The body of a usable answer; asks again where there is none."""
        async for attempt in venue_requests():
            with attempt:
                self.tally.retries += attempt.retry_state.attempt_number > 1
                body = await self._send(path, sent)
                check(body)
                return body
        raise AssertionError("tenacity re-raises the last error")

    async def _send(self, path: str, sent: dict[str, str]) -> bytes:
        while wait_seconds := self.budget.wait_before(1, self.server_now()):  # noqa: ASYNC110  # for the clock
            await asyncio.sleep(wait_seconds)
        sent_us = self.server_now()
        self.budget.on_sent(1, sent_us)
        self.tally.requests += 1
        self.tally.weight += 1
        self.tally.by_path[path] = self.tally.by_path.get(path, 0) + 1
        try:
            response = await self._client.get(path, params=sent)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        finally:
            self.budget.on_answer(1, sent_us, self.server_now(), None)
        if response.is_success:
            return response.content
        if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise VenueUnavailable(f"{path} answered {response.status_code}")
        raise VenueRefused(f"{path} answered {response.status_code}: {response.text[:200]}")

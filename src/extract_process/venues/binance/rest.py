"""Binance's public REST API: its answers in our records, its endpoints with their weights, and what its errors mean."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pyarrow as pa
from pydantic import Field
from pydantic_settings import BaseSettings

from extract_process.decimals import plain_number
from extract_process.ranges import Range
from extract_process.records import AnsweredTrade, DepthSnapshot
from extract_process.venues import parsing
from extract_process.venues.api import Address
from extract_process.venues.binance.klines import NAME, parse_klines
from extract_process.venues.binance.ws import STREAM_PATH
from extract_process.venues.parsing import answered_trade, flag_of, id_of, instant_of, read_answer
from extract_process.venues.rate_limit import Tally
from extract_process.venues.rest_client import (
    LONGEST_BAN_US,
    MOST_LEVELS_ON_THE_LOOP,
    Answer,
    Ban,
    Outcome,
    Refused,
    RestClient,
    Retry,
    refusal,
)
from tickhouse_core.errors import UnknownSymbols, VenueRefused
from tickhouse_core.settings import HttpUrl, SocketUrl, read
from tickhouse_core.timestamps import MINUTE_US, SECOND_US, unit_to_us

PAGE_ROWS = 1_000
"""The most klines one request may ask for (weight 2 whatever the limit)."""

_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
"""Of /api/v3/depth: by the most levels a side that are asked for."""

_SYMBOLS_PER_REQUEST = 100
_NO_SYMBOL = (-1100, -1121)
"""Codes of a symbol that is misspelt or not listed."""

_BUSY_CODES = {-1000, -1001, -1003, -1006, -1007, -1008}


class BinanceSettings(BaseSettings, env_prefix="BINANCE_", env_ignore_empty=True):
    """The addresses can point to a simulator or a proxy."""

    rest_url: HttpUrl = Field("https://data-api.binance.vision", description="REST base URL")
    ws_url: SocketUrl = Field("wss://data-stream.binance.vision", description="WebSocket base URL")
    archive_url: HttpUrl = Field("https://data.binance.vision", description="base URL of the bulk archive")


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """What a collector needs of /api/v3/exchangeInfo: status by symbol, and request weight allowed a minute.

    `weight_limit` is None where the answer has no limits at all.
    """

    statuses: dict[str, str]
    weight_limit: int | None
    contract_sizes: dict[str, str] = field(default_factory=dict)
    """Of COIN-M: what a contract is worth in USD."""


def parse_server_time(body: bytes) -> int:
    """/api/v3/time as microseconds since the epoch."""
    return read_answer(body, lambda answer: int(answer["serverTime"]) * 1_000)


def parse_exchange_info(body: bytes, status_key: str = "status") -> ExchangeInfo:
    """Symbols may be any text (non-ASCII ones exist), statuses any word (new ones appear)."""

    def read(answer: Any) -> ExchangeInfo:
        limits = answer.get("rateLimits")
        return ExchangeInfo(
            statuses={item["symbol"]: str(item.get(status_key, "")) for item in answer["symbols"]},
            weight_limit=None if limits is None else next(int(limit["limit"]) for limit in limits if _is_weight_a_minute(limit)),
            contract_sizes={item["symbol"]: size for item in answer["symbols"] if (size := _contract_size(item))},
        )

    return read_answer(body, read)


def _contract_size(item: dict[str, Any]) -> str:
    """Empty where it is none: one odd contract must not hide the others."""
    try:
        size = plain_number(str(item.get("contractSize", "")))
    except ValueError:
        return ""
    return size if float(size) > 0 else ""


def parse_error(body: bytes) -> tuple[int, str]:
    """`{"code":-1121,"msg":"Invalid symbol."}` as code and text; 0 and the body's start if it is something else."""
    try:
        answer = orjson.loads(body)
        return int(answer["code"]), str(answer["msg"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return 0, body[:200].decode(errors="replace")


def parse_depth(body: bytes, symbol: str, reason: str) -> DepthSnapshot:
    """An answer of /api/v3/depth: `{"lastUpdateId":1027024,"bids":[["4.0","431.0"]],"asks":[…]}`, best levels first."""

    def read(answer: dict[str, Any]) -> DepthSnapshot:
        return parsing.snapshot_of(symbol, answer["lastUpdateId"], answer["bids"], answer["asks"], reason)

    return read_answer(body, read)


def parse_trades(body: bytes, symbol: str) -> list[AnsweredTrade]:
    """An answer of /api/v3/trades or /historicalTrades, oldest first."""

    def read(item: dict[str, Any]) -> AnsweredTrade:
        trade_id, is_buyer_maker, at = id_of(item["id"]), flag_of(item["isBuyerMaker"]), instant_of(int(item["time"]), unit_to_us)
        return answered_trade(symbol, trade_id, item["price"], item["qty"], is_buyer_maker=is_buyer_maker, at=at)

    return read_answer(body, lambda answer: parsing.rising_trades(parsing.trades_of(answer, read)))


def classify(response: httpx.Response, server_now: int) -> Outcome:
    """Binance, "HTTP return codes": 429 says when to come back, 418 is a ban, 403 the firewall; some 4xx codes mean busy."""
    if response.is_success:
        return response.content
    code, text = parse_error(response.content)
    said = f"{response.url.path} answered {response.status_code} {code}: {text}"
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Retry(said, _retry_after_us(response) or MINUTE_US - server_now % MINUTE_US)
    if response.status_code == httpx.codes.IM_A_TEAPOT:
        return Ban(said, _retry_after_us(response) or _named_ban_us(text, server_now) or 2 * MINUTE_US)
    outcome = refusal(response, said, code)
    return Retry(said) if isinstance(outcome, Refused) and code in _BUSY_CODES else outcome


def tally_of(response: httpx.Response) -> Tally | None:
    """None where the header is missing or no weight that anybody could have used."""
    digits = _digits_in(response, "X-MBX-USED-WEIGHT-1M")
    return Tally(int(digits)) if 0 < len(digits) < 10 else None


class BinanceRest:
    """A VenueRest; see there what each method promises."""

    def __init__(self, client: RestClient) -> None:
        self.client = client
        self.contract_sizes: dict[str, str] = {}

    async def synchronize_clock(self) -> None:
        """The venue's limits count in minutes of that clock, not of ours."""
        await self.client.synchronize_clock("/api/v3/time", 1, parse_server_time)

    async def find_address(self, socket: str) -> Address:
        return Address(read(BinanceSettings).ws_url + STREAM_PATH)

    async def fetch_exchange_info(self, symbols: list[str]) -> ExchangeInfo:
        """Statuses of these symbols and the weight limit, which is taken over.

        Raises UnknownSymbols: the venue refuses a list without saying which it means, so they are looked for.
        """
        try:
            info = await self._ask_exchange_info(symbols)
        except VenueRefused as error:
            if error.code not in _NO_SYMBOL:
                raise
            if not (unknown := await self._find_unknown(symbols)):
                raise
            raise _unknown(unknown) from error
        if info.weight_limit is not None:
            self.client.limit.set_limit(info.weight_limit)
        return info

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        """New words for what is no trading appear. Symbols that a good answer leaves out are unknown too."""
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
        rows = (await self._fetch_klines(symbol, interval, wanted, limit=1)).parsed
        return int(rows["open_time"][0].value) if rows.num_rows else None

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> Answer[pa.Table]:
        """At most 1,000 rows."""
        return await self._fetch_klines(symbol, interval, span, PAGE_ROWS)

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        """At most 5,000 levels a side."""
        return await self.client.get(
            "/api/v3/depth",
            {"symbol": symbol, "limit": str(levels)},
            _depth_weight(levels),
            lambda body, _: parse_depth(body, symbol, reason),
            in_thread=levels > MOST_LEVELS_ON_THE_LOOP,
        )

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        """The last 1,000."""
        return await self._fetch_trades("/api/v3/trades", symbol)

    async def fetch_trades(self, symbol: str, from_id: int) -> Answer[list[AnsweredTrade]]:
        """1,000 of them. Raises VenueRefused where the host has no history (data-api.binance.vision)."""
        try:
            return await self._fetch_trades("/api/v3/historicalTrades", symbol, fromId=str(from_id))
        except VenueRefused as error:
            hint = "api.binance.com has history, data-api.binance.vision has not"
            raise VenueRefused(f"{error} ({hint})", error.code) from error

    def snapshot_pause(self, levels: int, share: float) -> float:
        return self.client.limit.pause_between(_depth_weight(levels), share)

    async def _fetch_klines(self, symbol: str, interval: str, span: Range, limit: int) -> Answer[pa.Table]:
        self.client.tally.klines += 1
        bounds = {"startTime": str(span.first // 1_000), "endTime": str(span.last // 1_000)}
        sent = {"symbol": symbol, "interval": interval, "limit": str(limit), **bounds}
        return await self.client.get("/api/v3/klines", sent, 2, lambda body, at: parse_klines(body, symbol, interval, at))

    async def _fetch_trades(self, path: str, symbol: str, **bounds: str) -> Answer[list[AnsweredTrade]]:
        sent = {"symbol": symbol, "limit": "1000", **bounds}
        return await self.client.get(path, sent, 25, lambda body, _: parse_trades(body, symbol))

    async def _ask_exchange_info(self, symbols: list[str]) -> ExchangeInfo:
        sent = {"symbols": orjson.dumps(symbols).decode()}
        return (await self.client.get("/api/v3/exchangeInfo", sent, 20, lambda body, _: parse_exchange_info(body))).parsed

    async def _find_unknown(self, symbols: list[str]) -> list[str]:
        """In a refused list, by halves: one of a hundred takes 14 requests."""
        if len(symbols) == 1:
            return symbols
        unknown = []
        for half in (symbols[: len(symbols) // 2], symbols[len(symbols) // 2 :]):
            try:
                await self._ask_exchange_info(half)
            except VenueRefused as error:
                if error.code not in _NO_SYMBOL:
                    raise
                unknown += await self._find_unknown(half)
        return unknown


def _unknown(symbols: Iterable[str]) -> UnknownSymbols:
    said = f"unknown symbol {', '.join(symbols)} on {NAME}: write it as the venue does, for example BTCUSDT"
    return UnknownSymbols(said, tuple(symbols))


def _depth_weight(levels: int) -> int:
    return next(weight for most, weight in _DEPTH_WEIGHTS if levels <= most)


def _retry_after_us(response: httpx.Response) -> int:
    """0 where the header is missing or no number of seconds; at most the venue's longest ban, however many digits it has."""
    digits = _digits_in(response, "Retry-After")
    return min(int(digits[:12] or 0) * SECOND_US, LONGEST_BAN_US)


def _named_ban_us(text: str, server_now: int) -> int:
    """By "IP banned until <epoch ms>", never longer than the longest ban; 0 where no instant to come is named."""
    named = re.search(r"until ([0-9]{13})(?![0-9])", text)
    return max(0, min(int(named[1]) * 1_000 - server_now, LONGEST_BAN_US)) if named else 0


def _digits_in(response: httpx.Response, header: str) -> str:
    text = response.headers.get(header, "")
    return text if re.fullmatch("[0-9]+", text) else ""


def _is_weight_a_minute(limit: dict[str, Any]) -> bool:
    return (limit["rateLimitType"], limit["interval"], limit["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1)

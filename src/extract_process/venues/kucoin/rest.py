"""KuCoin's public REST API: `{"code":"200000","data":…}` in our records, its endpoints, and what its errors mean."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import orjson
import pyarrow as pa
from pydantic import Field
from pydantic_settings import BaseSettings

from extract_process.ranges import Range, grid_of
from extract_process.records import AnsweredTrade, DepthSnapshot
from extract_process.venues import parsing
from extract_process.venues.api import Address
from extract_process.venues.kucoin.ws import VENUE_INTERVALS, ping_message
from extract_process.venues.parsing import Parsed, answered_trade, from_ns, from_seconds, id_of, instant_of
from extract_process.venues.rate_limit import Tally
from extract_process.venues.rest_client import Answer, Outcome, RestClient, Retry, refusal
from tickhouse_core.errors import UnknownSymbols, VenueRefused
from tickhouse_core.settings import HttpUrl
from tickhouse_core.timestamps import DAY_US, MINUTE_US, SECOND_US, now_us

NAME = "kucoin"
EARLIEST_US = 1_504_224_000_000_000
"""2017-09-01: the venue opened that month and has nothing older."""

PAGE_ROWS = 1_500
"""The most candles of one answer; of more the venue sends the newest."""

FEW_LEVELS, MANY_LEVELS = 20, 100
"""The two public snapshots; a whole book needs an account."""

WINDOW_US = 30 * SECOND_US
"""Of the public pool's limit, 2,000 per address. Every answer says limit, what is left, and the milliseconds to its end."""

_TALLY = ("gw-ratelimit-limit", "gw-ratelimit-remaining", "gw-ratelimit-reset")
_LONGEST_RESET_US = MINUTE_US  # the window is 30 s
_OVERLOADED_US = 2 * SECOND_US
_SUCCESS, _TOO_MANY = "200000", "429000"
"""`code` is text in every answer."""

_SUCCESS_MARK, _MARK_WITHIN = f'"code":"{_SUCCESS}"'.encode(), 40
"""The usual case, told without decoding a page of candles twice."""

_SNAPSHOT_WEIGHT = 2


class KucoinSettings(BaseSettings, env_prefix="KUCOIN_", env_ignore_empty=True):
    """KuCoin's REST API returns the address of its WebSocket."""

    rest_url: HttpUrl = Field("https://api.kucoin.com", description="REST base URL; also issues WebSocket tokens")


@dataclass(frozen=True, slots=True)
class Token:
    """One connection's way in: valid for a day, asked anew for every connect."""

    token: str
    endpoint: str
    ping_seconds: float


class _Candle(NamedTuple):
    time: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str


def parse_token(body: bytes) -> Token:
    """POST /api/v1/bullet-public; the first of its servers."""

    def read(data: dict[str, Any]) -> Token:
        server = data["instanceServers"][0]
        ping_seconds = int(server["pingInterval"]) / 1_000
        if ping_seconds <= 0 or not server["endpoint"].startswith(("ws://", "wss://")):
            raise ValueError(f"server {server!r:.200}")
        return Token(str(data["token"]), server["endpoint"], ping_seconds)

    return _read_data(body, read)


def parse_server_time(body: bytes) -> int:
    """/api/v1/timestamp (milliseconds) as microseconds since the epoch."""
    return _read_data(body, lambda data: int(data) * 1_000)


def parse_symbols(body: bytes) -> dict[str, bool]:
    """/api/v2/symbols: whether each symbol trades."""
    return _read_data(body, lambda data: {item["symbol"]: item["enableTrading"] is True for item in data})


def parse_error(body: bytes) -> tuple[str, str]:
    """`{"code":"400100","msg":"…"}` as code and text; empty and the body's start if it is something else."""
    try:
        answer = orjson.loads(body)
        return str(answer["code"]), str(answer.get("msg", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "", body[:200].decode(errors="replace")


def parse_depth(body: bytes, symbol: str, reason: str) -> DepthSnapshot:
    """level2_20 and level2_100: `{"time":…,"sequence":"14610502970","bids":[["66976.4","0.69"]],"asks":[…]}`."""

    def read(data: dict[str, Any]) -> DepthSnapshot:
        return parsing.snapshot_of(symbol, int(data["sequence"]), data["bids"], data["asks"], reason)

    return _read_data(body, read)


def parse_trades(body: bytes, symbol: str) -> list[AnsweredTrade]:
    """/api/v1/market/histories, whatever its order: `{"sequence":"…","price":"…","size":"…","side":"buy","time":<ns>}`."""

    def read(item: dict[str, Any]) -> AnsweredTrade:
        sequence, side, at = id_of(int(item["sequence"])), item["side"], instant_of(int(item["time"]), from_ns)
        if side not in ("buy", "sell"):
            raise ValueError(f"trade {item!r:.100}")
        return answered_trade(symbol, sequence, item["price"], item["size"], is_buyer_maker=side == "sell", at=at)

    def read_all(data: Any) -> list[AnsweredTrade]:
        return parsing.rising_trades(sorted(parsing.trades_of(data, read), key=lambda trade: trade.trade_id))

    return _read_data(body, read_all)


def parse_klines(body: bytes, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    """/api/v1/market/candles, newest first there, oldest first here; every one marked closed: ask for closed ones only.

    The venue counts neither trades nor what takers bought: those columns are 0.
    """

    def read(data: list[list[str]]) -> pa.Table:
        if not isinstance(data, list):
            raise TypeError("not an array")
        candles = [_Candle(*row) for row in reversed(data)]
        columns: dict[str, Any] = {name: [getattr(candle, name) for candle in candles] for name in _Candle._fields}
        columns["open_time"] = [from_seconds(int(candle.time)) for candle in candles]
        columns["close_time"] = [parsing.close_time_of(interval, opened) for opened in columns["open_time"]]
        columns["quote_volume"] = columns["turnover"]
        columns |= dict.fromkeys(("taker_buy_volume", "taker_buy_quote_volume"), ["0"] * len(candles))
        columns["trade_count"] = [0] * len(candles)
        rows = parsing.klines_table(
            columns, venue=NAME, symbol=symbol, interval=interval, source="rest", receipt_time=receipt_time
        )
        return parsing.rising_klines(rows)

    return _read_data(body, read)


def classify(response: httpx.Response, server_now: int) -> Outcome:
    """Refusals may come with HTTP 200. A 429 says when the window ends; one that does not is an overload."""
    if response.is_success and _SUCCESS_MARK in response.content[:_MARK_WITHIN]:
        return response.content
    code, text = parse_error(response.content)
    said = f"{response.url.path} answered {response.status_code} {code}: {text}"
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or code == _TOO_MANY:
        tally = tally_of(response)
        return Retry(said, (tally.left_us if tally else None) or _OVERLOADED_US)
    if response.is_success and code in (_SUCCESS, ""):  # without a code it is no whole answer: parsing will say so
        return response.content
    return refusal(response, said, int(code) if re.fullmatch("[0-9]{1,18}", code) else 0)


def tally_of(response: httpx.Response) -> Tally | None:
    """None unless limit, what is left and the window's end are all there."""
    limit, left, reset = (response.headers.get(name, "") for name in _TALLY)
    if not all(re.fullmatch("[0-9]{1,9}", text) for text in (limit, left, reset)):
        return None
    return Tally(int(limit) - int(left), int(limit), min(int(reset) * 1_000, _LONGEST_RESET_US))


class KucoinRest:
    """A VenueRest; see there what each method promises."""

    def __init__(self, client: RestClient) -> None:
        self.client = client
        self.contract_sizes: dict[str, str] = {}

    async def synchronize_clock(self) -> None:
        await self.client.synchronize_clock("/api/v1/timestamp", 3, parse_server_time)

    async def find_address(self, socket: str) -> Address:
        """A new token for every connection; where it goes and how often it pings is the venue's word."""
        token = await self.fetch_token()
        query = urlencode({"token": token.token, "connectId": uuid4().hex})
        url = f"{token.endpoint}?{query}"
        return Address(url, says_welcome=True, ping_seconds=token.ping_seconds, ping=lambda: ping_message(now_us()))

    async def fetch_token(self) -> Token:
        """The way in for one connection, never kept."""
        return (await self.client.get("/api/v1/bullet-public", {}, 10, lambda body, _: parse_token(body), method="POST")).parsed

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        known = (await self.client.get("/api/v2/symbols", {}, 4, lambda body, _: parse_symbols(body))).parsed
        if unknown := [symbol for symbol in symbols if symbol not in known]:
            said = f"unknown symbol {', '.join(unknown)} on {NAME}: write it as the venue does, for example BTC-USDT"
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

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> Answer[pa.Table]:
        """Seconds. Whether `endAt` is included is documented nowhere: a second more is right in both cases."""
        self.client.tally.klines += 1
        bounds = {"startAt": str(span.first // SECOND_US), "endAt": str(span.last // SECOND_US + 1)}
        sent = {"symbol": symbol, "type": VENUE_INTERVALS[interval], **bounds}
        return await self.client.get("/api/v1/market/candles", sent, 3, lambda body, at: parse_klines(body, symbol, interval, at))

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        """20 or 100 levels a side."""
        path = f"/api/v1/market/orderbook/level2_{FEW_LEVELS if levels <= FEW_LEVELS else MANY_LEVELS}"
        return await self.client.get(
            path, {"symbol": symbol}, _SNAPSHOT_WEIGHT, lambda body, _: parse_depth(body, symbol, reason)
        )

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        """The last 100."""
        path = "/api/v1/market/histories"
        return await self.client.get(path, {"symbol": symbol}, 3, lambda body, _: parse_trades(body, symbol))

    async def fetch_trades(self, symbol: str, from_id: int) -> Answer[list[AnsweredTrade]]:
        """Always raises VenueRefused: the last 100 trades are all that REST has."""
        raise VenueRefused(f"{NAME}'s REST has only the last 100 trades of {symbol}, not those from {from_id} on")

    def snapshot_pause(self, levels: int, share: float) -> float:
        return self.client.limit.pause_between(_SNAPSHOT_WEIGHT, share)

    async def _fetch_all(self, symbol: str, interval: str, span: Range) -> pa.Table:
        """All klines of a span, page by page from the newest: an answer that is full may lack older ones."""
        rows = (await self.fetch_klines(symbol, interval, span)).parsed
        while rows.num_rows and rows.num_rows % PAGE_ROWS == 0 and rows["open_time"][0].value > span.first:
            before = grid_of(interval).before(int(rows["open_time"][0].value))
            older = (await self.fetch_klines(symbol, interval, Range(span.first, before))).parsed
            if not older.num_rows:
                break
            rows = pa.concat_tables([older, rows])
        return rows


def _read_data(body: bytes, read: Callable[[Any], Parsed]) -> Parsed:
    return parsing.read_answer(body, lambda answer: read(answer["data"]))

"""The toy venue's REST API: every request weighs 1, 600 a clock minute."""

from typing import Any

import httpx
import pyarrow as pa
from pydantic import Field
from pydantic_settings import BaseSettings

from extract_process.ranges import Range
from extract_process.records import AnsweredTrade, DepthSnapshot
from extract_process.venues import parsing
from extract_process.venues.api import Address
from extract_process.venues.parsing import id_of, instant_of, read_answer
from extract_process.venues.rest_client import Answer, Outcome, RestClient, Retry, refusal
from tickhouse_core.errors import UnknownSymbols, VenueRefused
from tickhouse_core.settings import read
from tickhouse_core.timestamps import MINUTE_US, unit_to_us

NAME = "toy"
PAGE_ROWS = 500
COLUMNS = (
    *("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count"),
    *("taker_buy_volume", "taker_buy_quote_volume"),
)


class ToySettings(BaseSettings, env_prefix="TOY_", env_ignore_empty=True):
    """The toy venue's endpoint."""

    url: str = Field("https://toy.invalid", pattern=r"^https?://\S+$")


def parse_depth(body: bytes, symbol: str, reason: str) -> DepthSnapshot:
    """`{"id":7,"bids":[["1.5","2"]],"asks":[…]}`, best levels first."""
    return read_answer(body, lambda item: parsing.snapshot_of(symbol, item["id"], item["bids"], item["asks"], reason))


def parse_trades(body: bytes, symbol: str) -> list[AnsweredTrade]:
    """A list of trades as the stream has them, oldest first."""

    def read(item: dict[str, Any]) -> AnsweredTrade:
        trade_id, is_sale, at = id_of(item["id"]), item["taker"] == "seller", instant_of(item["at"], unit_to_us)
        return parsing.answered_trade(symbol, trade_id, item["price"], item["amount"], is_buyer_maker=is_sale, at=at)

    return read_answer(body, lambda answer: parsing.trades_of(answer, read))


def parse_klines(body: bytes, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    """`[[open time in ms, open, high, low, close, volume, turnover, trades, bought, paid], …]`, oldest first."""

    def read_rows(answer: list[list[Any]]) -> pa.Table:
        columns: dict[str, Any] = {name: [row[place] for row in answer] for place, name in enumerate(COLUMNS)}
        columns["open_time"] = [opened * 1_000 for opened in columns["open_time"]]
        columns["close_time"] = [parsing.close_time_of(interval, opened) for opened in columns["open_time"]]
        origin = {"venue": NAME, "symbol": symbol, "interval": interval, "source": "rest"}
        return parsing.klines_table(columns, **origin, receipt_time=receipt_time)

    return read_answer(body, read_rows)


def classify(response: httpx.Response, server_now: int) -> Outcome:
    """What a response means: a body, wait, a ban, or that the question is wrong."""
    if response.is_success:
        return response.content
    said = f"{response.url.path} answered {response.status_code}: {response.text[:200]}"
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Retry(said, MINUTE_US - server_now % MINUTE_US)
    return refusal(response, said)


class ToyRest:
    """A VenueRest; see there what each method promises."""

    def __init__(self, client: RestClient) -> None:
        self.client = client
        self.contract_sizes: dict[str, str] = {}

    async def synchronize_clock(self) -> None:
        await self.client.synchronize_clock("/time", 1, lambda body: read_answer(body, lambda answer: int(answer["now"]) * 1_000))

    async def find_address(self, socket: str) -> Address:
        return Address(read(ToySettings).url.replace("http", "ws", 1) + "/feed")

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        known = (await self.client.get("/markets", {}, 1, lambda body, _: read_answer(body, dict))).parsed
        if unknown := [symbol for symbol in symbols if symbol not in known]:
            said = f"unknown symbol {', '.join(unknown)} on toy: write it as the venue does, for example FOO/BAR"
            raise UnknownSymbols(said, tuple(unknown))
        return {symbol: known[symbol] for symbol in symbols}

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        rows = (await self.fetch_klines(symbol, interval, wanted)).parsed
        return int(rows["open_time"][0].value) if rows.num_rows else None

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> Answer[pa.Table]:
        self.client.tally.klines += 1
        sent = {"market": symbol, "interval": interval, "from": str(span.first // 1_000), "to": str(span.last // 1_000)}
        return await self.client.get("/klines", sent, 1, lambda body, at: parse_klines(body, symbol, interval, at))

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        sent = {"market": symbol, "levels": str(levels)}
        return await self.client.get("/book", sent, 1, lambda body, _: parse_depth(body, symbol, reason))

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        return await self.client.get("/trades", {"market": symbol}, 1, lambda body, _: parse_trades(body, symbol))

    async def fetch_trades(self, symbol: str, from_id: int) -> Answer[list[AnsweredTrade]]:
        raise VenueRefused(f"toy has no history: nothing of {symbol} from {from_id} on")

    def snapshot_pause(self, levels: int, share: float) -> float:
        return self.client.limit.pause_between(1, share)

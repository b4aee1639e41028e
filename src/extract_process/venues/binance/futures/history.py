"""Binance futures' REST history: settled funding rates, and open interest of the last 30 days.

Both count requests instead of weight. Funding rates of USD-M "share 500/5min/IP rate limit with GET /fapi/v1/fundingInfo", open
interest has "IP rate limit 1000 requests/5min" and "only the data of the latest 30 days is available"
(https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Get-Funding-Rate-History, and
Open-Interest-Statistics there). COIN-M's pages say a weight of 1 for both; the same limits are kept there.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
import pyarrow as pa

from extract_process.ranges import Range
from extract_process.venues.api import VenueRest
from extract_process.venues.binance.futures.product import Product
from extract_process.venues.binance.futures.quarters import has_delivery, kinds_of
from extract_process.venues.binance.futures.rest import FuturesRest
from extract_process.venues.history_tables import funding_rates_table, open_interest_table
from extract_process.venues.parsing import read_answer
from extract_process.venues.rest_client import Answer, RequestTally, RestClient
from tickhouse_core.datasets import OPEN_INTEREST
from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import unit_to_us

FUNDING_REQUESTS, OPEN_INTEREST_REQUESTS = 250, 500
"""Per five minutes: half of what the venue allows, because nothing says when its five minutes begin."""

_MOST_FUNDING_ROWS, _MOST_OPEN_INTEREST_ROWS = 1_000, 500
_OPEN_INTEREST_PATH = "/futures/data/openInterestHist"


class FuturesHistory:
    """A HistoryRest of either market; see there what each method promises."""

    most_rows: ClassVar[Mapping[str, int]] = {"funding_rates": _MOST_FUNDING_ROWS, "open_interest": _MOST_OPEN_INTEREST_ROWS}

    def __init__(self, rest: FuturesRest, funding: RestClient, open_interest: RestClient, product: Product) -> None:
        """Each client has the limit of its endpoint."""
        self.markets: VenueRest = rest
        self._funding = funding
        self._open_interest = open_interest
        self._product = product

    @property
    def tallies(self) -> list[RequestTally]:
        return [self._funding.tally, self._open_interest.tally]

    def check(self, symbol: str, channel: str) -> None:
        if has_delivery(symbol) and channel == "funding_rates":
            raise UsageError(f"{symbol} has a delivery date: it has no funding; tickhouse open-interest and klines have its rows")
        if has_delivery(symbol) and self._product.quantities_are_contracts:
            kinds_of(symbol, Range(0, 0))

    async def fetch_funding_rates(self, symbol: str, span: Range) -> Answer[pa.Table]:
        """`[{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000000,"markPrice":"34287.54619963"}, …]`."""

        def read(answer: list[dict[str, Any]], receipt_time: int) -> pa.Table:
            columns = {
                "funding_time": [unit_to_us(item["fundingTime"]) for item in answer],
                "funding_rate": [item["fundingRate"] for item in answer],
                "mark_price": [item.get("markPrice") or None for item in answer],
            }
            _refuse_others(answer, "symbol", symbol)
            return funding_rates_table(columns, venue=self._product.name, symbol=symbol, receipt_time=receipt_time)

        sent = {"symbol": symbol, **_bounds(span), "limit": str(_MOST_FUNDING_ROWS)}
        return await self._funding.get(
            f"{self._product.api}/fundingRate", sent, 1, lambda body, at: read_answer(body, lambda answer: read(answer, at))
        )

    async def fetch_open_interest(self, symbol: str, period: str, span: Range) -> Answer[pa.Table]:
        """`[{"symbol":"BTCUSDT","sumOpenInterest":"20403.637","sumOpenInterestValue":"150570784.07","timestamp":1583127900000}]`.

        COIN-M has `pair` and `contractType` instead of the symbol: of a quarterly contract, one request for each of its kinds.
        """
        if not self._product.quantities_are_contracts:
            return await self._fetch_open_interest(symbol, period, {"symbol": symbol}, span)
        pair = symbol.rpartition("_")[0]
        parts = kinds_of(symbol, span) if has_delivery(symbol) else [("PERPETUAL", span)]
        answers = [
            await self._fetch_open_interest(symbol, period, {"pair": pair, "contractType": kind}, part) for kind, part in parts
        ]
        if not answers:
            return Answer(b"", self.markets.client.server_now(), OPEN_INTEREST.schema.empty_table())
        return answers[-1]._replace(parsed=pa.concat_tables(answer.parsed for answer in answers))

    async def _fetch_open_interest(self, symbol: str, period: str, named: dict[str, str], span: Range) -> Answer[pa.Table]:
        """`named`: how the venue calls the contract. Some answers had the timestamp as text."""

        def read(answer: list[dict[str, Any]], receipt_time: int) -> pa.Table:
            columns = {
                "event_time": [unit_to_us(int(item["timestamp"])) for item in answer],
                "open_interest": [item["sumOpenInterest"] for item in answer],
                "open_interest_value": [item["sumOpenInterestValue"] for item in answer],
            }
            for name, value in named.items():
                _refuse_others(answer, name, value)
            return open_interest_table(
                columns, venue=self._product.name, symbol=symbol, period=period, source="rest", receipt_time=receipt_time
            )

        sent = {**named, "period": period, **_bounds(span), "limit": str(_MOST_OPEN_INTEREST_ROWS)}
        return await self._open_interest.get(
            _OPEN_INTEREST_PATH, sent, 1, lambda body, at: read_answer(body, lambda answer: read(answer, at))
        )


def _bounds(span: Range) -> dict[str, str]:
    """In whole milliseconds, both included."""
    return {"startTime": str(-(-span.first // 1_000)), "endTime": str(span.last // 1_000)}


def _refuse_others(answer: list[dict[str, Any]], name: str, value: str) -> None:
    """Raises ValueError for rows of another market."""
    if others := [item[name] for item in answer if item[name] != value]:
        raise ValueError(f"{name} {orjson.dumps(others[0]).decode():.40}, not {value}")

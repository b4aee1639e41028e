"""Binance futures' public REST API: endpoints with their weights. Answers, errors and the tally are spot's (`binance.rest`)."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from extract_process.decimals import plain_number
from extract_process.ranges import Range, grid_of
from extract_process.records import AnsweredTrade, DepthSnapshot, OpenInterest
from extract_process.venues.api import Address, Poll
from extract_process.venues.binance.futures.product import Product
from extract_process.venues.binance.rest import ExchangeInfo, parse_depth, parse_exchange_info, parse_server_time, parse_trades
from extract_process.venues.parsing import instant_of, name_of, read_answer
from extract_process.venues.rest_client import Answer, RestClient
from tickhouse_core.errors import UnknownSymbols, UnusableAnswer, VenueRefused
from tickhouse_core.timestamps import DAY_US, unit_to_us

SNAPSHOT_LEVELS = (5, 10, 20, 50, 100, 500, 1_000)
"""The only limits that `depth` takes."""

_DEPTH_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1_000, 20))
"""By the most levels a side that are requested."""

_KLINE_WEIGHTS = ((99, 1), (499, 2))
"""By the most rows that are requested. Up to 1,000 weigh 5 and 1,500 weigh 10: 499 are the most rows for their weight."""

_SPARE_ROWS = 19
"""Rows off the grid that fit into an answer beside those of its page. COIN-M would leave out the oldest."""

PAGE_ROWS = _KLINE_WEIGHTS[-1][0] - _SPARE_ROWS


def parse_open_interest(body: bytes, symbol: str) -> list[OpenInterest]:
    """`{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}`; COIN-M's numbers are contracts."""

    def read(answer: dict[str, Any]) -> list[OpenInterest]:
        if (named := name_of(answer["symbol"])) != symbol:
            raise ValueError(f"of {named!r:.40}, not of {symbol}")
        return [OpenInterest(symbol, instant_of(answer["time"], unit_to_us), plain_number(answer["openInterest"]))]

    return read_answer(body, read)


def polls_of(product: Product) -> dict[str, Poll]:
    return {"open_interest": Poll(f"{product.api}/openInterest", 1, parse_open_interest)}


class FuturesRest:
    """A VenueRest of either market; see there what each method promises."""

    def __init__(self, client: RestClient, product: Product) -> None:
        self.client = client
        self.contract_sizes: dict[str, str] = {}
        self._product = product

    async def synchronize_clock(self) -> None:
        """The venue's limits count in minutes of that clock, not of ours."""
        await self.client.synchronize_clock(f"{self._product.api}/time", 1, parse_server_time)

    async def find_address(self, socket: str) -> Address:
        return Address(self._product.address_of(socket) + "/stream")

    async def fetch_exchange_info(self) -> ExchangeInfo:
        """All contracts; the weight limit is taken over."""

        def parse(body: bytes, _: int) -> ExchangeInfo:
            return parse_exchange_info(body, self._product.status_key)

        info = (await self.client.get(f"{self._product.api}/exchangeInfo", {}, 1, parse)).parsed
        if info.weight_limit is not None:
            self.client.limit.set_limit(info.weight_limit)
        self.contract_sizes.update(info.contract_sizes)
        return info

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        statuses = (await self.fetch_exchange_info()).statuses
        if unknown := [symbol for symbol in symbols if symbol not in statuses]:
            example = self._product.usual_symbols[0]
            said = (
                f"unknown symbol {', '.join(unknown)} on {self._product.name}: write it as the venue does, for example {example}"
            )
            raise UnknownSymbols(said, tuple(unknown))
        return {symbol: statuses[symbol] == "TRADING" for symbol in symbols}

    async def fetch_first_open_time(self, symbol: str, interval: str, wanted: Range) -> int | None:
        """One request where the venue sends the oldest klines of a span. Else by days, span by span, then inside of the day."""
        first = max(wanted.first, self._product.earliest_us)
        if first > wanted.last:
            return None
        if self._product.longest_klines_us is None:
            return _first_of((await self._fetch(symbol, interval, Range(first, wanted.last), limit=1)).parsed)
        grid = grid_of(interval)
        is_fine = bool(grid.step_us) and grid.step_us < DAY_US
        for span in self._allowed(Range(first - first % DAY_US if is_fine else first, wanted.last)):
            rows = (await self._fetch(symbol, "1d" if is_fine else interval, span, _KLINE_WEIGHTS[-1][0])).parsed
            if (found := _first_of(rows)) is not None:
                return (
                    await self._first_of_day(symbol, interval, Range(max(found, first), found + DAY_US - 1)) if is_fine else found
                )
        return None

    async def fetch_klines(self, symbol: str, interval: str, span: Range) -> Answer[pa.Table]:
        """At most `PAGE_ROWS` on the grid. Raises UnusableAnswer for one so full that it may lack rows."""
        needed = grid_of(interval).count(span) + _SPARE_ROWS
        limit = next((most for most, _ in _KLINE_WEIGHTS if needed <= most), _KLINE_WEIGHTS[-1][0])
        answers = [await self._fetch(symbol, interval, part, limit) for part in self._allowed(span)]
        if any(answer.parsed.num_rows >= limit for answer in answers):
            raise UnusableAnswer(f"{limit} klines or more of {symbol} {interval} in one answer, which may lack some")
        if len(answers) == 1:
            return answers[0]
        parts = [body for answer in answers if (body := answer.body.strip()[1:-1].strip())]
        body, at = b"[%b]" % b",".join(parts), answers[-1].receipt_time  # what the venue would have sent for the whole span
        return Answer(body, at, self._product.parse_klines(body, symbol, interval, at))

    async def fetch_depth(self, symbol: str, levels: int, reason: str) -> Answer[DepthSnapshot]:
        """At most 1,000 levels a side."""
        limit = next((allowed for allowed in SNAPSHOT_LEVELS if levels <= allowed), SNAPSHOT_LEVELS[-1])
        return await self._get(
            "depth",
            {"symbol": symbol, "limit": str(limit)},
            _weight(_DEPTH_WEIGHTS, limit),
            lambda body, _: parse_depth(body, symbol, reason),
        )

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        """The last 1,000. Those of the insurance fund and of automatic deleveraging are not among them."""
        return await self._get("trades", {"symbol": symbol, "limit": "1000"}, 5, lambda body, _: parse_trades(body, symbol))

    async def fetch_trades(self, symbol: str, from_id: int) -> Answer[list[AnsweredTrade]]:
        """Always raises VenueRefused: older single trades need an API key, at a weight of 200."""
        name = self._product.name
        raise VenueRefused(f"{name}'s public REST has only the last 1,000 trades of {symbol}, not those from {from_id} on")

    def snapshot_pause(self, levels: int, share: float) -> float:
        return self.client.limit.pause_between(_weight(_DEPTH_WEIGHTS, levels), share)

    async def _first_of_day(self, symbol: str, interval: str, day: Range) -> int:
        """A day's first kline; where it is before `day`, that is as good: it has klines before."""
        rows = (await self._fetch(symbol, interval, day, 1_500)).parsed
        found = _first_of(rows)
        return day.first if found is None else found

    def _allowed(self, span: Range) -> Iterator[Range]:
        """The span in parts that a request may have."""
        longest = self._product.longest_klines_us
        while longest is not None and span.last - span.first >= longest:
            yield Range(span.first, span.first + longest - 1)
            span = Range(span.first + longest, span.last)
        yield span

    async def _fetch(self, symbol: str, interval: str, span: Range, limit: int) -> Answer[pa.Table]:
        self.client.tally.klines += 1
        bounds = {"startTime": str(-(-span.first // 1_000)), "endTime": str(span.last // 1_000)}
        sent = {"symbol": symbol, "interval": interval, "limit": str(limit), **bounds}
        parse_klines = self._product.parse_klines
        weight = _weight((*_KLINE_WEIGHTS, (1_000, 5), (1_500, 10)), limit)
        return await self._get("klines", sent, weight, lambda body, at: parse_klines(body, symbol, interval, at))

    async def _get(self, endpoint: str, sent: dict[str, str], weight: int, parse: Callable[[bytes, int], Any]) -> Answer[Any]:
        return await self.client.get(f"{self._product.api}/{endpoint}", sent, weight, parse)


def _weight(weights: tuple[tuple[int, int], ...], requested: int) -> int:
    return next((weight for most, weight in weights if requested <= most), weights[-1][1])


def _first_of(rows: pa.Table) -> int | None:
    return int(rows["open_time"][0].value) if rows.num_rows else None

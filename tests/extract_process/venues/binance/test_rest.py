import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from extract_process.ranges import Range
from extract_process.venues.binance.rest import BinanceRest, classify, tally_of
from extract_process.venues.rate_limit import RateLimit
from extract_process.venues.rest_client import BanStore, RestClient
from tickhouse_core.errors import UnknownSymbols, UsageError, VenueBanned, VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import MINUTE_US, SECOND_US, now_us

HOST = "venue.test"
OPEN_MS = 1_704_067_200_000
SPAN = Range(OPEN_MS * 1_000, OPEN_MS * 1_000 + 999 * MINUTE_US)
KLINE = [OPEN_MS, "1.10", "2", "0.5", "1.5", "10", OPEN_MS + 59_999, "15", 3, "5", "7.5", "0"]
BUSY = {"code": -1003, "msg": "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."}
FIREWALL = b"<html><body>403 Forbidden</body></html>"

Answer = httpx.Response | Exception
Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def answer(status: int, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers={name.replace("_", "-"): value for name, value in headers.items()})


class Venue:
    """Gives its answers one after the other, the last one again and again; remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given.status_code, content=given.content, headers=given.headers)


@asynccontextmanager
async def asking(venue: Handler, folder: Path, limit: int = 6_000) -> AsyncIterator[BinanceRest]:
    transport = httpx.MockTransport(venue)  # type: ignore[arg-type]  # httpx takes coroutines here too
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}") as client:
        bans, share = BanStore(folder, "binance", HOST), RateLimit(limit, MINUTE_US, is_aligned=True)
        yield BinanceRest(RestClient(client, share, bans, classify, tally_of))


def exchange_info(limit: int = 6_000) -> httpx.Response:
    rate = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit}
    return answer(200, {"rateLimits": [rate], "symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}]})


async def test_klines_are_asked_for_by_range_in_milliseconds(tmp_path: Path) -> None:
    venue = Venue(answer(200, [KLINE]))
    async with asking(venue, tmp_path) as rest:
        table = (await rest.fetch_klines("BTCUSDT", "1m", SPAN)).parsed
    (request,) = venue.requests
    assert str(request.url.copy_with(query=None)) == "https://venue.test/api/v3/klines"
    assert dict(request.url.params) == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "limit": "1000",
        "startTime": "1704067200000",
        "endTime": "1704127140000",
    }
    assert table["open_time"][0].value == SPAN.first
    assert table.select(["symbol", "interval", "source"]).to_pylist() == [
        {"symbol": "BTCUSDT", "interval": "1m", "source": "rest"}
    ]
    assert abs(table["receipt_time"][0].value - now_us()) < MINUTE_US


async def test_every_request_is_tallied_with_its_weight(tmp_path: Path) -> None:
    def venue(request: httpx.Request) -> httpx.Response:
        return answer(200, [KLINE]) if request.url.path.endswith("klines") else exchange_info()

    async with asking(venue, tmp_path) as rest:
        await rest.fetch_exchange_info(["BTCUSDT"])
        await rest.fetch_klines("BTCUSDT", "1m", SPAN)
        await rest.fetch_klines("BTCUSDT", "1m", SPAN)
    tally = rest.client.tally
    assert (tally.requests, tally.weight, tally.retries, tally.rate_limited) == (3, 24, 0, 0)
    assert rest.client.tally.by_path == {"/api/v3/exchangeInfo": 1, "/api/v3/klines": 2}
    assert rest.client.limit.used_weight == 24


async def test_the_servers_tally_reaches_the_budget(tmp_path: Path) -> None:
    venue = Venue(
        answer(200, {"serverTime": now_us() // MINUTE_US * 60_000 + 1_000}), answer(200, [KLINE], x_mbx_used_weight_1m="5321")
    )
    async with asking(venue, tmp_path) as rest:
        await rest.synchronize_clock()
        await rest.fetch_klines("BTCUSDT", "1m", SPAN)
    assert rest.client.limit.used_weight == 5_321


async def test_the_weight_limit_is_taken_over_from_the_venue(tmp_path: Path) -> None:
    async with asking(Venue(exchange_info(limit=12_345)), tmp_path, limit=1_200) as rest:
        info = await rest.fetch_exchange_info(["BTCUSDT"])
    assert (rest.client.limit.limit, info.weight_limit, info.statuses) == (12_345, 12_345, {"BTCUSDT": "TRADING"})


async def test_the_servers_clock_is_used_not_ours(tmp_path: Path) -> None:
    hour_ahead = now_us() + 60 * MINUTE_US
    async with asking(Venue(answer(200, {"serverTime": hour_ahead // 1_000})), tmp_path) as rest:
        assert abs(rest.client.server_now() - now_us()) < SECOND_US
        await rest.synchronize_clock()
        assert hour_ahead - 1_000 <= rest.client.server_now() < hour_ahead + 30 * SECOND_US


@pytest.mark.parametrize(
    "trouble",
    [
        answer(500, {"code": -1000, "msg": "An unknown error occurred."}),
        answer(502, b"<html>Bad Gateway</html>"),
        answer(503, {"code": -1008, "msg": "Server is currently overloaded with other requests."}),
        answer(400, BUSY),
        answer(400, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
        answer(200, b'[[1704067200000,"1.10","2"'),
        answer(200, b""),
        answer(200, {"code": 0}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("no answer"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
    ids=["500", "502", "-1008", "-1003", "-1007", "cut", "empty", "other shape", "refused", "timeout", "dropped in mid-body"],
)
async def test_passing_trouble_is_asked_again_until_the_answer_is_exact(trouble: Answer, tmp_path: Path) -> None:
    venue = Venue(trouble, trouble, answer(200, [KLINE]))
    async with asking(venue, tmp_path) as rest:
        table = (await rest.fetch_klines("BTCUSDT", "1m", SPAN)).parsed
    assert table.num_rows == 1
    assert (len(venue.requests), rest.client.tally.requests, rest.client.tally.retries, rest.client.tally.weight) == (3, 3, 2, 6)
    assert rest.client.limit.used_weight == 6


@pytest.mark.parametrize("trouble", [answer(500, b"down"), answer(200, b"[[1"), httpx.ConnectError("refused")])
async def test_after_eight_tries_the_venue_is_unavailable(trouble: Answer, tmp_path: Path) -> None:
    venue = Venue(trouble)
    async with asking(venue, tmp_path) as rest:
        with pytest.raises(VenueUnavailable):
            await rest.fetch_klines("BTCUSDT", "1m", SPAN)
    assert len(venue.requests) == 8


async def test_a_compressed_answer_is_read(tmp_path: Path) -> None:
    def venue(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=gzip.compress(json.dumps([KLINE]).encode()), headers={"Content-Encoding": "gzip"})

    async with asking(venue, tmp_path) as rest:
        assert (await rest.fetch_klines("BTCUSDT", "1m", SPAN)).parsed.num_rows == 1


async def test_a_wrong_request_is_refused_with_the_venues_code_and_not_repeated(tmp_path: Path) -> None:
    venue = Venue(answer(400, {"code": -1120, "msg": "Invalid interval."}))
    async with asking(venue, tmp_path) as rest:
        with pytest.raises(VenueRefused, match=r"^/api/v3/klines answered 400 -1120: Invalid interval.$") as caught:
            await rest.fetch_klines("BTCUSDT", "7m", SPAN)
    assert caught.value.code == -1120
    assert len(venue.requests) == 1


async def test_rate_limited_with_retry_after_stops_every_worker_for_that_long(tmp_path: Path) -> None:
    venue = Venue(answer(429, BUSY, retry_after="7"))
    async with asking(venue, tmp_path) as rest:
        first = asyncio.create_task(rest.fetch_klines("BTCUSDT", "1m", SPAN))
        await until(lambda: rest.client.tally.rate_limited == 1)
        second = asyncio.create_task(rest.fetch_klines("ETHUSDT", "1m", SPAN))
        await let_run(turns=20)
        assert 5.0 < rest.client.limit.wait_before(2, rest.client.server_now()) <= 7.0
        assert len(venue.requests) == 1
        await cancelled(first, second)


@pytest.mark.parametrize("retry_after", [None, "0", "soon"])
async def test_rate_limited_without_retry_after_waits_until_the_servers_minute_turns(
    retry_after: str | None, tmp_path: Path
) -> None:
    minute_end_ms = (now_us() // MINUTE_US + 5) * 60_000
    headers = {} if retry_after is None else {"retry_after": retry_after}
    venue = Venue(
        answer(200, {"serverTime": minute_end_ms - 40_000}), answer(429, BUSY, **headers)
    )  # 20 s into a minute of the server's clock, whatever ours says
    async with asking(venue, tmp_path) as rest:
        await rest.synchronize_clock()
        asked = asyncio.create_task(rest.fetch_klines("BTCUSDT", "1m", SPAN))
        await until(lambda: rest.client.tally.rate_limited == 1)
        assert 35.0 < rest.client.limit.wait_before(2, rest.client.server_now()) <= 40.0
        await cancelled(asked)


async def test_after_the_minute_has_turned_a_rate_limited_request_is_asked_again(tmp_path: Path) -> None:
    minute_end_ms = (now_us() // MINUTE_US + 5) * 60_000
    venue = Venue(answer(200, {"serverTime": minute_end_ms - 50}), answer(429, BUSY), answer(200, [KLINE]))
    async with asking(venue, tmp_path) as rest:
        await rest.synchronize_clock()
        table = (await rest.fetch_klines("BTCUSDT", "1m", SPAN)).parsed
        assert rest.client.server_now() >= minute_end_ms * 1_000
    assert table.num_rows == 1
    assert (rest.client.tally.rate_limited, rest.client.tally.retries, len(venue.requests)) == (1, 0, 3)


async def test_an_absurd_retry_after_is_no_longer_than_the_venues_longest_ban(tmp_path: Path) -> None:
    async with asking(Venue(answer(429, BUSY, retry_after="99999999999")), tmp_path) as rest:
        asked = asyncio.create_task(rest.fetch_klines("BTCUSDT", "1m", SPAN))
        await until(lambda: rest.client.tally.rate_limited == 1)
        assert 259_100 < rest.client.limit.wait_before(2, rest.client.server_now()) <= 259_200
        await cancelled(asked)


BAN_TEXT = "Way too much request weight used; IP banned until {}. Please use the websocket for live updates."


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"retry_after": "600"}, BAN_TEXT.format(OPEN_MS), 600),
        ({}, BAN_TEXT.format("{in_an_hour}"), 3_600),
        ({}, "I'm a teapot", 120),
        ({}, BAN_TEXT.format("99999999999999999999999"), 120),
        ({}, BAN_TEXT.format("9999999999999"), 259_200),
        ({}, BAN_TEXT.format("1000000000000"), 120),
        ({"retry_after": "9" * 5_000}, "I'm a teapot", 259_200),
        ({"retry_after": "-1"}, "I'm a teapot", 120),
    ],
    ids=[
        *("Retry-After", "named instant", "neither", "no instant", "the year 2286", "long ago"),
        *("5,000 digits", "negative"),
    ],
)
async def test_a_ban_stops_everything_and_is_remembered_across_a_restart(
    headers: dict[str, str], text: str, seconds: int, tmp_path: Path
) -> None:
    asked_at = now_us()
    named = text.replace("{in_an_hour}", str((asked_at + 3_600 * SECOND_US) // 1_000))
    venue = Venue(answer(418, {"code": -1003, "msg": named}, **headers))
    async with asking(venue, tmp_path) as rest:
        with pytest.raises(VenueBanned, match=r"^shut out until .*, asking nothing before: .* answered 418 -1003") as caught:
            await rest.fetch_klines("BTCUSDT", "1m", SPAN)
        assert abs(caught.value.until_us - asked_at - seconds * SECOND_US) < 30 * SECOND_US
        with pytest.raises(VenueBanned):
            await rest.fetch_klines("ETHUSDT", "1m", SPAN)
    async with asking(venue, tmp_path) as restarted:
        with pytest.raises(VenueBanned, match=r"^still shut out until .*, asking nothing"):
            await restarted.fetch_klines("BTCUSDT", "1m", SPAN)
    assert len(venue.requests) == 1


async def test_a_named_end_of_a_ban_is_by_the_servers_clock(tmp_path: Path) -> None:
    server_now = now_us() + 1_000 * SECOND_US
    text = BAN_TEXT.format((server_now + 3_600 * SECOND_US) // 1_000)
    venue = Venue(answer(200, {"serverTime": server_now // 1_000}), answer(418, {"code": -1003, "msg": text}))
    async with asking(venue, tmp_path) as rest:
        await rest.synchronize_clock()
        with pytest.raises(VenueBanned) as caught:
            await rest.fetch_klines("BTCUSDT", "1m", SPAN)
    assert abs(caught.value.until_us - now_us() - 3_600 * SECOND_US) < 30 * SECOND_US


async def test_a_ban_that_is_over_lets_a_restart_ask(tmp_path: Path) -> None:
    BanStore(tmp_path, "binance", HOST).remember(VenueBanned("over", until_us=now_us() - 1))
    async with asking(Venue(answer(200, [KLINE])), tmp_path) as rest:
        assert (await rest.fetch_klines("BTCUSDT", "1m", SPAN)).parsed.num_rows == 1


async def test_the_firewall_is_left_alone_for_five_minutes(tmp_path: Path) -> None:
    venue = Venue(answer(403, FIREWALL))
    async with asking(venue, tmp_path) as rest:
        with pytest.raises(VenueBanned, match=r"refused by the venue's firewall") as caught:
            await rest.fetch_klines("BTCUSDT", "1m", SPAN)
    assert abs(caught.value.until_us - now_us() - 300 * SECOND_US) < 30 * SECOND_US
    assert len(venue.requests) == 1
    assert BanStore(tmp_path, "binance", HOST).remembered(now_us()) is not None


@pytest.mark.parametrize("code", [-1121, -1100])
async def test_the_unknown_one_of_several_symbols_is_named(code: int, tmp_path: Path) -> None:
    known = {"BTCUSDT", "ETHUSDT"}

    def venue(request: httpx.Request) -> httpx.Response:
        parameters = request.url.params
        asked = json.loads(parameters["symbols"]) if "symbols" in parameters else [parameters["symbol"]]
        return exchange_info() if known.issuperset(asked) else answer(400, {"code": code, "msg": "Invalid symbol."})

    async with asking(venue, tmp_path) as rest:
        with pytest.raises(UsageError, match=r"^unknown symbol BTCUSTD, NOPE on binance: write it as the venue does"):
            await rest.fetch_exchange_info(["BTCUSDT", "BTCUSTD", "ETHUSDT", "NOPE"])


async def test_one_unknown_symbol_of_a_hundred_is_found_by_halves(tmp_path: Path) -> None:
    symbols = [f"S{number}USDT" for number in range(100)]
    lists: list[int] = []

    def venue(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.url.params["symbols"])
        lists.append(len(asked))
        return answer(400, {"code": -1121, "msg": "Invalid symbol."}) if "S77USDT" in asked else exchange_info()

    async with asking(venue, tmp_path) as rest:
        with pytest.raises(UnknownSymbols) as caught:
            await rest.fetch_exchange_info(symbols)
    assert caught.value.symbols == ("S77USDT",)
    assert len(lists) <= 15


async def test_symbols_that_an_answer_leaves_out_are_unknown_and_a_limit_it_leaves_out_stays(tmp_path: Path) -> None:
    """Of 102 symbols in two questions: the first one is refused for S1USDT, the second answered without S100USDT."""
    symbols = [f"S{number}USDT" for number in range(102)]

    def venue(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.url.params["symbols"])
        if "S1USDT" in asked:
            return answer(400, {"code": -1121, "msg": "Invalid symbol."})
        return answer(200, {"symbols": [{"symbol": name, "status": "TRADING"} for name in asked if name != "S100USDT"]})

    async with asking(venue, tmp_path, limit=1_200) as rest:
        with pytest.raises(UnknownSymbols) as caught:
            await rest.fetch_statuses(symbols)
        assert rest.client.limit.limit == 1_200
    assert caught.value.symbols == ("S1USDT", "S100USDT")


async def test_another_refusal_of_exchange_info_is_not_called_an_unknown_symbol(tmp_path: Path) -> None:
    async with asking(Venue(answer(400, {"code": -1220, "msg": "mismatch"})), tmp_path) as rest:
        with pytest.raises(VenueRefused):
            await rest.fetch_exchange_info(["BTCUSDT"])


async def test_symbols_that_are_not_ascii_are_percent_encoded(tmp_path: Path) -> None:
    venue = Venue(answer(200, [KLINE]), exchange_info())
    async with asking(venue, tmp_path) as rest:
        await rest.fetch_klines("币安人生USDT", "1m", SPAN)
        await rest.fetch_exchange_info(["币安人生USDT", "BTCUSDT"])
    queries = [request.url.query.decode("ascii") for request in venue.requests]
    assert "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&" in queries[0]
    assert queries[1] == "symbols=%5B%22%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT%22%2C%22BTCUSDT%22%5D"


async def test_requests_wait_for_the_next_minute_when_the_weight_is_used_up(tmp_path: Path) -> None:
    minute_ms = (now_us() // MINUTE_US + 5) * 60_000
    venue = Venue(answer(200, {"serverTime": minute_ms + 5_000}), answer(200, [KLINE], x_mbx_used_weight_1m="5699"))
    async with asking(venue, tmp_path) as rest:
        await rest.synchronize_clock()
        await rest.fetch_klines("BTCUSDT", "1m", SPAN)
        asked = asyncio.create_task(rest.fetch_klines("BTCUSDT", "1m", SPAN))
        await let_run(turns=20)
        assert len(venue.requests) == 2
        assert 25.0 < rest.client.limit.wait_before(2, rest.client.server_now()) <= 55.0
        await cancelled(asked)


async def let_run(turns: int) -> None:
    """The other tasks, for so many turns of the loop: time enough for what should not happen."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(is_true: Callable[[], bool], turns: int = 10_000) -> None:
    """Lets the other tasks run, for so many turns of the loop at most."""
    for _ in range(turns):
        if is_true():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"not within {turns} turns of the loop")


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in await asyncio.gather(*tasks, return_exceptions=True))

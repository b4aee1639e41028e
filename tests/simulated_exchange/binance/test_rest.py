from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt
from simulated_exchange.server.clock import StandingClock

NOW = 1_750_000_012_345  # the fixture's clock: 2025-06-15 15:06:52.345
MINUTE = 60_000
OPENED = NOW - NOW % MINUTE


def klines(client: httpx.Client, **asked: Any) -> list[list[Any]]:
    answer = client.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m", **asked})
    assert answer.status_code == 200, answer.text
    rows: list[list[Any]] = answer.json()
    return rows


def test_ping_and_time(client: httpx.Client) -> None:
    assert client.get("/api/v3/ping").json() == {}
    assert client.get("/api/v3/time").json() == {"serverTime": NOW}


def test_without_bounds_the_most_recent_500_are_served(client: httpx.Client) -> None:
    rows = klines(client)
    assert [row[0] for row in rows] == list(range(OPENED - 499 * MINUTE, OPENED + 1, MINUTE))
    assert rows[-1][6] > NOW


def test_a_start_alone_serves_the_oldest_from_there(client: httpx.Client) -> None:
    rows = klines(client, startTime=OPENED - 5_000 * MINUTE + 1, limit=3)
    assert [row[0] for row in rows] == [OPENED - index * MINUTE for index in (4_999, 4_998, 4_997)]


def test_an_end_alone_serves_the_most_recent_up_to_it(client: httpx.Client) -> None:
    rows = klines(client, endTime=OPENED - 100 * MINUTE, limit=3)
    assert [row[0] for row in rows] == [OPENED - index * MINUTE for index in (102, 101, 100)]


def test_both_bounds_serve_the_oldest_from_the_start_capped_by_the_end(client: httpx.Client) -> None:
    rows = klines(client, startTime=OPENED - 100 * MINUTE, endTime=OPENED - 98 * MINUTE)
    assert [row[0] for row in rows] == [OPENED - index * MINUTE for index in (100, 99, 98)]
    assert len(klines(client, startTime=OPENED - 2_000 * MINUTE, endTime=OPENED, limit=4_000)) == 1_000
    assert klines(client, startTime=OPENED, endTime=OPENED - MINUTE) == []


def test_times_may_be_sent_in_microseconds(client: httpx.Client) -> None:
    start, end = OPENED - 10 * MINUTE, OPENED - 5 * MINUTE
    assert klines(client, startTime=start * 1000, endTime=end * 1000) == klines(client, startTime=start, endTime=end)


def test_the_header_asks_for_microseconds(client: httpx.Client) -> None:
    header = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    assert client.get("/api/v3/time", headers=header).json() == {"serverTime": NOW * 1000}
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "interval": "1h", "limit": 2}
    (row, _) = client.get("/api/v3/klines", params=asked, headers=header).json()
    assert row[6] == row[0] + 3_600_000_000 - 1
    refused = client.get("/api/v3/time", headers={"X-MBX-TIME-UNIT": "NANOSECOND"})
    assert (refused.status_code, refused.json()["code"]) == (400, -1194)


def test_rows_of_the_future_are_not_served(client: httpx.Client, clock: StandingClock) -> None:
    assert klines(client, startTime=OPENED + 1) == []
    clock.now += MINUTE
    assert [row[0] for row in klines(client, startTime=OPENED + 1)] == [OPENED + MINUTE]


def test_a_non_ascii_symbol_is_percent_encoded(client: httpx.Client) -> None:
    rows = klines(client, symbol="币安人生USDT", limit=1)
    assert rows == []
    names = [item["symbol"] for item in client.get("/api/v3/exchangeInfo").json()["symbols"]]
    assert "币安人生USDT" not in names  # it is listed four months after this clock


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ({"interval": "1m"}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"symbol": "BTCUSDT"}, -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."),
        ({"symbol": "NOPE", "interval": "1m"}, -1121, "Invalid symbol."),
        ({"symbol": "BTCUSDT", "interval": "1y"}, -1120, "Invalid interval."),
        (
            {"symbol": "BTCUSDT", "interval": "1m", "limit": "many"},
            -1100,
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        ),
        (
            {"symbol": "BTCUSDT", "interval": "1m", "startTime": "-5"},
            -1100,
            "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
        ),
    ],
)
def test_errors_have_the_venues_code_and_words(client: httpx.Client, asked: dict[str, str], code: int, message: str) -> None:
    answer = client.get("/api/v3/klines", params=asked)
    assert answer.status_code == 400
    assert answer.json() == {"code": code, "msg": message}
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"


def test_exchange_info_says_the_limit_and_what_trades(client: httpx.Client) -> None:
    info = client.get("/api/v3/exchangeInfo").json()
    assert info["rateLimits"] == [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}]
    assert info["symbols"][0] == {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING"}


@pytest.mark.parametrize(
    ("asked", "symbols"),
    [
        ({"symbol": "ETHUSDT"}, ["ETHUSDT"]),
        ({"symbols": '["NOVAUSDT","BTCUSDT"]'}, ["NOVAUSDT", "BTCUSDT"]),
    ],
)
def test_exchange_info_of_some_symbols(client: httpx.Client, asked: dict[str, str], symbols: list[str]) -> None:
    answer = client.get("/api/v3/exchangeInfo", params=asked).json()
    assert [item["symbol"] for item in answer["symbols"]] == symbols


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"symbol": "NOPE"}, -1121),
        ({"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ({"colour": "red"}, -1104),
    ],
)
def test_exchange_info_refuses_what_the_venue_refuses(client: httpx.Client, asked: dict[str, str], code: int) -> None:
    answer = client.get("/api/v3/exchangeInfo", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_halted_symbol_is_on_a_break(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_halts([Halt("BTCUSDT", NOW - MINUTE, NOW + MINUTE)])
    (bitcoin,) = client.get("/api/v3/exchangeInfo", params={"symbol": "BTCUSDT"}).json()["symbols"]
    assert bitcoin["status"] == "BREAK"


@pytest.mark.parametrize(
    ("path", "asked", "weight"),
    [
        ("ping", {}, 1),
        ("time", {}, 1),
        ("exchangeInfo", {}, 20),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1000}, 2),
        ("depth", {"symbol": "BTCUSDT"}, 5),
        ("depth", {"symbol": "BTCUSDT", "limit": 101}, 25),
        ("depth", {"symbol": "BTCUSDT", "limit": 1000}, 50),
        ("depth", {"symbol": "BTCUSDT", "limit": 9999}, 250),
    ],
)
def test_every_path_has_the_venues_weight(
    exchange: RunningExchange, client: httpx.Client, path: str, asked: dict[str, Any], weight: int
) -> None:
    answer = client.get(f"/api/v3/{path}", params=asked)
    assert answer.headers["X-MBX-USED-WEIGHT"] == answer.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)
    assert exchange.tally()["weight"] == {"total": weight, "per_minute": {str(OPENED): weight}}


def test_depth_is_a_book_around_the_price(client: httpx.Client, clock: StandingClock) -> None:
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "limit": 200}
    book = client.get("/api/v3/depth", params=asked).json()
    assert client.get("/api/v3/depth", params=asked).json() == book
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == 200
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    assert bids[0] == pytest.approx(float(klines(client, limit=1)[0][4]), rel=1e-3)
    clock.now += 100
    assert client.get("/api/v3/depth", params=asked).json()["lastUpdateId"] > book["lastUpdateId"]


def test_answers_carry_the_date_of_the_simulated_clock(client: httpx.Client) -> None:
    assert client.get("/api/v3/ping").headers["Date"] == "Sun, 15 Jun 2025 15:06:52 GMT"


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v3/nothing"), ("GET", "/"), ("POST", "/api/v3/klines")])
def test_unknown_paths_are_404_in_json(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["path"] == path


def test_over_the_limit_is_429_and_going_on_is_418(clock: StandingClock) -> None:
    config = ExchangeConfig(weight_limit=4, ban_after=2)
    with running_exchange(config, clock) as exchange, httpx.Client(base_url=exchange.url, trust_env=False) as client:
        asked = {"symbol": "BTCUSDT", "interval": "1m"}
        answers = [client.get("/api/v3/klines", params=asked) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 418, 418]
        assert answers[2].headers["Retry-After"] == str(60 - NOW // 1000 % 60)
        assert answers[2].headers["X-MBX-USED-WEIGHT-1M"] == "6"
        assert answers[2].json()["code"] == answers[4].json()["code"] == -1003
        assert "current limit is 4 request weight per 1 MINUTE" in answers[2].json()["msg"]
        assert answers[4].headers["Retry-After"] == "120"
        assert f"IP banned until {NOW + 120_000}." in answers[4].json()["msg"]
        assert exchange.tally()["refused"] == {"429": {"limiter": 2, "injected": 0}, "418": {"limiter": 2, "injected": 0}}
        clock.now += 120_000
        assert client.get("/api/v3/ping").status_code == 200


@pytest.mark.parametrize("path", ["/api/v3/%FF%FE", "/data/%00", "/simulator/%E5", "/api/v3/klines?limit=" + "9" * 5000])
def test_bad_requests_do_not_hurt(client: httpx.Client, path: str) -> None:
    assert 400 <= client.get(path).status_code < 500
    assert client.get("/api/v3/ping").status_code == 200
    assert client.get("/simulator/tally").status_code == 200

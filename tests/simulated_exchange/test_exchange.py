from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.config import parse_halt, parse_instant
from simulated_exchange.market.generated import Halt


def test_faults_are_replaced(client: httpx.Client, exchange: RunningExchange) -> None:
    for fault, status in (("http_500", 500), ("http_503_busy", 503)):
        exchange.set_faults([fault])
        assert client.get("/api/v3/ping").status_code == status
    exchange.set_faults([])
    assert client.get("/api/v3/ping").status_code == 200


def test_the_tally_knows_every_request(client: httpx.Client) -> None:
    client.get("/api/v3/ping")
    client.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m", "startTime": 1_700_000_000_000})
    client.get("/api/v3/klines", params={"symbol": "BTCUSDT"})
    tally = client.get("/simulator/tally").json()
    assert tally["requests"] == {"/api/v3/ping": {"200": 1}, "/api/v3/klines": {"200": 1, "400": 1}}
    assert (tally["requests_total"], tally["klines_requests"], tally["weight"]["total"]) == (3, 2, 5)
    assert tally["klines_log"] == [
        {"symbol": "BTCUSDT", "interval": "1m", "startTime": 1_700_000_000_000, "endTime": None, "status": 200},
        {"symbol": "BTCUSDT", "interval": None, "startTime": None, "endTime": None, "status": 400},
    ]


def test_the_tally_tells_of_faults(client: httpx.Client, exchange: RunningExchange) -> None:
    exchange.set_faults(["http_500:1"])
    assert client.get("/api/v3/ping").status_code == 500
    answer = client.get("/simulator/tally")
    assert (answer.status_code, answer.json()["faults"]) == (200, {"http_500": 1})


def test_reset_forgets_tally_and_weight(client: httpx.Client) -> None:
    client.get("/api/v3/exchangeInfo")
    client.post("/simulator/reset")
    assert client.get("/simulator/tally").json()["requests_total"] == 0
    assert client.get("/api/v3/ping").headers["X-MBX-USED-WEIGHT"] == "1"


def test_halts_take_rows_away_and_give_them_back(client: httpx.Client, exchange: RunningExchange) -> None:
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "interval": "1m", "startTime": 1_749_945_600_000, "limit": 60}
    before = client.get("/api/v3/klines", params=asked).json()
    exchange.set_halts(["BTCUSDT=2025-06-15T00:10/2025-06-15T00:20"])
    assert [row[0] for row in before[10:20]] == [1_749_946_200_000 + index * 60_000 for index in range(10)]
    halted = client.get("/api/v3/klines", params=asked).json()
    assert halted[:50] == before[:10] + before[20:]
    exchange.set_halts([])
    assert client.get("/api/v3/klines", params=asked).json() == before


@pytest.mark.parametrize(
    ("halt", "reason"),
    [
        ("BTCUSDT", "expected SYMBOL=FROM/TO"),
        ("BTCUSDT=x/y", "is not an ISO date"),
        ("NOPE=2024-01-01/2024-01-02", "not listed"),
        ("BTCUSDT=2024-01-02/2024-01-01", "ends before it starts"),
    ],
)
def test_a_halt_that_cannot_be_says_why(exchange: RunningExchange, halt: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        exchange.set_halts([halt])


def test_unknown_control_paths_are_404(client: httpx.Client) -> None:
    assert client.get("/simulator/reset").status_code == 404
    assert client.post("/simulator/nothing").status_code == 404


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01T00:00Z", "2024-01-01T03:00+03:00"])
def test_instants_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert parse_instant(text) == 1_704_067_200_000


def test_halts_are_written_as_symbol_and_period() -> None:
    halt = Halt("币安人生USDT", 1_704_067_200_000, 1_704_153_600_000)
    assert parse_halt("币安人生USDT=2024-01-01/2024-01-02") == halt

from typing import Any

import httpx
import pytest

from simulated_exchange.config import parse_halt, parse_instant
from simulated_exchange.market.generated import Halt


def test_faults_are_replaced_and_deleted(client: httpx.Client) -> None:
    assert client.post("/simulator/faults", json=[{"kind": "http_500"}]).json() == {}
    assert client.get("/api/v3/ping").status_code == 500
    client.post("/simulator/faults", json=["http_503_busy"])
    assert client.get("/api/v3/ping").status_code == 503
    client.delete("/simulator/faults")
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


def test_the_tally_tells_of_faults_of_both_sides(client: httpx.Client) -> None:
    client.post("/simulator/faults", json=["http_500:1"])
    assert client.get("/api/v3/ping").status_code == 500
    answer = client.get("/simulator/tally")
    assert (answer.status_code, answer.json()["faults"]) == (200, {"http_500": 1})


def test_reset_forgets_tally_and_weight(client: httpx.Client) -> None:
    client.get("/api/v3/exchangeInfo")
    client.post("/simulator/reset")
    assert client.get("/simulator/tally").json()["requests_total"] == 0
    assert client.get("/api/v3/ping").headers["X-MBX-USED-WEIGHT"] == "1"


def test_halts_take_rows_away_and_give_them_back(client: httpx.Client) -> None:
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "interval": "1m", "startTime": 1_749_945_600_000, "limit": 60}
    before = client.get("/api/v3/klines", params=asked).json()
    client.post("/simulator/halts", json=["BTCUSDT=2025-06-15T00:10/2025-06-15T00:20"])
    assert [row[0] for row in before[10:20]] == [1_749_946_200_000 + index * 60_000 for index in range(10)]
    halted = client.get("/api/v3/klines", params=asked).json()
    assert halted[:50] == before[:10] + before[20:]
    client.post("/simulator/halts", json=[])
    assert client.get("/api/v3/klines", params=asked).json() == before


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("faults", b"{", "unexpected end"),
        ("faults", b"{}", "expected a JSON list"),
        ("faults", b'["http_700"]', "unknown fault 'http_700'"),
        ("halts", b'["BTCUSDT"]', "expected SYMBOL=FROM/TO"),
        ("halts", b'["BTCUSDT=x/y"]', "is not an ISO date"),
        ("halts", b'["NOPE=2024-01-01/2024-01-02"]', "not listed"),
        ("halts", b'["BTCUSDT=2024-01-02/2024-01-01"]', "ends before it starts"),
        ("halts", b"[7]", "a halt is an object"),
    ],
)
def test_bad_control_requests_say_why(client: httpx.Client, path: str, body: bytes, reason: str) -> None:
    answer = client.post(f"/simulator/{path}", content=body)
    assert answer.status_code == 400
    assert reason in answer.json()["msg"]


def test_unknown_control_paths_are_404(client: httpx.Client) -> None:
    assert client.get("/simulator/faults").status_code == 404
    assert client.post("/simulator/nothing").status_code == 404


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01T00:00Z", "2024-01-01T03:00+03:00"])
def test_instants_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert parse_instant(text) == 1_704_067_200_000


def test_halts_are_written_as_symbol_and_period() -> None:
    halt = Halt("币安人生USDT", 1_704_067_200_000, 1_704_153_600_000)
    assert parse_halt("币安人生USDT=2024-01-01/2024-01-02") == halt

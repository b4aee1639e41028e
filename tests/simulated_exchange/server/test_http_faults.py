import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import Fault, FaultKind, FaultPlan, parse_fault

KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http_500", Fault(FaultKind.HTTP_500)),
        ("http_500:3", Fault(FaultKind.HTTP_500, 3)),
        ("http_429:*:0.25", Fault(FaultKind.HTTP_429, None, 0.25)),
        ("http_418:1:1:5", Fault(FaultKind.HTTP_418, 1, 1.0, 5)),
        ("latency@/api/v3/klines:2::40", Fault(FaultKind.LATENCY, 2, 1.0, 40, "/api/v3/klines")),
    ],
)
def test_faults_are_written_as_kind_path_count_probability_value(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "http_501", "http_500:x", "http_500:1:2", "http_500:1:1:1:1", "http_500:-1"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        parse_fault(text)


def test_a_plan_hits_after_some_requests_as_often_as_it_should() -> None:
    fault = Fault(FaultKind.HTTP_500, count=2, after=1, path="/api/v3/klines")
    plan = FaultPlan([fault], seed=1)
    paths = ["/api/v3/klines", "/api/v3/time", "/api/v3/klines", "/api/v3/klines", "/api/v3/klines"]
    assert [plan.draw(path) is not None for path in paths] == [False, False, True, True, False]


def test_chance_is_seeded() -> None:
    faults = [Fault(FaultKind.HTTP_500, None, 0.5)]
    one, other = FaultPlan(faults, seed=3), FaultPlan(faults, seed=3)
    draws = [one.draw("/api/v3/time") for _ in range(100)]
    assert draws == [other.draw("/api/v3/time") for _ in range(100)]
    assert 30 < sum(draw is not None for draw in draws) < 70


@pytest.mark.parametrize(
    ("kind", "status", "code"), [("http_500", 500, -1000), ("http_503_busy", 503, -1008), ("http_429", 429, -1003)]
)
def test_an_http_error_is_answered_once_and_then_all_is_well(
    exchange: RunningExchange, client: httpx.Client, kind: str, status: int, code: int
) -> None:
    exchange.set_faults([f"{kind}:1"])
    answer = client.get(KLINES)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"
    assert answer.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert client.get(KLINES).status_code == 200
    tally = exchange.tally()
    assert tally["faults"] == {kind: 1}
    assert tally["refused"]["429"] == {"limiter": 0, "injected": int(status == 429)}


def test_a_403_is_html(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_faults(["http_403:1"])
    answer = client.get(KLINES)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<html>")


def test_a_scripted_ban_lasts_as_long_as_it_says(exchange: RunningExchange, client: httpx.Client, clock: StandingClock) -> None:
    exchange.set_faults(["http_418:1:1:30"])
    answer = client.get(KLINES)
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "30")
    assert f"IP banned until {clock.now + 30_000}." in answer.json()["msg"]
    clock.now += 29_999
    assert client.get("/api/v3/ping").status_code == 418
    clock.now += 1
    assert client.get(KLINES).status_code == 200
    assert exchange.tally()["refused"]["418"] == {"limiter": 0, "injected": 2}


def test_a_truncated_body_is_a_whole_answer_with_half_the_json(exchange: RunningExchange, client: httpx.Client) -> None:
    whole = client.get(KLINES).content
    exchange.set_faults(["truncated_body:1"])
    answer = client.get(KLINES)
    assert answer.status_code == 200
    assert answer.content == whole[: len(whole) // 2]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with pytest.raises(ValueError, match=r"Expecting|delimiter|Unterminated"):
        answer.json()


def test_a_dropped_body_ends_in_the_middle(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_faults(["dropped_body:1"])
    pieces: list[bytes] = []
    with client.stream("GET", KLINES) as answer:
        promised = int(answer.headers["Content-Length"])
        with pytest.raises(httpx.TransportError):
            pieces.extend(answer.iter_raw())
    assert 0 < sum(map(len, pieces)) < promised
    assert len(client.get(KLINES).content) == promised
    assert exchange.tally()["requests"]["/api/v3/klines"] == {"0": 1, "200": 1}


def test_a_dropped_connection_gives_no_answer(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_faults(["dropped_connection:1"])
    with pytest.raises(httpx.TransportError):
        client.get(KLINES)
    assert client.get(KLINES).status_code == 200


def test_latency_holds_answers_back(exchange: RunningExchange, client: httpx.Client) -> None:
    client.get("/api/v3/ping")
    exchange.set_faults(["latency:1:1:60"])
    assert client.get("/api/v3/ping").elapsed.total_seconds() >= 0.06


def test_faults_of_the_api_leave_the_archive_alone_unless_told(exchange: RunningExchange, client: httpx.Client) -> None:
    path = "/data/spot/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-12.zip"
    exchange.set_faults(["http_500"])
    assert client.get(path).status_code == 200
    exchange.set_faults(["http_500@/data/:1", "dropped_body@/data/:1"])
    assert client.get(path).status_code == 500
    with pytest.raises(httpx.TransportError):
        client.get(path)
    assert client.get(path).status_code == 200

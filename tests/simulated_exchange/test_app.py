import asyncio
import socket

import httpx
import pytest

from simulated_exchange.app import SimulatedExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt
from simulated_exchange.server.clock import OffsetClock


@pytest.mark.asyncio
async def test_it_runs_inside_an_event_loop() -> None:
    async with SimulatedExchange(ExchangeConfig()) as exchange, httpx.AsyncClient(trust_env=False) as client:
        answers = await asyncio.gather(*(client.get(f"{exchange.url}/api/v3/ping") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert exchange.tally()["requests_total"] == 20
        url = exchange.url
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/api/v3/ping")


def test_two_exchanges_with_one_seed_agree() -> None:
    config = ExchangeConfig(seed=5, now=1_750_000_000_000)
    path = "/api/v3/klines?symbol=ETHUSDT&interval=1h&endTime=1749900000000"
    with running_exchange(config) as one, running_exchange(config) as other:
        answers = [httpx.get(exchange.url + path, trust_env=False).content for exchange in (one, other)]
    assert answers[0] == answers[1]


def test_it_listens_on_loopback_only() -> None:
    with running_exchange(ExchangeConfig()) as exchange:
        assert exchange.url.startswith("http://127.0.0.1:")


def test_a_taken_port_is_an_error_in_the_callers_thread() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = ExchangeConfig(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"), running_exchange(config):
            pass


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"symbols": 0}, "symbols must be between 1 and"),
        ({"port": 70_000}, "port must be between"),
        ({"weight_limit": 0}, "the weight limit must be at least 1"),
        ({"latency_ms": -1}, "cannot be negative"),
    ],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ExchangeConfig(**wrong)  # type: ignore[arg-type]


def test_a_halt_of_an_unlisted_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="not listed"), running_exchange(ExchangeConfig(halts=(Halt("NOPE", 0, 1),))):
        pass


def test_jitter_and_latency_delay_every_answer() -> None:
    config = ExchangeConfig(latency_ms=20, latency_jitter_ms=10)
    with running_exchange(config) as exchange, httpx.Client(base_url=exchange.url, trust_env=False) as client:
        assert all(client.get("/api/v3/ping").elapsed.total_seconds() >= 0.02 for _ in range(3))


def test_the_clock_runs_from_where_it_was_set() -> None:
    clock = OffsetClock(1_700_000_000_000)
    first = clock.now_us()
    assert 1_700_000_000_000_000 <= first <= clock.now_us() < 1_700_000_060_000_000

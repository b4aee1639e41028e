"""/readyz of real processes: ready when they can work, and not a moment longer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from conftest import free_port
from tests.commands import ChildProcess
from tests.waiting import patience

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

if TYPE_CHECKING:
    from conftest import Lake


SOURCES = str(Path(__file__).resolve().parents[3] / "src")


def migrate(path: Path) -> None:
    """In a process of its own: only one may hold the engine's folder."""
    variables = {**os.environ, "PYTHONPATH": SOURCES, "CLICKHOUSE_PATH": str(path)}
    subprocess.run(
        [sys.executable, "-m", "transform_process.migrate"], env=variables, check=True, timeout=120, capture_output=True
    )


@contextmanager
def running(*command: str, **environment: str) -> Iterator[str]:
    """A process of its own with its figures at a port; ended by SIGTERM, and clean."""
    port = free_port()
    variables = {**os.environ, "METRICS_PORT": str(port), **environment}
    process = ChildProcess([sys.executable, "-m", *command], env=variables, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(patience(60)) == 0


def wait_for(url: str, code: int, words: str = "", seconds: float = 30) -> str:
    deadline = time.monotonic() + patience(seconds)
    said = ""
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(url, timeout=10)
            said = f"{answer.status_code} {answer.text}"
            if answer.status_code == code and words in answer.text:
                return answer.text
        except httpx.TransportError as error:
            said = str(error)
        time.sleep(0.1)
    raise AssertionError(f"{url} never said {code} {words}: {said}")


def test_a_capture_is_ready_while_venue_and_lake_are_there(moto_lake: "Lake") -> None:
    config = ExchangeConfig(port=free_port())
    with ExitStack() as stack:
        exchange = stack.enter_context(running_exchange(config))
        venue = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url, **moto_lake.environment}
        with running(
            "extract_process.stream", "--symbol", "BTCUSDT", "--stop-seconds", "1", "--batch-seconds", "60", **venue
        ) as url:
            assert wait_for(f"{url}/readyz", 200) == "ok\n"
            figures = wait_for(f"{url}/metrics", 200, 'tickhouse_stream_connections{instance="main",venue="binance"} 1.0')
            assert 'tickhouse_ready{process="stream"} 1.0' in figures
            assert 'tickhouse_stream_batch_seconds{instance="main",venue="binance"} 60.0' in figures
            stack.close()
            assert "0 of 1 connections to binance are open" in wait_for(f"{url}/readyz", 503)
            assert wait_for(f"{url}/healthz", 200) == "ok\n"
            with running_exchange(config):
                wait_for(f"{url}/readyz", 200)


def test_a_loader_is_ready_while_queues_and_warehouse_are_there(moto_lake: "Lake", tmp_path: Path) -> None:
    engine = {"CLICKHOUSE_PATH": str(tmp_path / "engine")}
    migrate(tmp_path / "engine")
    with running("load_process", **engine, **moto_lake.environment) as url:
        assert wait_for(f"{url}/readyz", 200) == "ok\n"
        figures = wait_for(f"{url}/metrics", 200)
        assert 'tickhouse_loader_waiting{queue="trades-notifications"} 0.0' in figures


def test_a_transformer_tells_its_passes(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    migrate(path)
    with running("transform_process", "--every-seconds", "0.2", CLICKHOUSE_PATH=str(path)) as url:
        wait_for(f"{url}/metrics", 200, "tickhouse_transformer_passes_total 2.0")
        assert wait_for(f"{url}/readyz", 200) == "ok\n"


def test_the_simulated_exchange_tells_what_it_was_asked() -> None:
    port = free_port()
    with running("simulated_exchange", "--port", str(port)) as url:
        wait_for(f"http://127.0.0.1:{port}/api/v3/time", 200)
        assert "tickhouse_exchange_requests_total 1.0" in wait_for(f"{url}/metrics", 200)

"""The page as a process of its own, in front of ClickHouse over HTTP; skipped where the server's stand-in is not beside us."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from conftest import SHARED, _wait_until_healthy, free_port
from tests.commands import ChildProcess

if TYPE_CHECKING:
    from conftest import Lake

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
STAND_IN = SHARED / "offline" / "images" / "clickhouse" / "chdb_http.py"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """ClickHouse's HTTP interface over the embedded engine; the environment that points at it."""
    if not STAND_IN.exists():
        pytest.skip(f"no ClickHouse server: {STAND_IN} is not there")
    port = free_port()
    command = [sys.executable, STAND_IN, "--host", "127.0.0.1", "--port", str(port), "--data", tmp_path / "server"]
    process = ChildProcess([*map(str, command), "--init", str(tmp_path / "none")], stderr=subprocess.DEVNULL, text=True)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/ping", process, 60)
        yield {"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_PORT": str(port)}
    finally:
        process.terminate()
        process.wait(30)


def test_the_page_reads_a_server_and_other_processes(moto_lake: "Lake", server: dict[str, str]) -> None:
    metrics, port = free_port(), free_port()
    environment = {**os.environ, **moto_lake.environment, **server, "PYTHONPATH": SOURCES}
    subprocess.run(
        [sys.executable, "-m", "transform_process.migrate"], env=environment, check=True, timeout=120, capture_output=True
    )
    loading = {**environment, "METRICS_PORT": str(metrics)}
    watching = {
        **environment,
        "STATUS_PORT": str(port),
        "STATUS_TARGETS": f"loader=http://127.0.0.1:{metrics} stream=http://127.0.0.1:9",
    }
    with (
        ChildProcess([sys.executable, "-m", "load_process"], env=loading, text=True) as loader,
        ChildProcess([sys.executable, "-m", "status_page"], env=watching, stdout=subprocess.PIPE, text=True) as page,
    ):
        try:
            assert page.stdout is not None
            assert page.stdout.readline() == f"status page on http://localhost:{port}\n"
            _wait_until_healthy(f"http://127.0.0.1:{metrics}/readyz", loader, 60)
            state = httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=30).json()
            while not any(one["name"] == "loader" and not one["trouble"] for one in state["processes"]):
                state = httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=30).json()
            assert state["trouble"] == {}
            stages = {stage["name"]: stage["verdict"] for stage in state["stages"]}
            assert stages["venue"] == "down"  # the stream that is named does not answer
            asked = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1h"}
            assert httpx.get(f"http://127.0.0.1:{port}/api/klines", params=asked, timeout=30).json()["klines"] == []
            assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).text == "ok\n"
            assert asked_sql(port, "select toDecimal128('1.10', 18) as price").json()["rows"] == [["1.1"]]
            assert not asked_sql(port, "select repeat('x', 100000) from numbers(1000)").json()["is_whole"]
            refused = asked_sql(port, "insert into bronze_trades (venue) values ('x')")
            assert (refused.status_code, "readonly" in refused.text) == (400, True)
        finally:
            for process in (page, loader):
                process.terminate()
            assert [process.wait(30) for process in (page, loader)] == [0, 0]


def asked_sql(port: int, sql: str) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/api/sql", content=sql, headers={"Content-Type": "application/sql"}, timeout=60)

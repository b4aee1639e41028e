"""SQL while `tickhouse local` records: others read through the process that holds the folder, and open it once that is gone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from conftest import free_port
from tests.commands import ChildProcess
from tests.waiting import patience, wait_until

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
TICKHOUSE = [sys.executable, "-m", "tickhouse.cli"]
ENDLESS = "select sum(sipHash64(number)) from numbers(1000000000000)"


@pytest.fixture(scope="module")
def exchange_urls() -> Iterator[dict[str, str]]:
    with running_exchange(ExchangeConfig()) as exchange:
        of_http = dict.fromkeys(("BINANCE_REST_URL", "BINANCE_USDM_REST_URL", "BINANCE_ARCHIVE_URL"), exchange.url)
        yield {**of_http, "BINANCE_WS_URL": exchange.ws_url}


@pytest.fixture
def environment(exchange_urls: dict[str, str]) -> dict[str, str]:
    ports = {"STATUS_PORT": str(free_port()), "SQL_PORT": str(free_port())}
    return {**os.environ, **exchange_urls, **ports, "PYTHONPATH": SOURCES}


@contextmanager
def recording(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """`tickhouse local`, from when its SQL has trades on."""
    command = [*TICKHOUSE, "local", "--symbol", "BTCUSDT"]
    url, sql = f"http://127.0.0.1:{environment['SQL_PORT']}/", "select count() from trades"
    with ChildProcess(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: process.poll() is not None or _number(url, sql) > 0, "trades", seconds=90)
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            process.kill()


def _number(url: str, sql: str) -> int:
    """The one number of an answer; 0 where there is none."""
    try:
        answer = httpx.get(url, params={"query": sql}, timeout=20)
    except httpx.TransportError:
        return 0
    return int(answer.text) if answer.is_success else 0


def run(environment: dict[str, str], *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*TICKHOUSE, *arguments], env=environment, capture_output=True, text=True, timeout=patience(120), check=False
    )
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done


def test_sql_while_local_records_and_after_a_kill(environment: dict[str, str]) -> None:
    asked = {**environment, "TICKHOUSE_DATA": "data"}
    url = f"http://127.0.0.1:{environment['SQL_PORT']}"
    sql = "select count() as n, uniqExact(trade_id) as ids from trades"
    with recording(environment) as process:
        client = clickhouse_connect.get_client(host="127.0.0.1", port=int(environment["SQL_PORT"]))
        ((rows, ids),) = client.query(sql).result_rows
        assert rows == ids > 0
        assert client.query_arrow("select trade_id, toFloat64(price) as price from trades").num_rows >= rows
        with pytest.raises(ClickHouseError, match="READONLY"):
            client.command("drop table silver_trades")
        if curl := shutil.which("curl"):
            said = subprocess.run([curl, "-sS", url, "-d", f"{sql} format JSONEachRow"], capture_output=True, check=True).stdout
            assert int(json.loads(said)["n"]) >= rows

        with ThreadPoolExecutor(3) as pool:  # each is a process of its own, all at once
            query = pool.submit(run, {**asked, "HTTP_PROXY": "http://127.0.0.1:9"}, "query", "--json", sql)
            audit = pool.submit(run, asked, "audit")
            doctor = pool.submit(run, asked, "doctor", "--check", "ClickHouse")
            assert json.loads(query.result().stdout)["n"] >= rows
            assert "bronze" in audit.result().stdout
            assert "schema up to date" in doctor.result().stdout
        refused = run(asked, "transform", "--once", code=2)
        held = f"data/warehouse is held by `tickhouse local --symbol BTCUSDT` (process {process.pid}): end it first"
        assert held in refused.stderr.replace("cli local", "tickhouse local"), refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        unwritten = run(asked, "query", "drop table silver_trades", code=1).stderr
        assert (len(unwritten.splitlines()), unwritten.count("164"), unwritten.count("READONLY")) == (1, 1, 1)
        assert unwritten.endswith(f"(process {process.pid}) first, then add --write\n")

        run(asked, "klines", "--symbol", "ETHUSDT", "--start", "2024-01-01", "--end", "2024-01-02")
        assert client.query("select count() from klines where symbol = 'ETHUSDT'").result_rows == [(1440,)]
        run(asked, "funding", "--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-01-02")
        assert client.query("select count() from funding_rates").result_rows == [(3,)]
        process.kill()
        process.wait()
    with socket.create_server(("127.0.0.1", int(environment["SQL_PORT"]))):  # somebody else has the port that the folder names
        found = json.loads(run(asked, "query", "--json", sql).stdout)
    assert found["n"] == found["ids"] >= rows


def test_a_holder_ends_in_time_although_queries_run_and_wait(environment: dict[str, str]) -> None:
    asked = {**environment, "TICKHOUSE_DATA": "data"}
    url = f"http://127.0.0.1:{environment['SQL_PORT']}/"
    run(asked, "migrate")
    with ChildProcess([*TICKHOUSE, "load"], env=asked, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: _number(url, "select 1") == 1, "SQL")
            with ThreadPoolExecutor(9) as pool:
                queries = [pool.submit(lambda: httpx.post(url, content=ENDLESS, timeout=patience(60))) for _ in range(2)]
                running = "select count() from system.processes where startsWith(query, 'select sum(sip')"
                wait_until(lambda: _number(url, running) == 2, "the queries to run")
                queries += [pool.submit(lambda: httpx.post(url, content=ENDLESS, timeout=patience(60))) for _ in range(7)]
                wait_until(lambda: _is_busy(url), "the others to wait")
                process.send_signal(signal.SIGTERM)
                assert process.wait(patience(10)) == 0, process.communicate()
                answers = [query.result() for query in queries if query.exception() is None]
                assert {answer.headers["X-ClickHouse-Exception-Code"] for answer in answers} <= {"394", "236"}
                assert "ASGI" not in process.communicate()[1]
        finally:
            process.kill()


def _is_busy(url: str) -> bool:
    """Whether a statement has to wait for its turn."""
    try:
        return not httpx.get(url, params={"query": "select 1"}, timeout=1)
    except httpx.ReadTimeout:
        return True

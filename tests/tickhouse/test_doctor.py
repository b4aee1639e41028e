"""The doctor on a healthy installation, and with one fault after the other: each is named with the right fix."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, free_port
from tests.commands import run_here
from tests.waiting import patience

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from status_page.server import running_page
from tickhouse.doctor import checks_of
from tickhouse.doctor.findings import Finding, run_check
from tickhouse.doctor.machine import check_markets, check_python
from tickhouse.doctor.services import check_s3, check_sqs
from tickhouse.embedded import data_folder
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.timestamps import now_us
from tickhouse_core.warehouse import connect

if TYPE_CHECKING:
    from conftest import Lake

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def exchange_url() -> Iterator[str]:
    with running_exchange(ExchangeConfig()) as exchange:
        yield exchange.url


@pytest.fixture
def healthy(
    exchange_url: str, moto_lake: "Lake", warehouse_settings: WarehouseSettings, tmp_path: Path, monkeypatch: Patch
) -> "Lake":
    (tmp_path / "resources").mkdir()
    shutil.copy(ROOT / "resources" / "markets.yaml", tmp_path / "resources")
    monkeypatch.setenv("BINANCE_REST_URL", exchange_url)
    monkeypatch.setenv("BINANCE_WS_URL", exchange_url.replace("http", "ws", 1))
    monkeypatch.setenv("STATUS_PORT", str(free_port()))
    return moto_lake


def found(name: str) -> list[Finding]:
    return run_check(name, dict(checks_of("binance"))[name])


def bucket(lake: "Lake") -> str:
    return lake.environment["S3_BUCKET"]


def wrong_setting(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("CLICKHOUSE_PORT", "many")


def spool_is_a_file(_lake: "Lake", patch: Patch) -> None:
    Path("spool-file").write_text("")
    patch.setenv("SPOOL_DIR", "spool-file/spool")


def port_taken(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("STATUS_PORT", str(urlsplit(os.environ["BINANCE_REST_URL"]).port))  # the exchange listens there


def markets_broken(_lake: "Lake", _patch: Patch) -> None:
    Path("resources/markets.yaml").write_text("binance: {majors: {enabled: yes}}")


def s3_away(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def no_credentials(_lake: "Lake", patch: Patch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("HOME", "/nowhere")


def no_bucket(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("S3_BUCKET", "nowhere")


def no_queue(_lake: "Lake", _patch: Patch) -> None:
    queues = sqs_client()
    queues.delete_queue(QueueUrl=queues.get_queue_url(QueueName="trades-notifications")["QueueUrl"])


def dead_letter(_lake: "Lake", _patch: Patch) -> None:
    queues = sqs_client()
    queues.send_message(QueueUrl=queues.get_queue_url(QueueName="trades-notifications-dlq")["QueueUrl"], MessageBody="x")


def no_notifications(lake: "Lake", _patch: Patch) -> None:
    s3_client().put_bucket_notification_configuration(Bucket=bucket(lake), NotificationConfiguration={})


def server_away(_lake: "Lake", patch: Patch) -> None:
    patch.delenv("CLICKHOUSE_PATH")
    patch.setenv("CLICKHOUSE_PORT", "9")


def no_schema(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("CLICKHOUSE_DATABASE", "another")


def pubsub_away(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")


def exchange_away(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("BINANCE_REST_URL", "http://127.0.0.1:9")


def websocket_away(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("BINANCE_WS_URL", "ws://127.0.0.1:9")


def banned(_lake: "Lake", patch: Patch) -> None:
    patch.setenv("SPOOL_DIR", "spool")
    Path("spool").mkdir(exist_ok=True)  # doctor made it: the request weight is shared there
    patch.setenv("BINANCE_REST_URL", "http://127.0.0.1:9")
    body = {"until_us": now_us() + 60_000_000, "why": "418"}
    Path("spool/binance-127.0.0.1%3A9-ban.json").write_text(json.dumps(body))


FAULTS: list[tuple[Callable[["Lake", Patch], None], str, str, str]] = [
    (wrong_setting, "settings", "CLICKHOUSE_PORT", "correct it in the environment or in .env"),
    (spool_is_a_file, "disk", "cannot be written", "make the folder writable for this user, or set SPOOL_DIR"),
    (port_taken, "ports", "is taken by another program", "set STATUS_PORT to a free port"),
    (markets_broken, "markets", "majors", "correct resources/markets.yaml"),
    (s3_away, "S3", "http://127.0.0.1:9", "start S3 and SQS (make up), or correct AWS_ENDPOINT_URL"),
    (no_credentials, "S3", "credentials", "set AWS_ACCESS_KEY_ID"),
    (no_bucket, "S3", "NoSuchBucket", "tickhouse provision --aws"),
    (no_queue, "SQS", "trades-notifications", "tickhouse provision --aws"),
    (dead_letter, "SQS", "1 dead letters in trades-notifications-dlq", "tickhouse redrive --dlq trades-notifications-dlq"),
    (no_notifications, "notifications", "the bucket sends no notification for klines", "tickhouse provision --aws, then"),
    (server_away, "ClickHouse", "no server answers at localhost:9 (", "start one (make up) or correct CLICKHOUSE_HOST"),
    (no_schema, "ClickHouse", "has no schema", "tickhouse migrate"),
    (pubsub_away, "Pub/Sub", "topic crypto.binance", "start the emulator"),
    (exchange_away, "exchange", "binance does not answer over REST", "correct BINANCE_REST_URL"),
    (websocket_away, "websocket", "takes no websocket", "correct BINANCE_WS_URL"),
    (banned, "exchange", "shut out until", "wait until then"),
]


@pytest.mark.parametrize(("inject", "check", "what", "fix"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_each_fault_is_named_with_its_fix(
    healthy: "Lake", monkeypatch: Patch, inject: Callable[["Lake", Patch], None], check: str, what: str, fix: str
) -> None:
    before = found(check)
    assert [finding for finding in before if finding.verdict in ("bad", "warning")] == []
    inject(healthy, monkeypatch)
    failed = [finding for finding in found(check) if finding.verdict in ("bad", "warning")]
    assert len(failed) == 1, failed
    assert what in failed[0].what
    assert fix in failed[0].fix
    assert "\n" not in failed[0].fix


def test_a_wrong_clock_is_measured(healthy: "Lake", monkeypatch: Patch) -> None:
    [good] = found("clock")
    assert good.verdict == "ok"
    with running_exchange(ExchangeConfig(now=now_us() // 1_000 + 90_000)) as future:
        monkeypatch.setenv("BINANCE_REST_URL", future.url)
        [failed] = found("clock")
    assert (failed.verdict, "behind the exchange's" in failed.what) == ("bad", True)
    assert failed.fix.startswith("let the machine keep time: timedatectl")


def test_a_page_of_another_folder_is_not_taken_for_the_own_one(healthy: "Lake", monkeypatch: Patch, tmp_path: Path) -> None:
    with running_page(StatusSettings(port=0)) as url:
        monkeypatch.setenv("STATUS_PORT", str(urlsplit(url).port))
        [own] = found("ports")
        with data_folder(tmp_path / "mine"):
            [other] = found("ports")
    assert (own.verdict, own.what.split(" on ")[0]) == ("ok", "the status page runs")
    assert (other.verdict, other.what.split(" is ")[1]) == ("bad", "taken by the status page of S3 and a server")
    with data_folder(tmp_path / "theirs"), running_page(StatusSettings(port=0)) as url:
        monkeypatch.setenv("STATUS_PORT", str(urlsplit(url).port))
        assert [one.verdict for one in found("ports")] == ["ok"]
        with data_folder(tmp_path / "mine"):
            [other] = found("ports")
    assert other.what.endswith(f"is taken by the status page of the data folder {tmp_path / 'theirs'}")
    assert other.fix.startswith("set STATUS_PORT to a free port")


def test_where_the_markets_come_from_is_told(tmp_path: Path, monkeypatch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    def told(markets: str) -> str:
        Path("resources/markets.yaml").write_text(markets, encoding="utf-8")
        [finding] = run_check("markets", check_markets)
        assert finding.verdict == "ok"
        return finding.what

    monkeypatch.chdir(tmp_path)
    Path("resources").mkdir()
    ours, others = (
        f"{venue}: {{all: {{enabled: true, streams: [trades], symbols: [XRPUSDT]}}}}" for venue in ("binance", "kucoin")
    )
    assert told(ours) == "1 symbols of binance are enabled by resources/markets.yaml"
    assert told(others) == (
        "resources/markets.yaml does not name binance: without --symbol its usual symbols are recorded, BTCUSDT, ETHUSDT"
    )
    assert not caplog.messages
    monkeypatch.setenv("ACTIVE_SYMBOLS", "BNBUSDT XRPUSDT SOLUSDT")
    assert told(others) == "3 symbols of binance are enabled by ACTIVE_SYMBOLS"


def test_an_old_python_is_told() -> None:
    [failed] = run_check("python", lambda: check_python((3, 10, 4)))
    assert (failed.verdict, failed.fix) == ("bad", "install Python 3.11 or newer, then: make setup PYTHON=/path/to/python3.11")


@pytest.mark.slow
def test_an_engine_in_use_is_told_and_the_command_ends_with_one(healthy: "Lake") -> None:
    """This process holds the engine's folder, so the doctor's cannot."""
    with closing(connect(read(WarehouseSettings))):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-m", "tickhouse.cli", "doctor", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.stdout, done.stderr
    findings = {row["check"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1, done.stderr
    assert findings["ClickHouse"]["fix"].startswith("one process at a time may hold the folder")
    assert {name for name, row in findings.items() if row["verdict"] == "bad"} == {"ClickHouse"}


@pytest.mark.slow
@pytest.mark.parametrize("look", [check_s3, check_sqs])
def test_services_that_accept_and_say_nothing_are_looked_at_once_and_briefly(
    look: Callable[[], Iterable[Finding]], moto_lake: "Lake", monkeypatch: Patch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        (finding,) = run_check("S3", look)
    assert (finding.verdict, "Read timeout" in finding.what) == ("bad", True)
    assert time.monotonic() - began < patience(15)  # five tries of thirty seconds, for a process that has work to do


def test_a_fault_of_several_checks_is_said_once(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "TICKHOUSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    exchange_away(None, monkeypatch)  # type: ignore[arg-type]  # it needs no lake
    chosen = [word for name in ("S3", "notifications", "exchange", "clock", "websocket") for word in ("--check", name)]
    said = run_here("tickhouse.cli", "doctor", *chosen)
    assert (said.returncode, said.stderr) == (1, "")
    assert [said.stdout.count(words) for words in ("AWS_ACCESS_KEY_ID", "does not answer over REST", "see exchange")] == [1, 1, 2]
    assert "fix: as for S3" in said.stdout

"""What unit and integration tests share: real components on loopback, each test with a lake of its own and an empty warehouse."""

import copy
import copyreg
import itertools
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from moto.sqs.models import sqs_backends
from tests.threads import still_running
from tests.waiting import patience

from tickhouse.provision import provision_aws
from tickhouse_core.backoff import instant_retries
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate

ROOT = Path(__file__).resolve().parent
SHARED = ROOT.parent / "shared"
"""Recorded data and offline components: beside the checkout where they are present, never part of the project."""

hypothesis.settings.register_profile("ours", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("ours")

_OURS = (
    "AWS_",
    "CLICKHOUSE_",
    "ACTIVE_SYMBOLS",
    "BINANCE_",
    "KUCOIN_",
    "S3_",
    "LAKE_",
    "LOADER_",
    "LOG_",
    "RETENTION_",
    "GOOGLE_",
    "PUBSUB_",
    "METRICS_",
    "STATUS_",
    "SQL_",
)
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No variable of the developer's shell or .env reaches a test; the working directory is the test's own."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("SQL_PORT", "0")  # several tests at once
    monkeypatch.chdir(tmp_path)
    with instant_retries():
        yield


@pytest.fixture(autouse=True)
def _log_handlers_end_with_the_test() -> Iterator[None]:
    """A command under test sends the logs to a stderr that is closed after it: the next test must not write there."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    """An uploader that went on took Hypothesis's random numbers of the test after it."""
    before = set(threading.enumerate())
    yield
    left = still_running(before)
    assert not left, f"this test left threads running: {', '.join(left)}"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """An in-process S3 + SQS."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def localstack_url() -> Iterator[str]:
    """The real LocalStack, started without Docker; skipped where the offline components are not beside the checkout."""
    script = SHARED / "offline" / "bin" / "localstack.sh"
    if not script.exists():
        pytest.skip(f"no LocalStack: {script} is not there")
    port = free_port()
    log = tempfile.TemporaryFile()  # noqa: SIM115  # closed below, with the process
    process = subprocess.Popen([script, str(port)], stdout=log, stderr=log, start_new_session=True, env=_shell_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(f"{url}/_localstack/health", process)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        log.close()


@dataclass(frozen=True)
class Lake:
    """A provisioned bucket with its queues; `environment` points a subprocess at it."""

    store: ObjectStore
    environment: dict[str, str] = field(default_factory=dict)


class _Moto:
    """The in-process S3 + SQS with one provisioned lake that is put back a test: to provision it anew are 38 requests."""

    def __init__(self, url: str) -> None:
        self.environment = _lake_environment(url, "testing")
        self._reset = f"{url}/moto-api/reset"
        self._client = httpx.Client(trust_env=False)
        self._client.post(self._reset).raise_for_status()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            provision_aws(self.environment["S3_BUCKET"])
        s3, sqs = self._backends()
        copyreg.pickle(type(threading.RLock()), lambda _: (threading.RLock, ()))  # a bucket's copy gets a lock of its own
        copyreg.pickle(threading.Condition, lambda _: (threading.Condition, ()))  # and a queue's
        self._provisioned = copy.deepcopy((s3.buckets, sqs.queues, s3_backends.bucket_accounts))

    def put_back(self) -> None:
        """Everything as it was after the provisioning, whatever a test left or broke, in whichever service."""
        self._client.post(self._reset).raise_for_status()
        s3, sqs = self._backends()
        s3.buckets, sqs.queues, s3_backends.bucket_accounts = copy.deepcopy(self._provisioned)

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _backends() -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"], sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]


@pytest.fixture(scope="session")
def _moto(moto_url: str) -> Iterator[_Moto]:
    moto = _Moto(moto_url)
    yield moto
    moto.close()


@pytest.fixture
def moto_lake(_moto: _Moto, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A fresh lake in moto."""
    _moto.put_back()
    return _lake(_moto.environment, monkeypatch)


@pytest.fixture
def localstack_lake(localstack_url: str, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A fresh lake in LocalStack: an account of its own (LocalStack takes a 12-digit access key as the account)."""
    lake = _lake(_lake_environment(localstack_url, f"{uuid.uuid4().int % 10**12:012d}"), monkeypatch)
    provision_aws(lake.store.bucket)
    return lake


class PubSubEmulator:
    """Google's emulator, one process at a time at one address. It keeps nothing on disk: a kill loses everything."""

    def __init__(self) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._command = _emulator_command(self._port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=null, stderr=null, start_new_session=True)
        _wait_until_healthy(f"http://{self.address}", self._process)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def _emulator() -> Iterator[PubSubEmulator]:
    emulator = PubSubEmulator()
    emulator.start()
    yield emulator
    emulator.kill()


@pytest.fixture
def pubsub_emulator(_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> PubSubEmulator:
    """The emulator with a project of the test's own, without topics; skipped where the Cloud SDK does not have it."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", _emulator.address)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", f"test-{next(_numbers)}")
    return _emulator


class _Schema:
    """The one database of this process, emptied between tests; a migration would take 2.5 s a test.

    A connection of its own keeps the engine running, whose start takes 0.2 s, until a test may want another folder.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = WarehouseSettings(path=folder, database="tests")
        self._connection: Warehouse | None = None
        migrate(self.settings)
        self._as_migrated = _statements(self.open())

    def open(self) -> Warehouse:
        self._connection = self._connection or connect(self.settings)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def empty(self) -> None:
        """What a test added is dropped, what it altered is made anew, and no table keeps a row."""
        warehouse = self.open()
        found = _statements(warehouse)
        for name in reversed([name for name in found if name not in self._as_migrated]):
            warehouse.command(f"drop table {name}")
        if any(found.get(name) != statement for name, statement in self._as_migrated.items()):
            warehouse.command(f"drop database {self.settings.database}")
            migrate(self.settings)
            return
        for (table,) in warehouse.query(
            "select name from system.tables where database = currentDatabase() and engine like '%MergeTree' "
            "and total_rows > 0 and name != 'ops_schema_migrations'"
        ):
            warehouse.command(f"truncate table {table}")


def _statements(warehouse: Warehouse) -> dict[str, str]:
    """How each table and view was created, by name; views after tables."""
    return dict(
        warehouse.query(
            "select name, create_table_query from system.tables where database = currentDatabase() order by engine like '%View'"
        )  # type: ignore[arg-type]  # rows are sequences of two
    )


_schemas: list[_Schema] = []


@pytest.fixture(scope="session")
def _schema() -> Iterator[_Schema]:
    folder = Path(tempfile.mkdtemp(prefix="tickhouse-chdb-"))
    _schemas.append(_Schema(folder))
    yield _schemas[-1]
    _schemas.pop().close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _engine_is_free(request: pytest.FixtureRequest) -> None:
    """chDB has one folder a process: a test that does not use the shared one may open its own."""
    if "warehouse_settings" not in request.fixturenames:
        for schema in _schemas:
            schema.close()


@pytest.fixture
def warehouse_settings(_schema: _Schema, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarehouseSettings]:
    """A database with the schema and without rows in the embedded engine of this process; the environment points at it."""
    _schema.open()
    monkeypatch.setenv("CLICKHOUSE_PATH", str(_schema.settings.path))
    monkeypatch.setenv("CLICKHOUSE_DATABASE", _schema.settings.database)
    yield _schema.settings
    _schema.empty()


@pytest.fixture
def warehouse(warehouse_settings: WarehouseSettings) -> Iterator[Warehouse]:
    """A connection to the emptied database."""
    connection = connect(warehouse_settings)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded exchange data; skipped where it is not beside the checkout."""
    folder = SHARED / "data"
    if not folder.exists():
        pytest.skip(f"no recorded data: {folder} is not there")
    return folder


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lake_environment(url: str, account: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_BUCKET": f"crypto-{next(_numbers)}",
    }


def _lake(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Lake:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Lake(S3Store(environment["S3_BUCKET"]), dict(environment))


def _emulator_command(port: int) -> list[str]:
    """The Cloud SDK's jar, without the launcher that would outlive a kill."""
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    folder = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib" if gcloud else Path("/nowhere")
    jars = sorted(folder.glob("cloud-pubsub-emulator-*-all.jar"))
    if java is None or not jars:
        pytest.skip("no Pub/Sub emulator: the Cloud SDK's component pubsub-emulator and Java are needed")
    return [java, "-jar", str(jars[-1]), "--host=127.0.0.1", f"--port={port}"]


def _shell_environment() -> dict[str, str]:
    """The machine's own environment: LocalStack brings its own Python and packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _wait_until_healthy(url: str, process: subprocess.Popen[Any], seconds: float = 240) -> None:
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{url}: the process ended with {process.returncode}")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)  # a foreign process tells by nothing but its port that it is ready
    raise RuntimeError(f"{url} did not answer within {seconds} s")


_WHOLE_PROGRAMS = {
    "localstack_lake": "localstack",
    "pubsub_emulator": "emulator",
    "clickhouse_server": "",
    "browser": "",
    "replicas": "replicas",
}
"""Fixtures that bring up a program; those that live as long as the session, and the group of tests that shares one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses a whole program is of the stack, an integration test is slow unless it is of the heart; those come first."""
    for item in items:
        if item.nodeid.startswith("integration_tests/") and item.get_closest_marker("heart") is None:
            item.add_marker(pytest.mark.slow)
        for fixture, group in _WHOLE_PROGRAMS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.stack)
                if group:
                    item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.nodeid.startswith("tests/"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: a compressed file has the second of its making in it, and every worker makes its own."""
    return argname if isinstance(val, bytes) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything must run (CI sets REQUIRE_ALL_TESTS), a skipped test is a failed session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # the controller's: it hears of all workers' tests
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if reporter and skipped and os.environ.get("REQUIRE_ALL_TESTS"):
        reporter.write_line(f"\nerror: {len(skipped)} tests were skipped where every test must run:", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            reporter.write_line(f"  {report.nodeid}: {reason}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

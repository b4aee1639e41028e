"""What a command says where something is not there: one line with what to do, and nothing is created by looking."""

import socket
from pathlib import Path

import pytest
from tests.commands import run_here, run_python

from tickhouse.doctor import checks_of
from tickhouse.doctor.findings import run_check

READERS = [
    ("query", "select 1"),
    ("status",),
    ("audit",),
    ("doctor", "--check", "folder", "--check", "ClickHouse"),
    ("checks",),
    ("transform", "--once"),
    ("load", "--drain"),
    ("clear", "--gold", "--yes"),
]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLICKHOUSE_PATH", "TICKHOUSE_DATA", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    monkeypatch.setenv("STATUS_PORT", str(free))


def everything() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.mark.parametrize("command", READERS, ids=[command[0] for command in READERS])
def test_a_reader_makes_no_folder_and_no_warehouse(command: tuple[str, ...]) -> None:
    missing = run_here("tickhouse.cli", *command, "--data", "nope")
    engine = run_here("tickhouse.cli", *command, environment={"CLICKHOUSE_PATH": "nope"}) if command[0] != "doctor" else missing
    Path("empty").mkdir()
    empty = run_here("tickhouse.cli", *command, "--data", "empty")
    assert everything() == ["empty"]
    if command[0] == "doctor":
        assert (missing.returncode, "nope is not there yet" in missing.stdout) == (0, True)
        assert (empty.returncode, "empty has no data yet" in empty.stdout) == (0, True)
        return
    assert (missing.returncode, engine.returncode != 0, empty.returncode != 0) == (missing.returncode or 2, True, True)
    assert missing.stderr == "error: --data nope: there is no such folder; `tickhouse local` and `tickhouse klines` make one\n"
    if command[0] in ("status", "load"):
        return
    assert "CLICKHOUSE_PATH=nope: there is no warehouse in this folder: `tickhouse migrate` makes one" in engine.stderr
    assert "--data empty has no warehouse yet: `tickhouse klines --data empty --symbol" in empty.stderr
    assert "`tickhouse migrate --data empty` makes an empty one" in empty.stderr


def test_klines_without_a_lake_are_not_asked_for() -> None:
    venue = {"BINANCE_REST_URL": "http://127.0.0.1:9"}
    said = run_here("tickhouse.cli", "klines", "--symbol", "BTCUSDT", "--start", "2024-01-01", environment=venue)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert "Unable to locate credentials. Set AWS_ACCESS_KEY_ID" in line
    assert "--data DIR" in line
    assert everything() == []


def test_history_from_the_future_is_one_line_before_anything_is_built() -> None:
    said = run_here("tickhouse.cli", "local", "--symbol", "BTCUSDT", "--since", "2100-01-01")
    assert said.stderr == "error: --since 2100-01-01T00:00:00Z is in the future: there are no klines yet\n"
    assert (said.returncode, everything()) == (2, [])


def test_a_venue_without_a_channel_is_one_line_before_anything_is_built() -> None:
    both = ("--venue", "binance", "--venue", "binance-usdm", "--channel", "mark_prices")
    said = run_here("tickhouse.cli", "local", "--symbol", "BTCUSDT", *both)
    (line,) = said.stderr.splitlines()
    assert line.startswith("error: --venue binance: it has no mark_prices; leave it out, or choose from trades, ")
    assert (said.returncode, everything()) == (2, [])


def test_one_folder_has_no_cells_which_is_one_line_before_anything_is_built() -> None:
    said = run_here("tickhouse.cli", "local", "--symbol", "BTCUSDT", environment={"TICKHOUSE_CELL": "2/4"})
    assert said.stderr == "error: TICKHOUSE_CELL=2/4: `tickhouse local` has one folder for all its symbols: unset it\n"
    assert (said.returncode, everything()) == (2, [])


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_no_server_is_one_line_with_both_ways_out(host: str) -> None:
    said = run_here("tickhouse.cli", "query", "select 1", environment={"CLICKHOUSE_HOST": host, "CLICKHOUSE_PORT": "9"})
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"error: ClickHouse: no server answers at {host}:9 (")
    assert "start one (make up)" in line
    assert line.endswith("or work in a folder without a server: --data DIR")


def test_the_doctor_of_a_folder_looks_at_the_folder_and_at_no_service() -> None:
    names = [name for name, _ in checks_of("binance", in_folder=True)]
    assert names[:4] == ["python", "settings", "extras", "folder"]
    assert not {"S3", "SQS", "notifications", "markets"} & set(names)
    [extras] = run_check("extras", dict(checks_of("binance", in_folder=True))["extras"])
    assert (extras.verdict, extras.what) == ("ok", "the embedded engine, chdb, is installed")
    Path("file").write_text("mine")
    said = run_here("tickhouse.cli", "doctor", "--data", "file")
    assert (said.returncode, said.stderr) == (2, "error: --data file is a file: name a folder; a new one is created\n")
    Path("half/lake").mkdir(parents=True)
    half = run_here("tickhouse.cli", "doctor", "--data", "half", "--check", "folder")
    assert "half has a lake and no warehouse" in half.stdout
    assert "fix: tickhouse migrate --data half, then: tickhouse reconcile --data half" in half.stdout
    local = run_here("tickhouse.cli", "doctor", "--local", "--check", "folder", "--check", "disk")
    assert (local.returncode, "data is not there yet" in local.stdout) == (0, True)
    assert not Path("data").exists()


@pytest.mark.slow
def test_nothing_in_local_imports_the_s3_of_the_tests() -> None:
    """moto is in the extra for those who ask for S3 inside one process: a folder needs none."""
    program = (
        "import sys; import tickhouse.cli, tickhouse.local, tickhouse.embedded\n"
        "from tickhouse_core.lake import open_lake, open_queue\n"
        "open_lake().write('data_sources/x', b'1'); open_queue('trades-notifications').depth()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('moto', 'flask', 'werkzeug', 'aiohttp')])"
    )
    assert run_python("-c", program, environment={"TICKHOUSE_DATA": "d"}).stdout == "[]\n"

"""No secret reaches output: a marker goes into every setting in every malformed way, and all that is said is searched for it.

The settings come from their classes, so that a new setting is covered by itself.
"""

import json
import logging
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import free_port
from pydantic_settings import BaseSettings
from tests.commands import run_here, run_python

from tickhouse.settings_table import all_models, variables_of
from tickhouse_core import logs
from tickhouse_core.errors import TickhouseError, UsageError, WarehouseUnavailable
from tickhouse_core.redaction import know_secrets_of, redacted
from tickhouse_core.settings import LogSettings, read

MARKER = "hunter2-marker"
NAMES = ["{}", "{}/{}", "{} {}", "1{}"]
"""Where a value of free text may be just so, it is a name that people chose, and no secret."""

ADDRESSES = [
    "http://user:{}@127.0.0.1:1",
    "https://{}@127.0.0.1:1",
    "ws://user:{}@127.0.0.1:1/path",
    "user:{}@127.0.0.1:1",
    "http://user:{}/x@127.0.0.1:1",
    "http://user:{}@@127.0.0.1:1",
    "http://user:{0} {0}@127.0.0.1:1",
    "http:/user:{}@127.0.0.1:1",
    "http://127.0.0.1:1/?password={}",
    "name=http://user:{}@127.0.0.1:1",
    "first=http://127.0.0.1:1 second=http://user:{}@127.0.0.1:1",
    "{{'password': '{}'}}",
]
WAYS = [*NAMES, *ADDRESSES]
SETTINGS = [(model, variable) for model in all_models() for variable in variables_of(model)]


def malformed(way: str) -> str:
    return way.replace("{}", MARKER).replace("{0}", MARKER).replace("{{", "{").replace("}}", "}")


def is_secret(variable: str) -> bool:
    return variable.endswith(("PASSWORD", "SECRET_ACCESS_KEY", "TOKEN"))


def settings_or_refusal(model: type[BaseSettings]) -> BaseSettings | UsageError:
    try:
        return read(model)
    except UsageError as error:
        return error


@pytest.mark.parametrize(("model", "variable"), SETTINGS, ids=[variable for _, variable in SETTINGS])
def test_no_setting_is_repeated_when_it_is_refused_or_in_what_names_it_later(
    model: type[BaseSettings], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in WAYS:
        value = malformed(way)
        monkeypatch.setenv(variable, value)
        settings = settings_or_refusal(model)
        if isinstance(settings, UsageError):
            assert MARKER not in f"{settings} {settings!r} {settings.__cause__!r} {settings.__context__!r}", way
            assert f"environment variable {variable}: " in str(settings)
        elif way in ADDRESSES or is_secret(variable):
            assert MARKER not in str(WarehouseUnavailable(f"cannot reach {value}: {value!r}")), way
            assert MARKER not in redacted(f"{settings.model_dump()} {json.dumps(settings.model_dump(mode='json'))}"), way


@pytest.mark.parametrize("way", WAYS)
def test_the_doctor_s_look_at_all_settings_shows_none_of_them(way: str) -> None:
    """Every variable at once. LOG_LEVEL and LOG_FORMAT would end the command before it looks."""
    everything = {variable: malformed(way) for _, variable in SETTINGS}
    done = run_here("tickhouse.cli", "doctor", "--check", "settings", environment=everything)
    assert (done.returncode, MARKER in done.stdout + done.stderr) == (2, False)
    assert "LOG_LEVEL" in done.stderr
    looking = {name: value for name, value in everything.items() if not name.startswith("LOG_")}
    done = run_here("tickhouse.cli", "doctor", "--check", "settings", environment=looking)
    assert (done.returncode, MARKER in done.stdout + done.stderr) == (1, False)
    assert "CLICKHOUSE_PORT" in done.stdout


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_of_any_logger_has_a_secret(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings.model_validate({"level": "DEBUG", "format": form}))
    know_secrets_of({"CLICKHOUSE_PASSWORD": MARKER})
    url = "http://user:not-in-the-environment@host/"
    for name in ("extract_process.stream", "botocore.endpoint", "urllib3.connectionpool", "uvicorn.error"):
        log = logging.getLogger(name)
        log.setLevel(logging.DEBUG)
        log.error("with %s and %s", MARKER, url, extra={"why": ValueError(f"bad {MARKER}"), "all": {"url": [url]}})
        try:
            raise OSError(f"{url}: {MARKER}") from ValueError(MARKER)
        except OSError:
            log.exception("a traceback")
        log.setLevel(logging.NOTSET)
    said = capsys.readouterr().err
    assert MARKER not in said
    assert "not-in-the-environment" not in said
    assert said.count("http://***@host/") >= 12


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Could not connect to http://me:se%40cret@host:9/a?b=1", "Could not connect to http://***@host:9/a?b=1"),
        ("wss://host/endpoint?token=abcdef&connectId=7", "wss://host/endpoint?token=***&connectId=7"),
        ("X-Amz-Signature=abc123&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Date=1"),
        ("{'password': 'short', 'user': 'me'}", "{'password': '***', 'user': 'me'}"),
        ("Authorization: Basic bWU6c2VjcmV0", "Authorization: Basic ***"),
        ("https://data-api.binance.vision/api/v3/klines?symbol=BTCUSDT", None),
        ("set CLICKHOUSE_PASSWORD: it is empty", None),
        ("mail somebody@example.com", None),
    ],
)
def test_a_secret_is_known_by_its_place(text: str, shown: str | None) -> None:
    assert redacted(text) == (text if shown is None else shown)


def test_a_secret_of_the_environment_is_known_in_every_spelling() -> None:
    published = "tickhouse"  # the password in docker-compose.yml is a word of every line
    know_secrets_of({"HTTPS_PROXY": "http://me:a%20long%2Fsecret@proxy:3128", "STATUS_PASSWORD": published})
    assert redacted("a long/secret a%20long%2Fsecret a+long%2Fsecret") == "*** *** ***"
    assert redacted("tickhouse provision") == "tickhouse provision"


def test_errors_of_ours_say_no_secret_wherever_their_text_goes() -> None:
    error = TickhouseError("http://me:secret@host refused")
    assert f"{error}" == str(error) == "http://***@host refused"


def test_a_traceback_that_ends_a_process_or_a_thread_has_no_secret() -> None:
    script = (
        "import os, threading\n"
        "from tickhouse_core.lifecycle import run_command\n"
        "def fail(): raise RuntimeError('http://me:in-a-url@host ' + os.environ['CLICKHOUSE_PASSWORD'])\n"
        "def work():\n"
        "    thread = threading.Thread(target=fail)\n    thread.start()\n    thread.join()\n    fail()\n"
        "run_command(work)\n"
    )
    done = run_python("-c", script, code=1, environment={"CLICKHOUSE_PASSWORD": MARKER})
    assert done.stderr.count("RuntimeError: http://***@host ***") == 2
    assert "Traceback" in done.stderr
    assert MARKER not in done.stderr
    assert "in-a-url" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["doctor", "--check", "S3", "--check", "ClickHouse"], ["status", "--json"], ["query", "select 1"], ["load", "--drain"]],
)
def test_nothing_that_a_command_says_of_unreachable_services_has_their_password(command: list[str], tmp_path: Path) -> None:
    nowhere = f"http://user:{MARKER}@127.0.0.1:{free_port()}"
    environment = {
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": f"{MARKER}-of-aws",
        "AWS_DEFAULT_REGION": "us-east-1",
        "CLICKHOUSE_HOST": "127.0.0.1",
        "CLICKHOUSE_PORT": str(free_port()),
        "CLICKHOUSE_PASSWORD": f"{MARKER}-of-clickhouse",
        "BINANCE_REST_URL": nowhere,
        "BINANCE_WS_URL": nowhere.replace("http", "ws"),
        "BINANCE_ARCHIVE_URL": nowhere,
        "STATUS_TARGETS": f"stream={nowhere} loader={nowhere}",
        "STATUS_PORT": str(free_port()),
        "LOG_LEVEL": "DEBUG",
    }
    done = run_python("-m", "tickhouse", *command, code=None, seconds=120, environment=environment)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2), said[-2_000:]
    assert "127.0.0.1" in said
    assert MARKER not in said
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if MARKER.encode() in path.read_bytes()] == []


def test_a_hook_of_a_test_runner_for_threads_stays() -> None:
    before = sys.excepthook
    try:
        assert threading.excepthook is not threading.__excepthook__, "pytest watches threads"
        watched = threading.excepthook
        run_here("tickhouse.cli", "doctor", "--check", "python")
        assert threading.excepthook is watched
    finally:
        sys.excepthook = before


@pytest.mark.parametrize("text", ["token" * 20_000, "a" * 100_000 + "@", "x://" * 25_000, "bearer " * 15_000])
def test_a_long_text_costs_no_more_than_its_length(text: str) -> None:
    """A venue or an object's name could say it: a pattern that tries every length at every place would take minutes."""
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 5

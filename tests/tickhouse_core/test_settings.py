import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import (
    AwsSettings,
    HttpUrl,
    LakeSettings,
    LogSettings,
    PubSubSettings,
    SocketUrl,
    SpoolSettings,
    WarehouseSettings,
    read,
)


class ExchangeSettings(BaseSettings, env_prefix="EXCHANGE_", env_ignore_empty=True):
    """As a venue has them in its folder."""

    rest_url: HttpUrl = Field("https://exchange.invalid")
    ws_url: SocketUrl = Field("wss://exchange.invalid")


@pytest.fixture(autouse=True)
def _restored_environment() -> Iterator[None]:
    """`.env` is read into the process's environment: no test may leave that behind."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOOL_DIR")
    warehouse = read(WarehouseSettings)
    assert (warehouse.host, warehouse.port, warehouse.username) == ("localhost", 8123, "default")
    assert (warehouse.password, warehouse.database, warehouse.path) == ("", "crypto", None)
    assert read(LakeSettings).bucket == "crypto"
    assert read(SpoolSettings).folder == Path("data/spool")
    assert (read(LogSettings).level, read(LogSettings).format) == ("INFO", "text")


def test_the_environment_is_read_by_the_names_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CLICKHOUSE_HOST": "warehouse",
        "CLICKHOUSE_PORT": "9123",
        "CLICKHOUSE_USERNAME": "loader",
        "CLICKHOUSE_PASSWORD": "hunter2",
        "CLICKHOUSE_DATABASE": "other",
        "CLICKHOUSE_PATH": "/engine",
        "S3_BUCKET": "lake",
        "SPOOL_DIR": "/spool",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }.items():
        monkeypatch.setenv(name, value)
    warehouse = read(WarehouseSettings)
    assert (warehouse.host, warehouse.port, warehouse.username) == ("warehouse", 9123, "loader")
    assert (warehouse.password, warehouse.database, warehouse.path) == ("hunter2", "other", Path("/engine"))
    assert read(LakeSettings).bucket == "lake"
    assert read(SpoolSettings).folder == Path("/spool")
    assert (read(LogSettings).level, read(LogSettings).format) == ("DEBUG", "json")


@pytest.mark.parametrize(
    ("model", "variable", "value"),
    [
        (WarehouseSettings, "CLICKHOUSE_PORT", "http"),
        (WarehouseSettings, "CLICKHOUSE_DATABASE", "a-b; drop"),
        (LogSettings, "LOG_LEVEL", "LOUD"),
        (LogSettings, "LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    model: type[WarehouseSettings] | type[LogSettings], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as caught:
        read(model)
    assert str(caught.value).startswith(f"environment variable {variable}: ")
    assert value not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "variable", "value"),
    [
        (AwsSettings, "AWS_ENDPOINT_URL", "https://user:pass%40word@[::1]:9000/minio"),
        (AwsSettings, "AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI=K7"),
        (WarehouseSettings, "CLICKHOUSE_HOST", "::1"),
        (WarehouseSettings, "CLICKHOUSE_HOST", "abc.eu-west-1.aws.clickhouse.cloud"),
        (ExchangeSettings, "EXCHANGE_REST_URL", "http://127.0.0.1:8090"),
        (ExchangeSettings, "EXCHANGE_WS_URL", "ws://user:password@proxy:8080/exchange/ws"),
        (PubSubSettings, "PUBSUB_EMULATOR_HOST", "[::1]:8085"),
        (PubSubSettings, "GOOGLE_CLOUD_PROJECT", "example.com:my-project"),
        (LakeSettings, "S3_BUCKET", "my_bucket.2026"),
    ],
)
def test_every_true_shape_is_taken(model: type[BaseSettings], variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert value in read(model).model_dump().values()


@pytest.mark.parametrize(
    ("model", "variable", "value", "words"),
    [
        (WarehouseSettings, "CLICKHOUSE_HOST", "https://host:8443", "no scheme, port or password"),
        (ExchangeSettings, "EXCHANGE_REST_URL", "exchange.invalid", "such as https://host:port/path"),
        (ExchangeSettings, "EXCHANGE_REST_URL", "https://user:pa/ss@host", "such as https://host:port/path"),
        (ExchangeSettings, "EXCHANGE_WS_URL", "https://host", "such as wss://host:port/path"),
        (AwsSettings, "AWS_DEFAULT_REGION", "eu west", "such as us-east-1"),
        (PubSubSettings, "PUBSUB_EMULATOR_HOST", "http://localhost:8085", "must be host:port"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_with_the_right_one(
    model: type[BaseSettings], variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"^environment variable {variable}: .*{words}"):
        read(model)


def test_two_bad_values_are_both_named_in_the_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", "http")
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "a-b")
    with pytest.raises(UsageError, match=r"CLICKHOUSE_PORT: .*; environment variable CLICKHOUSE_DATABASE: .*"):
        read(WarehouseSettings)


def test_a_dotenv_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("S3_BUCKET=from-the-file\nCLICKHOUSE_PORT=9999\n")
    assert read(LakeSettings).bucket == "from-the-file"
    assert read(WarehouseSettings).port == 9999


def test_a_dotenv_file_never_overrides_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "from-the-shell")
    (tmp_path / ".env").write_text("S3_BUCKET=from-the-file\n")
    assert read(LakeSettings).bucket == "from-the-shell"


def test_a_dotenv_file_reaches_boto3_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_ENDPOINT_URL=http://localhost:4566\n")
    read(LakeSettings)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://localhost:4566"


def test_the_password_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter2")
    settings = read(WarehouseSettings)
    assert settings.password == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings!s}"

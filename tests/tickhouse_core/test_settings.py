import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import BinanceSettings, LakeSettings, LogSettings, SpoolSettings, WarehouseSettings, read


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
    assert read(BinanceSettings).rest_url == "https://data-api.binance.vision"
    assert read(BinanceSettings).archive_url == "https://data.binance.vision"
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
        "BINANCE_REST_URL": "http://rest",
        "BINANCE_ARCHIVE_URL": "http://archive",
        "SPOOL_DIR": "/spool",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }.items():
        monkeypatch.setenv(name, value)
    warehouse = read(WarehouseSettings)
    assert (warehouse.host, warehouse.port, warehouse.username) == ("warehouse", 9123, "loader")
    assert (warehouse.password, warehouse.database, warehouse.path) == ("hunter2", "other", Path("/engine"))
    assert read(LakeSettings).bucket == "lake"
    assert (read(BinanceSettings).rest_url, read(BinanceSettings).archive_url) == ("http://rest", "http://archive")
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
    assert str(caught.value).endswith(f"got {value!r}")
    assert "\n" not in str(caught.value)


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

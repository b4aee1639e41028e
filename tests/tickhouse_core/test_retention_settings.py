import pytest

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import RetentionSettings, read


def test_unset_and_empty_keep_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(RetentionSettings) == RetentionSettings(bronze_days=None, quarantine_days=None)
    monkeypatch.setenv("RETENTION_BRONZE_DAYS", "")
    assert read(RetentionSettings).bronze_days is None


def test_days_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_BRONZE_DAYS", "90")
    monkeypatch.setenv("RETENTION_QUARANTINE_DAYS", "365")
    assert read(RetentionSettings) == RetentionSettings(bronze_days=90, quarantine_days=365)


@pytest.mark.parametrize("value", ["0", "-1", "a week"])
def test_what_is_no_number_of_days_is_bad_usage(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_BRONZE_DAYS", value)
    with pytest.raises(UsageError, match="environment variable RETENTION_BRONZE_DAYS: "):
        read(RetentionSettings)

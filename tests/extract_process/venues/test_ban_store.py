from pathlib import Path

import pytest

from extract_process.venues.rest_client import BanStore
from tickhouse_core.errors import UsageError, VenueBanned
from tickhouse_core.timestamps import DAY_US, MINUTE_US, now_us

HOST = "data-api.binance.vision"
NOON = 1_704_110_400_000_000  # 2024-01-01 12:00


def test_without_a_memory_nothing_is_in_the_way(tmp_path: Path) -> None:
    assert BanStore(tmp_path / "spool", "binance", HOST).remembered(NOON) is None
    assert not (tmp_path / "spool").exists()  # asking writes nothing


def test_a_ban_is_remembered_by_another_process_until_it_is_over(tmp_path: Path) -> None:
    BanStore(tmp_path / "spool", "binance", HOST).remember(VenueBanned("way too much weight", until_us=NOON))
    restarted = BanStore(tmp_path / "spool", "binance", HOST)
    ban = restarted.remembered(NOON - 1)
    assert ban is not None
    assert ban.until_us == NOON
    assert str(ban) == "still shut out until 2024-01-01T12:00:00Z, asking nothing: way too much weight"
    assert restarted.remembered(NOON) is None


def test_a_ban_ends_three_days_after_it_was_written_whatever_the_file_says(tmp_path: Path) -> None:
    """Files of older versions: a ban "until 99999999999999999999999" was remembered until 2286."""
    memory = BanStore(tmp_path, "binance", HOST)
    memory.remember(VenueBanned("for ever", until_us=9_999_999_999_999_000))
    now = now_us()
    ban = memory.remembered(now)
    assert ban is not None
    assert abs(ban.until_us - now - 3 * DAY_US) < MINUTE_US
    assert memory.remembered(now + 3 * DAY_US) is None


def test_the_latest_ban_counts(tmp_path: Path) -> None:
    memory = BanStore(tmp_path, "binance", HOST)
    memory.remember(VenueBanned("first", until_us=NOON + 10))
    memory.remember(VenueBanned("second", until_us=NOON + 5))
    assert memory.remembered(NOON + 5) is None
    assert [path.name for path in tmp_path.iterdir()] == ["binance-data-api.binance.vision-ban.json"]  # no draft is left


def test_a_ban_of_one_venue_is_not_anothers(tmp_path: Path) -> None:
    BanStore(tmp_path, "binance", HOST).remember(VenueBanned("no", until_us=NOON))
    assert BanStore(tmp_path, "kucoin", HOST).remembered(NOON - 1) is None
    assert BanStore(tmp_path, "binance", HOST).remembered(NOON - 1) is not None


def test_a_ban_by_a_simulator_is_not_the_venues(tmp_path: Path) -> None:
    BanStore(tmp_path, "binance", "127.0.0.1:8080").remember(VenueBanned("no", until_us=NOON))
    assert BanStore(tmp_path, "binance", HOST).remembered(NOON - 1) is None
    assert BanStore(tmp_path, "binance", "127.0.0.1:8080").remembered(NOON - 1) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"why": "x"}', b'{"until_us": "soon", "why": "x"}', b'{"until_us": 5}'])
def test_a_memory_that_cannot_be_read_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "binance-data-api.binance.vision-ban.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"ban.json cannot be read .*: remove it if no ban is running") as caught:
        BanStore(tmp_path, "binance", HOST).remembered(NOON)
    assert "\n" not in str(caught.value)

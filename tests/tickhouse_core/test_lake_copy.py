from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tickhouse_core.errors import LakeUnavailable, ObjectChanged
from tickhouse_core.lake import open_lake
from tickhouse_core.lake_copy import LakeCopy, etag_of

if TYPE_CHECKING:
    from conftest import Lake

KEY = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/2024-01.parquet"


def keys(copy: LakeCopy) -> list[str]:
    return sorted(copied.key for copied in copy.objects())


def test_a_file_has_the_path_of_its_key(tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path / "copy")
    copy.keep(KEY, b"rows")
    assert (tmp_path / "copy" / KEY).read_bytes() == b"rows"
    assert (keys(copy), copy.read(KEY), copy.etag(KEY)) == ([KEY], b"rows", etag_of(b"rows"))


def test_the_later_bytes_replace_the_earlier_ones_and_nothing_half_written_is_listed(tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path)
    copy.keep(KEY, b"one")
    copy.keep(KEY, b"two")
    (tmp_path / "%incoming" / "torn").write_bytes(b"o")  # what a kill leaves behind
    assert (keys(copy), copy.read(KEY)) == ([KEY], b"two")


def test_an_object_that_does_not_come_whole_changes_nothing_and_takes_no_room(tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path)
    copy.keep(KEY, b"one")

    def cut() -> Iterator[bytes]:
        yield b"tw"
        raise LakeUnavailable("cut")

    with pytest.raises(LakeUnavailable, match=r"^cut$"):
        copy.keep_all(KEY, cut())
    assert (copy.read(KEY), list((tmp_path / "%incoming").iterdir())) == (b"one", [])


def test_large_objects_pass_through_without_being_in_memory(tmp_path: Path) -> None:
    copy, chunk = LakeCopy(tmp_path), bytes(256 * 1024)
    tracemalloc.start()
    try:
        assert copy.keep_all(KEY, (chunk for _ in range(64))) == 64 * len(chunk)
        assert copy.etag(KEY) == "2c7ab85a893283e98c931e9511add182"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024**2


def test_what_is_forgotten_is_gone_and_may_be_forgotten_twice(tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path)
    copy.keep(KEY, b"rows")
    copy.forget(KEY)
    copy.forget(KEY)
    assert (keys(copy), copy.read(KEY), copy.etag(KEY)) == ([], None, None)


def test_a_copy_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert keys(LakeCopy(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/rooted", "a//b", "folder/", "...", "a b%2Fc", "币安/&?=+.parquet"])
def test_any_key_stays_in_the_folder_and_comes_back_as_it_was(key: str, tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path / "copy")
    copy.keep(key, b"x")
    assert (keys(copy), copy.read(key)) == ([key], b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_no_key_leaves_the_folder(key: str, tmp_path: Path) -> None:
    copy = LakeCopy(tmp_path / "copy")
    copy.keep(key, b"x")
    assert (keys(copy), copy.read(key)) == ([key], b"x")
    copy.forget(key)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_disk_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(LakeUnavailable, match=r"copy of a/b.*LAKE_COPY_DIR"):
        LakeCopy(tmp_path / "copy").keep("a/b", b"x")


def test_a_store_with_a_copy_writes_both_and_a_lost_condition_neither(
    moto_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_COPY_DIR", str(tmp_path / "copy"))
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)
    store = open_lake()
    store.write(KEY, b"one", must_be_new=True)
    with pytest.raises(ObjectChanged):
        store.write(KEY, b"two", must_be_new=True)
    assert (store.read(KEY).body, LakeCopy(tmp_path / "copy").read(KEY)) == (b"one", b"one")


def test_an_object_is_not_called_stored_before_its_copy_is(
    moto_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("LAKE_COPY_DIR", str(tmp_path / "copy"))
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)
    with pytest.raises(LakeUnavailable, match="LAKE_COPY_DIR"):
        open_lake().write(KEY, b"one")

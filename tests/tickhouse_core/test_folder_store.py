from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from moto import mock_aws

from tickhouse_core.errors import LakeRefused, LakeUnavailable, ObjectChanged, ObjectMissing, TickhouseError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake import open_lake
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store

if TYPE_CHECKING:
    from conftest import Lake

KEY = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/2024-01.parquet"


def keys(lake: FolderStore) -> list[str]:
    return sorted(item.key for item in lake.list_keys(""))


def test_a_long_name_in_another_script_is_a_file_too(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    key = f"data_sources/trades/venue=binance/symbol={'币' * 80}/date=2024-08-09/one % of it.parquet"
    lake.write(key, b"rows")
    assert keys(lake) == [key]
    assert lake.read(key).body == b"rows"
    assert lake.folders_in("data_sources/trades/venue=binance/") == [f"symbol={'币' * 80}"]


def test_a_file_has_the_path_of_its_key(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    lake.write(KEY, b"rows")
    assert (tmp_path / "lake" / KEY).read_bytes() == b"rows"
    assert (keys(lake), lake.read(KEY).body, lake.etag_if_any(KEY)) == ([KEY], b"rows", "df347a373b8f92aa0ae3dd920a5ec2f6")


def test_the_later_bytes_replace_the_earlier_ones_and_nothing_half_written_is_listed(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    lake.write(KEY, b"one")
    lake.write(KEY, b"two")
    (tmp_path / "%incoming" / "torn").write_bytes(b"o")  # what a kill leaves behind
    assert (keys(lake), lake.read(KEY).body) == ([KEY], b"two")


def test_an_object_that_does_not_come_whole_changes_nothing_and_takes_no_room(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    lake.write(KEY, b"one")

    def cut() -> Iterator[bytes]:
        yield b"tw"
        raise LakeUnavailable("cut")

    with pytest.raises(LakeUnavailable, match=r"^cut$"):
        lake.write_chunks(KEY, cut())
    assert (lake.read(KEY).body, list((tmp_path / "%incoming").iterdir())) == (b"one", [])


def test_large_objects_pass_through_without_being_in_memory(tmp_path: Path) -> None:
    lake, chunk = FolderStore(tmp_path), bytes(256 * 1024)
    tracemalloc.start()
    try:
        assert lake.write_chunks(KEY, (chunk for _ in range(64))) == 64 * len(chunk)
        assert lake.etag_if_any(KEY) == "2c7ab85a893283e98c931e9511add182"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024**2


def test_what_is_forgotten_is_gone_and_may_be_forgotten_twice(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    lake.write(KEY, b"rows")
    lake.delete(KEY)
    lake.delete(KEY)
    assert (keys(lake), lake.etag_if_any(KEY)) == ([], None)
    with pytest.raises(ObjectMissing, match="no such object"):
        lake.read(KEY)


def test_only_the_version_that_was_meant_is_deleted(tmp_path: Path, moto_lake: Lake) -> None:
    """In a folder and in a bucket."""
    for store in (FolderStore(tmp_path), moto_lake.store):
        before = store.write(KEY, b"one")
        after = store.write(KEY, b"two")
        with pytest.raises(ObjectChanged):
            store.delete(KEY, only=before)
        assert store.read(KEY).body == b"two"
        for _ in range(2):
            store.delete(KEY, only=after)
        assert not list(store.list_keys(KEY))


def test_a_lake_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert keys(FolderStore(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/rooted", "a//b", "folder/", "...", "a b%2Fc", "币安/&?=+.parquet"])
def test_any_key_stays_in_the_folder_and_comes_back_as_it_was(key: str, tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    lake.write(key, b"x")
    assert (keys(lake), lake.read(key).body) == ([key], b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_no_key_leaves_the_folder(key: str, tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    lake.write(key, b"x")
    assert (keys(lake), lake.read(key).body) == ([key], b"x")
    lake.delete(key)
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_a_disk_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(LakeUnavailable, match=r"lake: a/b: .*is the folder writable"):
        FolderStore(tmp_path / "lake").write("a/b", b"x")


def test_a_store_with_a_copy_writes_both_and_a_lost_condition_neither(
    moto_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_COPY_DIR", str(tmp_path / "lake"))
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)
    store = open_lake()
    store.write(KEY, b"one", must_be_new=True)
    with pytest.raises(ObjectChanged):
        store.write(KEY, b"two", must_be_new=True)
    assert (store.read(KEY).body, FolderStore(tmp_path / "lake").read(KEY).body) == (b"one", b"one")


def test_an_object_is_not_called_stored_before_its_copy_is(
    moto_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("LAKE_COPY_DIR", str(tmp_path / "lake"))
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)
    with pytest.raises(LakeUnavailable, match="is the folder writable"):
        open_lake().write(KEY, b"one")


def test_a_conditional_write_is_refused_where_another_one_came_first(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    etag = lake.write(KEY, b"one", must_be_new=True)
    assert lake.write(KEY, b"two", replaces=etag) != etag
    with pytest.raises(ObjectChanged):
        lake.write(KEY, b"three", replaces=etag)
    with pytest.raises(ObjectChanged):
        lake.write("new", b"x", replaces=etag)
    assert (lake.read(KEY).body, keys(lake)) == (b"two", [KEY])


def test_of_many_writers_with_one_condition_exactly_one_wins(tmp_path: Path) -> None:
    etag = FolderStore(tmp_path).write(KEY, b"first")
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        try:
            FolderStore(tmp_path).write(KEY, b"%d" % number, replaces=etag)
        except ObjectChanged:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(8))) == 1


def test_a_file_that_was_changed_in_place_has_another_etag(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    lake.write(KEY, b"one")
    [summary] = lake.list_keys("")
    with (tmp_path / KEY).open("ab") as file:
        file.write(b" more")
    assert lake.etag_if_any(KEY) == md5(b"one more", usedforsecurity=False).hexdigest()
    with pytest.raises(ObjectChanged):
        lake.read_range(summary, 0, 3)


def test_an_etag_is_known_without_the_attribute_that_remembers_it(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path)
    etag = lake.write(KEY, b"one")
    for name in os.listxattr(tmp_path / KEY):
        os.removexattr(tmp_path / KEY, name)
    assert lake.etag_if_any(KEY) == etag


def test_what_is_written_is_told_with_its_etag_and_size(tmp_path: Path) -> None:
    told: list[tuple[str, str, int]] = []
    lake = FolderStore(tmp_path, on_created=lambda *created: told.append(created))
    etag = lake.write(KEY, b"one", must_be_new=True)
    with pytest.raises(ObjectChanged):
        lake.write(KEY, b"two", must_be_new=True)
    assert told == [(KEY, etag, 3)]


_KEYS = st.sampled_from(["a", "b/c", "b/c-d", "b-c/d", "b/d/e", "b/d/f.parquet", "z=1/x"])
_BODIES = st.binary(max_size=4)


class TwoStores(RuleBasedStateMachine):
    """S3 and a folder, asked the same: they answer alike."""

    def __init__(self) -> None:
        super().__init__()
        self.mock = mock_aws()
        self.mock.start()
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="crypto")
        self.folder = TemporaryDirectory()
        self.stores: list[ObjectStore] = [S3Store("crypto"), FolderStore(Path(self.folder.name), "crypto")]

    def teardown(self) -> None:
        self.mock.stop()
        self.folder.cleanup()

    def alike(self, ask: Callable[[ObjectStore], object]) -> object:
        answers: list[object] = []
        for store in self.stores:
            try:
                answers.append(ask(store))
            except TickhouseError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(key=_KEYS, body=_BODIES)
    def write(self, key: str, body: bytes) -> None:
        self.alike(lambda store: store.write(key, body))

    @rule(key=_KEYS, body=_BODIES)
    def write_new(self, key: str, body: bytes) -> None:
        self.alike(lambda store: store.write(key, body, must_be_new=True))

    @rule(key=_KEYS, body=_BODIES, replaced=_BODIES)
    def replace(self, key: str, body: bytes, replaced: bytes) -> None:
        etag = md5(replaced, usedforsecurity=False).hexdigest()
        if self.alike(lambda store: sum(summary.key == key for summary in store.list_keys(key))):
            self.alike(lambda store: store.write(key, body, replaces=etag))

    @rule(key=_KEYS, most=st.integers(0, 4))
    def read(self, key: str, most: int) -> None:
        self.alike(lambda store: store.read(key, most_bytes=most))
        self.alike(lambda store: b"".join(store.chunks(key)))

    @rule(prefix=st.sampled_from(["", "b", "b/", "b/c", "b/d/", "nothing/", "z=1/x"]))
    def look(self, prefix: str) -> None:
        self.alike(lambda store: [(item.key, item.etag, item.size) for item in store.list_keys(prefix)])
        self.alike(lambda store: [store.open(item).read() for item in store.list_keys(prefix)])
        if prefix.endswith("/"):
            self.alike(lambda store: store.folders_in(prefix))
            self.alike(lambda store: [(found.prefix, len(found.objects)) for found in store.list_folders(prefix)])


TestTwoStores = pytest.mark.slow(TwoStores.TestCase)
TestTwoStores.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_what_people_put_into_the_folder_is_named_once_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = FolderStore(tmp_path)
    lake.write("a/b.parquet", b"one")
    folder = tmp_path / "a"
    os.mkfifo(folder / "pipe")
    (folder / "back").symlink_to(".")
    (folder / "up").symlink_to(tmp_path)
    (folder / "self").symlink_to("self")
    (folder / "gone").symlink_to("nowhere")
    (folder / "x%3Dy").write_bytes(b"its key x=y would be another file")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"no name of a key")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.parquet").write_bytes(b"linked")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        assert keys(lake) == ["a/b.parquet", "a/linked/c.parquet", "elsewhere/c.parquet"]
        assert [item.key for item in lake.list_folder("a/")[0].objects] == ["a/b.parquet"]
    assert len(caplog.records) == 7
    with pytest.raises(LakeRefused):
        lake.read("a/pipe")  # it would wait for a writer for ever

"""The short way to an object's bytes: the same bytes as boto3's, and boto3's own errors where it does not get through."""

from typing import TYPE_CHECKING

import obstore
import pytest

from tickhouse_core.aws import s3_client
from tickhouse_core.errors import LakeUnavailable, ObjectMissing
from tickhouse_core.s3_store import QuickGet, S3Store

if TYPE_CHECKING:
    from conftest import Lake

KEY = "data_sources/klines_pricing/venue=kucoin/symbol=BTC-USDT/interval=1m/2024-01.parquet"


def quick_get_of(lake: "Lake") -> QuickGet:
    return QuickGet(lake.store.bucket, s3_client())


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_bytes_and_etag_are_those_that_were_written(moto_lake: "Lake", size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    etag = moto_lake.store.write(KEY, body[:size])
    found = quick_get_of(moto_lake).get(KEY, most_bytes=size)
    assert found == (f'"{etag}"', body[:size])


def test_what_is_too_large_or_missing_is_left_to_boto3(moto_lake: "Lake") -> None:
    moto_lake.store.write(KEY, bytes(11))
    assert quick_get_of(moto_lake).get(KEY, most_bytes=10) is None
    assert quick_get_of(moto_lake).get("not/there.parquet", most_bytes=10) is None
    with pytest.raises(ObjectMissing):
        moto_lake.store.read("not/there.parquet")


def test_a_key_on_which_the_client_panics_is_left_to_boto3(moto_lake: "Lake") -> None:
    """object_store panics on what is no URL for it; a panic is a BaseException, which no net of ours would catch."""
    key = "x" * 200_000
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # it has no name that could be imported
        obstore.get(quick_get_of(moto_lake)._store, key)
    assert not isinstance(caught.value, Exception)
    assert quick_get_of(moto_lake).get(key, most_bytes=10) is None


@pytest.mark.parametrize("key", ["/a", "a/", "a//b", ".a", "a/.b", "a b", "a%20b", "a+b", "币安USDT", "a#b", "a?b"])
def test_a_key_that_would_be_sent_in_another_way_is_left_to_boto3(moto_lake: "Lake", key: str) -> None:
    other = key.strip("/").replace("//", "/")
    for written in {key, other}:
        moto_lake.store.write(written, written.encode())
    assert quick_get_of(moto_lake).get(key, most_bytes=None) is None
    assert moto_lake.store.read(key).body == key.encode()


def test_two_keys_that_differ_in_their_encoding_are_two_objects(moto_lake: "Lake") -> None:
    keys = ["x y", "x%20y", "x+y", "x-y", "x=y/.z", "x=y/z.", "x..y"]
    for key in keys:
        moto_lake.store.write(key, key.encode())
    assert [moto_lake.store.read(key).body.decode() for key in keys] == keys


def test_a_lake_that_is_away_is_said_by_boto3(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    moto_lake.store.write(KEY, b"there")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = S3Store(moto_lake.store.bucket)
    assert QuickGet(store.bucket, s3_client()).get(KEY, None) is None
    with pytest.raises(LakeUnavailable):
        store.read(KEY)


def test_without_credentials_boto3_is_asked(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    moto_lake.store.write(KEY, b"there")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    assert quick_get_of(moto_lake).get(KEY, None) is None

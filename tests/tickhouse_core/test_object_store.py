from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from tickhouse_core.aws import s3_client
from tickhouse_core.errors import LakeUnavailable, NotProvisioned, ObjectChanged, ObjectMissing, ObjectTooLarge, UsageError
from tickhouse_core.object_store import ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.s3_store import S3Store

if TYPE_CHECKING:
    from conftest import Lake


SAME_LAKE = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def summary_of(store: ObjectStore, key: str) -> ObjectSummary:
    (summary,) = store.list_keys(key)
    return summary


def test_bytes_come_back_under_their_key_with_their_etag(moto_lake: Lake) -> None:
    etag = moto_lake.store.write("a/b.parquet", b"hello")
    assert etag == "5d41402abc4b2a76b9719d911017c592"  # the MD5 of hello, without quotes
    assert moto_lake.store.read("a/b.parquet") == StoredObject("a/b.parquet", etag, b"hello")


def test_an_object_with_more_bytes_than_allowed_is_not_read_and_says_its_version(moto_lake: Lake) -> None:
    etag = moto_lake.store.write("k", bytes(1_001))
    assert moto_lake.store.read("k", most_bytes=1_001).body == bytes(1_001)
    said = f"^s3://{moto_lake.store.bucket}/k has 1,001 bytes, 1,000 are allowed$"
    with pytest.raises(ObjectTooLarge, match=said) as caught:
        moto_lake.store.read("k", most_bytes=1_000)
    assert caught.value.etag == etag


def test_a_key_may_hold_what_a_symbol_may_hold(moto_lake: Lake) -> None:
    key = "data_sources/klines_pricing/symbol=币安 %3D+&/x.parquet"
    moto_lake.store.write(key, b"x")
    assert moto_lake.store.read(key).body == b"x"
    assert [summary.key for summary in moto_lake.store.list_keys("data_sources/klines_pricing/symbol=币安")] == [key]


def test_a_later_write_replaces_the_earlier_one(moto_lake: Lake) -> None:
    moto_lake.store.write("k", b"one")
    moto_lake.store.write("k", b"two")
    assert moto_lake.store.read("k").body == b"two"


def test_what_must_be_new_is_written_once(moto_lake: Lake) -> None:
    moto_lake.store.write("k", b"mine", must_be_new=True)
    with pytest.raises(ObjectChanged):
        moto_lake.store.write("k", b"yours", must_be_new=True)
    assert moto_lake.store.read("k").body == b"mine"


def test_a_replacement_is_refused_where_somebody_wrote_in_between(moto_lake: Lake) -> None:
    read_by_both = moto_lake.store.write("k", b"first")
    moto_lake.store.write("k", b"mine", replaces=read_by_both)
    with pytest.raises(ObjectChanged):
        moto_lake.store.write("k", b"yours", replaces=read_by_both)
    assert moto_lake.store.read("k").body == b"mine"


def test_a_replacement_of_the_version_that_was_read_is_written(moto_lake: Lake) -> None:
    etag = moto_lake.store.write("k", b"first")
    assert moto_lake.store.write("k", b"second", replaces=etag) == moto_lake.store.read("k").etag
    assert moto_lake.store.read("k").body == b"second"


def test_a_listing_longer_than_a_page_is_complete_and_in_order(moto_lake: Lake) -> None:
    keys = [f"many/{number:04d}" for number in range(1_003)]
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # behind the server's back: a thousand uploads take seconds
    for key in [*keys, "other/0000"]:
        backend.put_object(moto_lake.store.bucket, key, b"")
    assert [summary.key for summary in moto_lake.store.list_keys("many/")] == keys


def test_a_listing_tells_size_and_etag(moto_lake: Lake) -> None:
    etag = moto_lake.store.write("k", b"hello")
    summary = summary_of(moto_lake.store, "k")
    assert (summary.key, summary.etag, summary.size, summary.last_modified.tzinfo is not None) == ("k", etag, 5, True)


def test_a_listing_of_nothing_is_empty(moto_lake: Lake) -> None:
    assert list(moto_lake.store.list_keys("nothing/")) == []


def test_what_is_not_there_is_missing_and_named(moto_lake: Lake) -> None:
    with pytest.raises(ObjectMissing, match=f"^s3://{moto_lake.store.bucket}/nothing: "):
        moto_lake.store.read("nothing")


def test_a_bucket_that_is_not_there_is_missing_and_says_how_to_make_it(moto_lake: Lake) -> None:
    nowhere = S3Store(f"{moto_lake.store.bucket}-not")
    for touch in (lambda: nowhere.write("k", b""), lambda: nowhere.read("k"), lambda: list(nowhere.list_keys(""))):
        with pytest.raises(NotProvisioned, match="`tickhouse provision` creates bucket and queues"):
            touch()


def test_without_credentials_it_says_which_variables_to_set(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials it found once
    with pytest.raises(UsageError, match=r"Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION"):
        S3Store(moto_lake.store.bucket).read("k")


@SAME_LAKE
@given(body=st.binary(max_size=300), steps=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(-5, 310)), max_size=8))
def test_a_ranged_reader_reads_like_a_file(moto_lake: Lake, body: bytes, steps: list[tuple[int, int]]) -> None:
    moto_lake.store.write("k", body)
    reader, model = moto_lake.store.open(summary_of(moto_lake.store, "k")), io.BytesIO(body)
    for whence, number in steps:
        offset = {0: max(number, 0), 1: max(number, 0), 2: -min(max(number, 0), len(body))}[whence]
        assert reader.seek(offset, whence) == model.seek(offset, whence)
        assert reader.read(abs(number)) == model.read(abs(number))
        assert reader.tell() == model.tell()
    assert reader.seek(0) == 0
    assert reader.read() == body


def test_a_parquet_footer_is_read_without_the_whole_object(moto_lake: Lake) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(500_000))}), sink, compression="none", use_dictionary=False)
    moto_lake.store.write("big.parquet", sink.getvalue())
    counting = CountingStore(moto_lake.store.bucket)
    file = pq.ParquetFile(counting.open(summary_of(moto_lake.store, "big.parquet")))
    assert file.metadata.num_rows == 500_000
    assert counting.bytes_read < 100_000 < 4_000_000 < len(sink.getvalue())


def test_a_ranged_read_never_mixes_two_versions(moto_lake: Lake) -> None:
    moto_lake.store.write("k", b"first")
    reader = moto_lake.store.open(summary_of(moto_lake.store, "k"))
    assert reader.read(2) == b"fi"
    moto_lake.store.write("k", b"other")
    with pytest.raises(ObjectChanged):
        reader.read(2)


def test_keys_come_in_the_order_of_their_bytes(moto_lake: Lake) -> None:
    for key in ("b", "a/z", "a/B", "a/ä", "a"):
        moto_lake.store.write(key, b"")
    listed = [summary.key.encode() for summary in moto_lake.store.list_keys("")]
    assert len(listed) == 5
    assert all(one < other for one, other in pairwise(listed))


def test_a_lake_that_does_not_answer_is_unavailable(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # discard: nobody listens there
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LakeUnavailable):
        S3Store(moto_lake.store.bucket).read("k")


def test_what_is_no_parquet_file_is_stored_as_json(moto_lake: Lake) -> None:
    moto_lake.store.write("k.reason.json", json.dumps({"a": 1}).encode())
    moto_lake.store.write("k.parquet", b"")
    client = s3_client()
    types = [client.head_object(Bucket=moto_lake.store.bucket, Key=key)["ContentType"] for key in ("k.reason.json", "k.parquet")]
    assert types == ["application/json", "application/vnd.apache.parquet"]


class CountingStore(S3Store):
    """Counts what is read of it."""

    bytes_read = 0

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        self.bytes_read += end - start
        return super().read_range(summary, start, end)


def test_a_large_object_comes_in_pieces_and_goes_as_a_file(moto_lake: Lake, tmp_path: Path) -> None:
    moto_lake.store.write("k", bytes(2_500_000))
    pieces = [*moto_lake.store.chunks("k")]
    assert (b"".join(pieces), max(map(len, pieces))) == (bytes(2_500_000), 1024**2)
    (tmp_path / "file").write_bytes(b"rows")
    with (tmp_path / "file").open("rb") as file:
        moto_lake.store.upload_new("new", file)
        assert moto_lake.store.read("new").body == b"rows"
        with pytest.raises(ObjectChanged):
            moto_lake.store.upload_new("new", file)
    with pytest.raises(ObjectMissing):
        next(moto_lake.store.chunks("nothing"))


def test_a_bucket_that_refuses_the_condition_of_a_deletion_is_asked_for_it_once(moto_lake: Lake) -> None:
    """As LocalStack does."""
    asked: list[bool] = []

    def refuse(request: AWSPreparedRequest, **_rest: object) -> AWSResponse | None:
        asked.append("If-Match" in request.headers)
        if not asked[-1]:
            return None
        body = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
        return AWSResponse(request.url, 501, HTTPHeaders(), SimpleNamespace(stream=lambda: [body]))

    store = S3Store(moto_lake.store.bucket)
    store._client.meta.events.register("before-send.s3.DeleteObject", refuse)  # type: ignore[arg-type]  # what it returns counts
    etags = {key: store.write(key, b"x") for key in ("a", "b", "c")}
    for key, etag in etags.items():
        store.delete(key, only=etag)
    assert list(store.list_keys("")) == []
    assert asked == [True, False, False, False]

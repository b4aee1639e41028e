"""The lake that lasts: a real boto3 client against moto behind the folder."""

from pathlib import Path

import pytest

from pipeline.aws import s3_client
from pipeline.errors import ObjectChanged, ObjectMissing
from pipeline.object_store import ObjectStore
from tickhouse.embedded import embedded_parts
from tickhouse.lake_folder import LakeFolder

KEY = "data_sources/trades/venue=binance/date=2024-01-01/hour=00/1-main 1-1.parquet"


def test_what_is_written_is_a_file_and_comes_back(tmp_path: Path) -> None:
    lake, body = LakeFolder(tmp_path / "lake"), bytes(range(256)) * 5_000
    with embedded_parts(tmp_path / "one", lake):
        s3_client().create_bucket(Bucket="crypto")
        store = ObjectStore("crypto")
        etag = store.write(KEY, body)
        store.write("doctor/probe", b"not of the lake")
        store.write("quarantine/x.parquet", b"kept")
        assert (tmp_path / "lake" / "crypto" / KEY).read_bytes() == body
        with pytest.raises(ObjectChanged):
            store.write(KEY, b"other", must_be_new=True)
        assert (tmp_path / "lake" / "crypto" / KEY).read_bytes() == body
    with embedded_parts(tmp_path / "two", lake):
        s3_client().create_bucket(Bucket="crypto")
        store = ObjectStore("crypto")
        assert lake.restore(store) == 2
        assert (store.read(KEY).body, store.read(KEY).etag) == (body, etag)
        s3_client().delete_object(Bucket="crypto", Key=KEY)
        assert not (tmp_path / "lake" / "crypto" / KEY).exists()
    with embedded_parts(tmp_path / "three", lake):
        s3_client().create_bucket(Bucket="crypto")
        assert lake.restore(ObjectStore("crypto")) == 1
        with pytest.raises(ObjectMissing):
            ObjectStore("crypto").read(KEY)


def test_a_key_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with embedded_parts(tmp_path / "one", LakeFolder(tmp_path / "lake")):
        s3_client().create_bucket(Bucket="crypto")
        with pytest.raises(Exception, match=r"500|Internal"):
            ObjectStore("crypto").write("data_sources/../../../../outside.parquet", b"x")
    assert list(tmp_path.rglob("outside.parquet")) == []

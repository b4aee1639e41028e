from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tickhouse_core.object_store import quarantine

if TYPE_CHECKING:
    from conftest import Lake


KEY = "data_sources/klines_pricing/venue=binance/symbol=币安 %3D/interval=1m/2024-01.parquet"


def test_a_refused_object_is_copied_with_the_reason_beside_it_and_the_original_stays(moto_lake: Lake) -> None:
    etag = moto_lake.store.write(KEY, b"hello")
    assert quarantine(moto_lake.store, KEY, etag, b"hello", "not_parquet", "5 bytes of text") == f"quarantine/{KEY}"
    assert moto_lake.store.read(f"quarantine/{KEY}").body == b"hello"
    assert moto_lake.store.read(KEY).body == b"hello"
    reason = json.loads(moto_lake.store.read(f"quarantine/{KEY}.reason.json").body)
    assert reason.pop("refused_at").endswith("Z")
    assert "notification loads it" in reason.pop("what_to_do")
    assert reason.pop("redrive") == f"python -m load_process.redrive --key '{KEY}'"  # the key has a space
    assert reason == {
        "bucket": moto_lake.store.bucket,
        "key": KEY,
        "etag": etag,
        "reason": "not_parquet",
        "detail": "5 bytes of text",
    }


def test_doing_it_twice_leaves_the_same_two_objects(moto_lake: Lake) -> None:
    etag = moto_lake.store.write(KEY, b"hello")
    for _ in range(2):
        quarantine(moto_lake.store, KEY, etag, b"hello", "not_parquet", "5 bytes of text")
    keys = [summary.key for summary in moto_lake.store.list_keys("quarantine/")]
    assert keys == [f"quarantine/{KEY}", f"quarantine/{KEY}.reason.json"]


def test_the_bytes_that_were_refused_are_kept_whatever_the_key_holds_by_now(moto_lake: Lake) -> None:
    moto_lake.store.write(KEY, b"repaired")
    quarantine(moto_lake.store, KEY, "abc", b"refused", "not_parquet", "")
    assert moto_lake.store.read(f"quarantine/{KEY}").body == b"refused"
    assert moto_lake.store.read(KEY).body == b"repaired"


def test_what_was_too_large_to_read_leaves_the_reason_alone(moto_lake: Lake) -> None:
    quarantine(moto_lake.store, KEY, "abc", None, "too_large", "3 bytes, 2 are allowed")
    assert [summary.key for summary in moto_lake.store.list_keys("quarantine/")] == [f"quarantine/{KEY}.reason.json"]
    reason = json.loads(moto_lake.store.read(f"quarantine/{KEY}.reason.json").body)
    assert (reason["reason"], reason["detail"], reason["etag"]) == ("too_large", "3 bytes, 2 are allowed", "abc")

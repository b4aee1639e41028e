import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_process.notifications import NotificationRefused, ObjectCreated, parse_notification


def record(key: str, event: str = "ObjectCreated:Put", **stored: str) -> dict[str, object]:
    return {"eventName": event, "s3": {"bucket": {"name": "crypto"}, "object": {"key": key, **stored}}}


def body(*records: object) -> str:
    return json.dumps({"Records": list(records)})


@pytest.mark.parametrize(
    ("spelled", "key"),
    [
        ("raw/a%3Db+c", "raw/a=b c"),
        ("raw/a%3Db%20c", "raw/a=b c"),
        ("raw%2Fa%3Db+c", "raw/a=b c"),
        ("raw/a=b+c", "raw/a=b c"),
        ("raw/a%2Bb", "raw/a+b"),
        ("raw/%E5%B8%81", "raw/币"),
        ("raw/币", "raw/币"),
        ("raw/50%2525", "raw/50%25"),
        (
            "data_sources/klines_pricing/venue%3Dbinance/symbol%3DBTCUSDT/interval%3D1m/2024-01.parquet",
            "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/2024-01.parquet",
        ),
    ],
)
def test_a_key_is_decoded_whoever_spelled_it(spelled: str, key: str) -> None:
    assert parse_notification(body(record(spelled, eTag="abc"))) == [ObjectCreated("crypto", key, "abc")]


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["aws", "localstack", "all"]))
def test_every_senders_spelling_of_a_key_gives_the_key(key: str, sender: str) -> None:
    spelled = {"aws": quote_plus(key, safe="/"), "localstack": quote(key), "all": quote_plus(key)}[sender]
    assert parse_notification(body(record(spelled, eTag="abc"))) == [ObjectCreated("crypto", key, "abc")]


@pytest.mark.parametrize(("stored", "etag"), [({"eTag": '"abc"'}, "abc"), ({"eTag": "abc-2"}, "abc-2"), ({}, "")])
def test_an_etag_is_bare_and_empty_where_it_was_left_out(stored: dict[str, str], etag: str) -> None:
    assert parse_notification(body(record("k", **stored))) == [ObjectCreated("crypto", "k", etag)]


@pytest.mark.parametrize(
    "event",
    [
        "ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:Copy",
        "s3:ObjectCreated:Put",
    ],
)
def test_every_way_of_creating_counts(event: str) -> None:
    assert parse_notification(body(record("k", event))) == [ObjectCreated("crypto", "k", "")]


def test_several_records_of_one_message_keep_their_order_and_others_are_left_out() -> None:
    created = parse_notification(body(record("b"), record("a"), record("x", "ObjectRemoved:Delete"), record("b")))
    assert [one.key for one in created] == ["b", "a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"crypto"}',
        '{"Records":[]}',
    ],
)
def test_a_test_event_and_an_empty_one_name_no_object(text: str) -> None:
    assert parse_notification(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "null",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"Records":null}',
        '{"Records":{"a":1}}',
        '{"Records":[1]}',
        '{"Records":[{}]}',
        '{"Records":[{"eventName":null}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put"}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":[]}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{},"object":{}}}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":5}}}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k","eTag":5}}}]}',
        '{"Records":[{"eventName":"ObjectCreated:Put"',
        "\ud800",
    ],
)
def test_anything_else_is_refused_with_what_it_was(text: str) -> None:
    with pytest.raises(NotificationRefused, match=r"^not an S3 event notification"):
        parse_notification(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Records", "Event", "eventName", "s3", "bucket", "object", "key"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_json_at_all_brings_the_loader_down(anything: object) -> None:
    try:
        created = parse_notification(json.dumps(anything))
    except NotificationRefused:
        return
    assert isinstance(anything, dict)
    assert created == []

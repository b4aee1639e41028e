import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_process.notifications import NotificationRefused, parse_notification
from load_process.objects import LoadRequest


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
    assert parse_notification(body(record(spelled, eTag="abc"))) == [LoadRequest("crypto", key, "abc")]


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["aws", "localstack", "all"]))
def test_every_senders_spelling_of_a_key_gives_the_key(key: str, sender: str) -> None:
    spelled = {"aws": quote_plus(key, safe="/"), "localstack": quote(key), "all": quote_plus(key)}[sender]
    assert parse_notification(body(record(spelled, eTag="abc"))) == [LoadRequest("crypto", key, "abc")]


@pytest.mark.parametrize(("stored", "etag"), [({"eTag": '"abc"'}, "abc"), ({"eTag": "abc-2"}, "abc-2"), ({}, "")])
def test_an_etag_is_bare_and_empty_where_it_was_left_out(stored: dict[str, str], etag: str) -> None:
    assert parse_notification(body(record("k", **stored))) == [LoadRequest("crypto", "k", etag)]


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
    assert parse_notification(body(record("k", event))) == [LoadRequest("crypto", "k", "")]


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


KEY = "data_sources/klines_pricing/venue=binance/symbol=币 A+B/interval=1h/50%25.parquet"


def event_bridge(key: object = KEY, kind: object = "Object Created", **stored: object) -> dict[str, object]:
    """As in AWS's "EventBridge event message structure": the key as it is, the etag in small letters."""
    thing = {"key": key, "size": 5, "etag": "abc", **stored}
    detail = {"version": "0", "bucket": {"name": "crypto"}, "object": thing, "reason": "PutObject"}
    return {"version": "0", "detail-type": kind, "source": "aws.s3", "time": "2026-11-28T05:00:00Z", "detail": detail}


def through_sns(message: object, kind: str = "Notification") -> str:
    return json.dumps({"Type": kind, "MessageId": "1", "Token": "secret", "TopicArn": "arn:aws:sns:x", "Message": message})


def test_an_event_of_event_bridge_has_its_key_as_it_is() -> None:
    expected = [LoadRequest("crypto", KEY, "abc", 5)]
    assert parse_notification(json.dumps(event_bridge())) == expected
    assert parse_notification(through_sns(json.dumps(event_bridge()))) == expected
    assert parse_notification(json.dumps(event_bridge(kind="Object Deleted"))) == []


def test_what_comes_through_sns_is_what_s3_said() -> None:
    assert parse_notification(through_sns(body(record("a%3Db+c", eTag="abc"), record("d")))) == [
        LoadRequest("crypto", "a=b c", "abc"),
        LoadRequest("crypto", "d", ""),
    ]
    assert parse_notification(through_sns('{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"crypto"}')) == []


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_topic_that_waits_for_an_answer_is_named_without_its_token(kind: str) -> None:
    with pytest.raises(NotificationRefused, match=rf"an SNS topic's {kind}, and nothing comes from the topic before") as caught:
        parse_notification(through_sns("You have chosen to subscribe the queue to the topic", kind))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("spelled", "others"),
    [
        ("a%3Db%2Bc", ("a%3Db%2Bc",)),
        ("a=b+c", ("a=b+c",)),
        ("a%3Db+c", ("a=b+c", "a%3Db+c")),
        ("plain", ()),
        ("a=b", ()),
    ],
)
def test_other_keys_that_the_same_text_may_mean_are_kept(spelled: str, others: tuple[str, ...]) -> None:
    (created,) = parse_notification(body(record(spelled)))
    assert created.spellings == others


def test_a_key_has_at_most_1024_bytes_and_a_name_255() -> None:
    longest = "é" * 512
    assert [one.key for one in parse_notification(body(record(quote_plus(longest))))] == [longest]
    for text in (body(record("x" * 1_025)), body(record("é" * 512 + "x")), body(record("x" * 200_000))):
        with pytest.raises(NotificationRefused, match=r"a key has .* bytes, 1,024 at most are possible"):
            parse_notification(text)
    with pytest.raises(NotificationRefused, match="a eTag has 256 bytes, 255 at most are possible"):
        parse_notification(body(record("k", eTag="x" * 256)))


WRONG = [None, 5, 1.5, True, ["crypto"], {"a": 1}, []]


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("place", ["bucket", "key", "eTag", "eventName", "etag", "detail-key", "detail-bucket"])
def test_a_field_of_another_type_is_refused(place: str, value: object) -> None:
    one = record("k", eTag="abc")
    other = event_bridge()
    s3: Any = one["s3"]
    detail: Any = other["detail"]
    match place:
        case "bucket":
            s3["bucket"]["name"] = value
        case "detail-bucket":
            detail["bucket"]["name"] = value
        case "eventName":
            one["eventName"] = value
        case "etag":
            detail["object"]["etag"] = value
        case "detail-key":
            detail["object"]["key"] = value
        case _:
            s3["object"][place] = value
    for text in (json.dumps(other),) if place == "etag" or "detail" in place else (body(one), through_sns(body(one))):
        with pytest.raises(NotificationRefused, match=r"^not an S3 event notification \("):
            parse_notification(text)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"Records": []}]),
        json.dumps({"Message": body(record("k"))}),  # no notification of SNS without its Type
        through_sns(5),
        through_sns(None),
        through_sns("hello"),
        through_sns(through_sns(body(record("k")))),
        json.dumps(event_bridge() | {"source": "aws.ec2"}),
        json.dumps(event_bridge(kind=5)),
        json.dumps(event_bridge() | {"detail": []}),
        json.dumps(event_bridge() | {"detail": {}}),
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


def test_a_body_above_what_a_queue_can_hold_is_refused_unread() -> None:
    records = {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]}
    body = json.dumps(records)
    assert len(parse_notification(body.ljust(1024 * 1024))) == 1
    with pytest.raises(NotificationRefused, match=r"1,048,577 characters, and 1,048,576 bytes at most are possible") as caught:
        parse_notification(body.ljust(1024 * 1024 + 1))
    assert len(str(caught.value)) < 400

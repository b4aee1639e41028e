from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_process.deliveries import Deliveries
from load_process.objects import LoadRequest, ObjectVersion
from tickhouse_core.message_queue import Message

TRADES = "data_sources/trades/venue=binance/"
KLINES = "data_sources/klines_pricing/venue=binance/symbol=X/interval=1m/"
NOTIFICATION = (
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"crypto"},'
    f'"object":{{"key":"{TRADES}a","eTag":"e"}}}}}}]}}'
)


def message(number: int, receive_count: int = 1, receipt: str = "r") -> Message:
    return Message(str(number), "", receipt, receive_count)


def created(name: str, etag: str = "e") -> LoadRequest:
    return LoadRequest("crypto", f"{TRADES}{name}", etag)


def version(name: str) -> ObjectVersion:
    return ObjectVersion("crypto", f"{TRADES}{name}", "e")


def test_a_message_is_taken_for_what_it_says_and_one_that_says_nothing_is_refused() -> None:
    deliveries = Deliveries()
    good, bad = (Message(str(number), body, "r", 1) for number, body in enumerate([NOTIFICATION, "hello"]))
    assert deliveries.take(good) == [created("a")]
    assert deliveries.take(bad) == []
    assert (deliveries.trouble_with(good), deliveries.trouble_with(bad)[:31]) == ("", "not an S3 event notification (u")
    assert [(item.id, why == deliveries.trouble_with(bad)) for item, why in deliveries.refused] == [("1", True)]
    assert settled(deliveries, "a") == (["0"], ["1"])
    deliveries.note(bad)
    assert settled(deliveries, "a") == (["0", "1"], [])


def test_a_malformed_record_costs_its_neighbours_nothing() -> None:
    deliveries = Deliveries()
    mixed = Message("0", NOTIFICATION.replace("[", '[{"eventName": 7},', 1), "r", 1)
    assert deliveries.take(mixed) == [created("a")]
    assert deliveries.requests() == [created("a")]
    assert deliveries.trouble_with(mixed).startswith("not an S3 event notification (an eventName is no text)")
    assert settled(deliveries, "a") == ([], ["0"])
    deliveries.note(mixed)
    assert settled(deliveries, "") == ([], ["0"])
    assert settled(deliveries, "a") == (["0"], [])


class Unreadable(str):
    """A body on which our own code fails in a way that nobody foresaw."""

    def __getitem__(self, place: object) -> str:
        raise ZeroDivisionError("a fault of ours")


def test_a_message_on_which_our_own_code_fails_comes_again_and_ends_nothing() -> None:
    deliveries = Deliveries()
    unreadable, good = Message("0", Unreadable("hello"), "r", 1), Message("1", NOTIFICATION, "r", 1)
    assert [deliveries.take(item) for item in (unreadable, good)] == [[], [created("a")]]
    assert deliveries.trouble_with(unreadable) == "ZeroDivisionError: a fault of ours"
    assert settled(deliveries, "a") == (["1"], ["0"])


def window(*messages: tuple[Message, str]) -> Deliveries:
    """Each message with the objects it names, a letter each."""
    deliveries = Deliveries()
    for item, names in messages:
        deliveries.add(item, [created(name) for name in names])
    return deliveries


def settled(deliveries: Deliveries, done: str) -> tuple[list[str], list[str]]:
    """What becomes of the messages once these objects are done, a letter each."""
    result = deliveries.settle({version(name) for name in done})
    return [item.id for item in result.done], [item.id for item in result.again]


@pytest.mark.parametrize(
    ("loaded", "done", "again"),
    [
        ("", [], ["1", "2", "3"]),
        ("a", ["1"], ["2", "3"]),
        ("ab", ["1", "2"], ["3"]),
        ("ac", ["1"], ["2", "3"]),
        ("bc", ["3"], ["1", "2"]),
        ("abc", ["1", "2", "3"], []),
        ("ax", ["1"], ["2", "3"]),
    ],
)
def test_a_message_is_done_when_all_that_it_names_is(loaded: str, done: list[str], again: list[str]) -> None:
    assert settled(window((message(1), "a"), (message(2), "ab"), (message(3), "bc")), loaded) == (done, again)


def test_a_message_that_names_nothing_is_done_from_the_start() -> None:
    assert settled(window((message(1), ""), (message(2), "a")), "") == (["1"], ["2"])
    assert settled(Deliveries(), "") == ([], [])


def test_a_message_that_is_not_understood_is_done_once_that_is_noted() -> None:
    deliveries = window((message(1), "a"))
    deliveries.refuse(message(2, 3), "hello")
    deliveries.refuse(message(2, 4), "hello")
    assert [item.id for item in deliveries.messages] == ["1", "2"]
    assert deliveries.refused == [(message(2, 4), "hello")]
    assert settled(deliveries, "a") == (["1"], ["2"])
    deliveries.note(message(2, 4))
    assert deliveries.refused == []
    assert settled(deliveries, "a") == (["1", "2"], [])


def test_an_object_that_several_messages_name_is_requested_once_with_the_most_deliveries() -> None:
    deliveries = window((message(1, 2), "a"), (message(2, 5), "a"), (message(3, 1), "aa"))
    assert deliveries.requests() == [replace(created("a"), attempts=5)]
    assert settled(deliveries, "a") == (["1", "2", "3"], [])


def test_versions_of_an_object_are_requested_each() -> None:
    deliveries = Deliveries()
    deliveries.add(message(1), [created("a", etag) for etag in ("1", "2", "")])
    assert [item.etag for item in deliveries.requests()] == ["1", "2", ""]


def test_the_size_that_is_claimed_does_not_make_another_object() -> None:
    deliveries = Deliveries()
    deliveries.add(message(1), [created("a"), LoadRequest("crypto", f"{TRADES}a", "e", size=7)])
    assert len(deliveries.requests()) == 1


def test_a_message_delivered_twice_counts_once_with_its_later_receipt() -> None:
    deliveries = window((message(1, 1, "old"), "a"), (message(1, 2, "new"), "a"))
    assert [item.receipt for item in deliveries.messages] == ["new"]
    assert [item.receipt for item in deliveries.settle({version("a")}).done] == ["new"]
    assert deliveries.requests() == [replace(created("a"), attempts=2)]


def test_what_was_recorded_live_goes_before_backfilled_history() -> None:
    keys = [f"{KLINES}2024-01.parquet", f"{KLINES}stream-2.parquet", f"{KLINES}2024-02.parquet", f"{KLINES}stream-1.parquet"]
    deliveries = Deliveries()
    deliveries.add(message(1), [LoadRequest("crypto", key, "e") for key in [*keys, f"{TRADES}a"]])
    requested = [item.key for item in deliveries.requests()]
    assert requested == [keys[1], keys[3], f"{TRADES}a", keys[0], keys[2]]


MESSAGES = st.lists(st.tuples(st.integers(0, 9), st.text("abcd", max_size=3)), max_size=12)


@given(MESSAGES, st.text("abcd"))
def test_every_message_is_settled_one_way_and_done_only_with_all_its_objects(
    messages: list[tuple[int, str]], loaded: str
) -> None:
    deliveries = window(*((message(number, receipt=str(place)), names) for place, (number, names) in enumerate(messages)))
    names_of = dict(messages)  # the last delivery of a message is the one in hand
    done, again = settled(deliveries, loaded)
    assert sorted(done + again) == sorted(map(str, names_of))
    assert set(done) == {str(number) for number, names in names_of.items() if set(names) <= set(loaded)}
    assert {item.version for item in deliveries.requests()} == {version(name) for _, names in messages for name in names}

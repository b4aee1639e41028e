from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.binance.ws import LONGEST_REQUEST, Subscriptions


def reply(requests: Subscriptions, **request: Any) -> Any:
    text = requests.on_text(orjson.dumps(request)).reply
    assert text
    return orjson.loads(text)


def test_subscriptions_are_added_and_removed() -> None:
    requests = Subscriptions(combined=False)
    assert reply(requests, method="SUBSCRIBE", params=["a@trade", "b@trade"], id=1) == {"result": None, "id": 1}
    assert reply(requests, method="SUBSCRIBE", params=["b@trade", "c@trade", "c@trade"], id=2) == {"result": None, "id": 2}
    assert reply(requests, method="UNSUBSCRIBE", params=["a@trade", "unknown"], id=3) == {"result": None, "id": 3}
    assert list(requests.streams) == ["b@trade", "c@trade"]


def test_what_has_changed_is_said_once() -> None:
    requests = Subscriptions(combined=False)
    answer = requests.on_text(b'{"method":"SUBSCRIBE","params":["a@trade","a@trade"],"id":1}')
    assert (answer.method, answer.added, answer.removed) == ("SUBSCRIBE", ["a@trade"], ())
    answer = requests.on_text(b'{"method":"UNSUBSCRIBE","params":["a@trade","x"],"id":1}')
    assert (answer.method, answer.added, answer.removed) == ("UNSUBSCRIBE", (), ["a@trade"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"{", 3),
        (b"[1]", 2),
        (b'{"id":1}', 2),
        (b'{"method":"SUBSCRIB","id":1}', 2),
        (b'{"method":["SUBSCRIBE"],"id":1}', 2),
        (b'{"method":"UNSUBSCRIBE","params":[]}', 2),
        (b'{"method":"SUBSCRIBE","id":1}', 2),
        (b'{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
    ],
)
def test_errors_are_bare_objects_with_the_venues_codes(text: bytes, code: int) -> None:
    answer = Subscriptions(combined=False).on_text(text)
    assert answer.reply
    assert (answer.method, orjson.loads(answer.reply)["code"]) == ("refused", code)


def test_too_many_streams_are_refused_together() -> None:
    requests = Subscriptions(combined=False, most=2)
    assert reply(requests, method="SUBSCRIBE", params=["a", "b", "c"], id=7) == {
        "code": 4,
        "msg": "Too many subscriptions",
        "id": 7,
    }
    assert reply(requests, method="SUBSCRIBE", params=["a", "b", "a"], id=8) == {"result": None, "id": 8}
    assert list(requests.streams) == ["a", "b"]


def test_a_frame_above_4_kb_gets_no_answer() -> None:
    names = [f"symbol{number:04d}@depth@100ms" for number in range(200)]
    text = orjson.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})
    assert len(text) > LONGEST_REQUEST
    requests = Subscriptions(combined=False)
    assert requests.on_text(text).reply is None
    assert not requests.streams


@given(st.binary(max_size=60) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(orjson.dumps))
def test_garbage_is_always_answered(text: bytes) -> None:
    answer = Subscriptions(combined=False).on_text(text)
    assert answer.reply
    assert orjson.loads(answer.reply)["code"] in (2, 3)

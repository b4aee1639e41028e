from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.messages import Channel, Message
from simulated_exchange.server.tally import SocketTally


def told(channel: Channel, *ids: tuple[int, int]) -> dict[str, object]:
    tally = SocketTally()
    for first, last in ids:
        tally.on_message(Message("x@y", "X", channel, (first, last), lambda unit: "{}"))
    stream: dict[str, object] = tally.report()["streams"]["x@y"]
    return stream


def test_ids_are_followed_and_holes_are_known() -> None:
    stream = told(Channel.DEPTH, (5, 9), (10, 12), (15, 16), (20, 20))
    assert stream == {
        "symbol": "X",
        "channel": "depth",
        "messages": 4,
        "first_id": 5,
        "last_id": 20,
        "missing": [[13, 14], [17, 19]],
    }


def test_what_comes_late_fills_its_hole() -> None:
    assert told(Channel.TRADE, (1, 1), (9, 9), (4, 5))["missing"] == [[2, 3], [6, 8]]
    assert told(Channel.TRADE, (1, 1), (3, 3), (2, 2))["missing"] == []


def test_what_comes_twice_makes_no_hole() -> None:
    stream = told(Channel.DEPTH, (1, 5), (1, 5), (3, 7), (8, 9))
    assert (stream["messages"], stream["last_id"], stream["missing"]) == (4, 9, [])


def test_where_ids_are_not_contiguous_there_are_no_holes() -> None:
    assert told(Channel.BOOK_TICKER, (1, 1), (9, 9))["missing"] == []


def test_a_message_is_rendered_once_for_each_form() -> None:
    asked: list[TimeUnit] = []

    def render(unit: TimeUnit) -> str:
        asked.append(unit)
        return "{}"

    message = Message("x@y", "X", Channel.OTHER, (0, 0), render)
    raw = [message.frame(False, TimeUnit.MILLISECOND) for _ in range(3)]
    assert raw == [b"\x81\x02{}"] * 3
    assert message.frame(True, TimeUnit.MILLISECOND) == b'\x81\x1a{"stream":"x@y","data":{}}'
    assert len(asked) == 2

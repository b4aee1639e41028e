"""Scripted trouble on the sockets: what goes wrong with which message. A `SocketFaultPlan` decides, `publisher` carries out."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random

from simulated_exchange.server.messages import Channel, Message


class SocketFaultKind(StrEnum):
    """What can happen to a message or to the connections it goes to. `value`: ms for delay, ids for sequence_jump."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"  # it goes out behind the next message of its stream
    DELAY = "delay"
    DISCONNECT = "disconnect"  # the TCP connection ends before it, without a close frame
    HALF_OPEN = "half_open"  # from it on nothing is sent, pings included; the connection stays open
    MUTE = "mute"  # from it on no message of any stream is sent; replies and pings are
    BROKEN_FRAME = "broken_frame"  # instead of it a frame that breaks the WebSocket protocol
    GARBAGE = "garbage"  # instead of it a binary frame of random bytes
    WRONG_JSON = "wrong_json"  # instead of it a text frame with JSON that ends in the middle
    SEQUENCE_JUMP = "sequence_jump"  # after it the book moves by `value` update ids that no diff tells of
    FLIPPED_LEVEL = "flipped_level"  # one quantity in it is wrong, the book is right


_USUAL_VALUES = {SocketFaultKind.DELAY: 500, SocketFaultKind.SEQUENCE_JUMP: 10}
_OF_DEPTH = (SocketFaultKind.SEQUENCE_JUMP, SocketFaultKind.FLIPPED_LEVEL)
_MOST_NUMBERS = 4


@dataclass(frozen=True, slots=True)
class SocketFault:
    """One kind of trouble for messages of streams that match `stream` (`*` and `?` as in file names).

    Either for exactly the `numbers`-th messages of each such stream (from 1, counted while somebody receives them), or for the
    next `count` draws that hit (None: for ever), each with `probability`, after the first `after` messages of the stream.
    `connection` confines it to one connection by its number in the tally; otherwise all that receive the message share it.
    """

    kind: SocketFaultKind
    stream: str = "*"
    count: int | None = None
    probability: float = 1.0
    value: int | None = None
    numbers: tuple[int, ...] = ()
    after: int = 0
    connection: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability of fault {self.kind} must be between 0 and 1, not {self.probability}")
        if min(self.count or 0, self.value or 0, self.after, *self.numbers, 0) < 0:
            raise ValueError(f"count, value, numbers and after of fault {self.kind} cannot be negative")

    @property
    def amount(self) -> int:
        """`value`, or what is usual for the kind: 500 ms of delay, a jump of 10 ids."""
        return _USUAL_VALUES.get(self.kind, 0) if self.value is None else self.value

    def concerns(self, message: Message, connections: Collection[int]) -> bool:
        if self.kind in _OF_DEPTH and message.channel is not Channel.DEPTH:
            return False
        return fnmatchcase(message.stream, self.stream) and (self.connection is None or self.connection in connections)


def parse_socket_fault(text: str) -> SocketFault:
    """`KIND[@STREAM][:COUNT[:PROBABILITY[:VALUE[:NUMBERS]]]]`, COUNT `*` = for ever, NUMBERS like `3+17`."""
    head, *fields = text.split(":")
    kind, _, stream = head.partition("@")
    if len(fields) > _MOST_NUMBERS:
        raise ValueError(f"fault {text!r}: expected KIND[@STREAM][:COUNT[:PROBABILITY[:VALUE[:NUMBERS]]]]")
    count, probability, value, numbers = [*fields, "", "", "", ""][:_MOST_NUMBERS]
    try:
        return SocketFault(
            SocketFaultKind(kind),
            stream or "*",
            int(count) if count not in ("", "*") else None,
            float(probability or 1),
            int(value) if value else None,
            tuple(int(number) for number in numbers.split("+")) if numbers else (),
        )
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from error


class SocketFaultPlan:
    """Draws faults reproducibly: the same messages in the same order meet the same trouble."""

    def __init__(self, faults: Sequence[SocketFault], seed: int) -> None:
        self.faults = tuple(faults)
        self._chance = Random(seed)
        self._hits: Counter[SocketFault] = Counter()
        self._numbers: Counter[str] = Counter()

    def draw(self, message: Message, connections: Collection[int]) -> tuple[int, SocketFault | None]:
        """The message's number in its stream, and the first fault in the list that hits it."""
        self._numbers[message.stream] += 1
        number = self._numbers[message.stream]
        hits = (fault for fault in self.faults if fault.concerns(message, connections) and self._hit(fault, number))
        return number, next(hits, None)

    def noise(self, length: int) -> bytes:
        return self._chance.randbytes(length)

    def _hit(self, fault: SocketFault, number: int) -> bool:
        if self._hits[fault] == fault.count or number <= fault.after:
            return False
        if fault.numbers and number not in fault.numbers:
            return False
        if self._chance.random() >= fault.probability:
            return False
        self._hits[fault] += 1
        return True

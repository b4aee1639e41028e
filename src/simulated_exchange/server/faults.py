"""Scripted trouble: what goes wrong with which requests or messages, how often. A plan decides; venues, archive and publisher
carry out.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Generic, TypeVar

from simulated_exchange.server.messages import Channel, Message

REST_PREFIX = "/api/v3/"
ARCHIVE_PREFIX = "/data/"


class FaultKind(StrEnum):
    """What can go wrong. `value` is milliseconds for latency, seconds for http_418 and for http_429's Retry-After."""

    HTTP_500 = "http_500"
    HTTP_503_BUSY = "http_503_busy"
    HTTP_429 = "http_429"
    HTTP_418 = "http_418"
    HTTP_403 = "http_403"
    TRUNCATED_BODY = "truncated_body"
    DROPPED_BODY = "dropped_body"
    DROPPED_CONNECTION = "dropped_connection"
    LATENCY = "latency"
    ARCHIVE_BAD_CHECKSUM = "archive_bad_checksum"
    ARCHIVE_TRUNCATED = "archive_truncated"
    ARCHIVE_DIFFERS = "archive_differs"
    ARCHIVE_MISSING_ROWS = "archive_missing_rows"

    @property
    def is_of_archive(self) -> bool:
        return self.startswith("archive_")


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


_USUAL_VALUES: dict[StrEnum, int] = {
    FaultKind.HTTP_429: 1,
    FaultKind.HTTP_418: 120,
    FaultKind.LATENCY: 100,
    SocketFaultKind.DELAY: 500,
    SocketFaultKind.SEQUENCE_JUMP: 10,
}
_OF_DEPTH = (SocketFaultKind.SEQUENCE_JUMP, SocketFaultKind.FLIPPED_LEVEL)


class _Trouble:
    """What both kinds of faults have in common."""

    __slots__ = ()
    kind: StrEnum
    count: int | None
    probability: float
    value: int | None
    after: int

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability of fault {self.kind} must be between 0 and 1, not {self.probability}")
        if min(self.count or 0, self.value or 0, self.after, *getattr(self, "numbers", ())) < 0:
            raise ValueError(f"count, value, numbers and after of fault {self.kind} cannot be negative")

    @property
    def amount(self) -> int:
        """`value`, or what is usual: Retry-After 1 s, a ban of 120 s, 100 ms of latency, 500 ms of delay, a jump of 10 ids."""
        return _USUAL_VALUES.get(self.kind, 0) if self.value is None else self.value


@dataclass(frozen=True, slots=True)
class Fault(_Trouble):
    """One kind of trouble: for the next `count` draws it hits (None: for ever), each with `probability`.

    It concerns requests whose path starts with `path`; left empty, that is the REST API, the bulk archive for the archive
    kinds, and everything for latency. `value`: see `FaultKind`. `after` requests pass unharmed first.
    """

    kind: FaultKind
    count: int | None = None
    probability: float = 1.0
    value: int | None = None
    path: str = ""
    after: int = 0

    def concerns(self, path: str) -> bool:
        if self.kind is FaultKind.LATENCY:
            return path.startswith(self.path)
        return path.startswith(self.path or (ARCHIVE_PREFIX if self.kind.is_of_archive else REST_PREFIX))


@dataclass(frozen=True, slots=True)
class SocketFault(_Trouble):
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

    def concerns(self, message: Message, connections: Collection[int]) -> bool:
        if self.kind in _OF_DEPTH and message.channel is not Channel.DEPTH:
            return False
        return fnmatchcase(message.stream, self.stream) and (self.connection is None or self.connection in connections)


def parse_fault(text: str) -> Fault | SocketFault:
    """`KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]]`, of sockets `KIND[@STREAM][…[:VALUE[:NUMBERS]]]`.

    COUNT `*` is for ever, NUMBERS are like `3+17`. ValueError says what is wrong with it.
    """
    head, *fields = text.split(":")
    kind, _, where = head.partition("@")
    is_of_sockets = kind in frozenset(SocketFaultKind)
    if len(fields) > 3 + is_of_sockets:
        raise ValueError(f"fault {text!r}: expected KIND[@PATH or @STREAM][:COUNT[:PROBABILITY[:VALUE[:NUMBERS]]]]")
    count, probability, value, numbers = [*fields, "", "", "", ""][:4]
    try:
        times = int(count) if count not in ("", "*") else None
        chance = float(probability or 1)
        amount = int(value) if value else None
        chosen = tuple(int(number) for number in numbers.split("+")) if numbers else ()
    except ValueError as error:
        raise ValueError(f"fault {text!r}: COUNT, PROBABILITY, VALUE and NUMBERS are numbers") from error
    if is_of_sockets:
        return SocketFault(SocketFaultKind(kind), where or "*", times, chance, amount, chosen)
    if kind not in frozenset(FaultKind):
        raise ValueError(f"unknown fault {kind!r}; one of {', '.join([*FaultKind, *SocketFaultKind])}")
    return Fault(FaultKind(kind), times, chance, amount, where)


FaultT = TypeVar("FaultT", Fault, SocketFault)


class _Plan(Generic[FaultT]):
    """Draws faults reproducibly: the same requests or messages in the same order meet the same trouble."""

    def __init__(self, faults: Sequence[FaultT], seed: int) -> None:
        self.faults: tuple[FaultT, ...] = tuple(faults)
        self._chance = Random(seed)
        self._hits: Counter[FaultT] = Counter()

    def _hits_now(self, fault: FaultT, number: int) -> bool:
        """Whether the fault happens to the `number`-th request or message that it could happen to."""
        if self._hits[fault] == fault.count or number <= fault.after:
            return False
        if self._chance.random() >= fault.probability:
            return False
        self._hits[fault] += 1
        return True


class FaultPlan(_Plan[Fault]):
    """Trouble of HTTP."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        super().__init__(faults, seed)
        self._met: Counter[Fault] = Counter()
        self._archive_files: dict[str, frozenset[FaultKind]] = {}

    def draw(self, path: str) -> Fault | None:
        """The fault that replaces the answer to this request, if any; the first in the list that hits."""
        for fault in self.faults:
            if fault.kind is FaultKind.LATENCY or fault.kind.is_of_archive:
                continue
            if self._hit(fault, path):
                return fault
        return None

    def latency_ms(self, path: str) -> int:
        """How long this answer is held back."""
        latencies = (fault for fault in self.faults if fault.kind is FaultKind.LATENCY)
        return sum(fault.amount for fault in latencies if self._hit(fault, path))

    def jitter_ms(self, most: int) -> float:
        return self._chance.uniform(0, most)

    def archive_faults(self, path: str) -> frozenset[FaultKind]:
        """What is wrong with an archive file; decided once: its zip and its CHECKSUM belong together."""
        if path not in self._archive_files:
            hits = (fault.kind for fault in self.faults if fault.kind.is_of_archive and self._hit(fault, path))
            self._archive_files[path] = frozenset(hits)
        return self._archive_files[path]

    def _hit(self, fault: Fault, path: str) -> bool:
        if not fault.concerns(path):
            return False
        self._met[fault] += 1
        return self._hits_now(fault, self._met[fault])


class SocketFaultPlan(_Plan[SocketFault]):
    """Trouble on the sockets."""

    def __init__(self, faults: Sequence[SocketFault], seed: int) -> None:
        super().__init__(faults, seed)
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
        return (not fault.numbers or number in fault.numbers) and self._hits_now(fault, number)

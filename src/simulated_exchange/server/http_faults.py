"""Scripted trouble of HTTP: what goes wrong, how often, on which paths. A `FaultPlan` decides; the venues and the archive
carry out. Trouble of sockets is in `socket_faults`; `parse_fault` knows both.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from simulated_exchange.server.socket_faults import SocketFault, SocketFaultKind, parse_socket_fault

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


_MOST_NUMBERS = 3
_SOCKET_KINDS = frozenset(SocketFaultKind)
_USUAL_VALUES = {FaultKind.HTTP_429: 1, FaultKind.HTTP_418: 120, FaultKind.LATENCY: 100}


@dataclass(frozen=True, slots=True)
class Fault:
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

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability of fault {self.kind} must be between 0 and 1, not {self.probability}")
        if min(self.count or 0, self.value or 0, self.after) < 0:
            raise ValueError(f"count, value and after of fault {self.kind} cannot be negative")

    @property
    def amount(self) -> int:
        """`value`, or what is usual for the kind: Retry-After 1 s, a ban of 120 s, 100 ms of latency."""
        return _USUAL_VALUES.get(self.kind, 0) if self.value is None else self.value

    def concerns(self, path: str) -> bool:
        if self.kind is FaultKind.LATENCY:
            return path.startswith(self.path)
        return path.startswith(self.path or (ARCHIVE_PREFIX if self.kind.is_of_archive else REST_PREFIX))


def parse_fault(text: str) -> Fault | SocketFault:
    """`KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]]`, COUNT `*` = for ever; ValueError says what is wrong with it.

    For the kinds of sockets see `parse_socket_fault`.
    """
    head, *numbers = text.split(":")
    kind, _, path = head.partition("@")
    if kind in _SOCKET_KINDS:
        return parse_socket_fault(text)
    if len(numbers) > _MOST_NUMBERS:
        raise ValueError(f"fault {text!r}: expected KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]]")
    count, probability, value = [*numbers, "", "", ""][:_MOST_NUMBERS]
    try:
        times = int(count) if count not in ("", "*") else None
        chance = float(probability or 1)
        amount = int(value) if value else None
    except ValueError as error:
        raise ValueError(f"fault {text!r}: COUNT, PROBABILITY and VALUE are numbers") from error
    return Fault(_kind(kind), times, chance, amount, path)


class FaultPlan:
    """Draws faults reproducibly: the same requests in the same order meet the same trouble."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.faults = tuple(faults)
        self._chance = Random(seed)
        self._met: Counter[Fault] = Counter()
        self._hits: Counter[Fault] = Counter()
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
        if self._met[fault] <= fault.after or self._hits[fault] == fault.count:
            return False
        if self._chance.random() >= fault.probability:
            return False
        self._hits[fault] += 1
        return True


def _kind(text: str) -> FaultKind:
    try:
        return FaultKind(text)
    except ValueError as error:
        raise ValueError(f"unknown fault {text!r}; one of {', '.join([*FaultKind, *SocketFaultKind])}") from error

"""Flusher on a real disk: a segment goes when its objects and its ids are safe, and not before; memory stays bounded."""

import gc
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.waiting import patience, wait_until

from extract_process.live.recovery import recover, rows_of_segment
from extract_process.spool.outbox import MOST_IN_MEMORY, Flusher, Outbox
from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import Checkpoint, Kind, Segment, Spool, leftover_segments, load_checkpoint
from extract_process.stream_ids import StreamKey
from extract_process.venues.binance import VENUE as BINANCE

NOON = 1_704_110_400_000_000
SYMBOLS = frozenset({"BTCUSDT"})
TRADES = StreamKey("trades", "BTCUSDT")


class Capturing:
    """A spool, an outbox and a flusher as a capture has them; batches of one trade each, numbered like their segments."""

    def __init__(self, folder: Path, on_objects: Callable[[], None]) -> None:
        self.folder = folder
        self.outbox = Outbox(folder / "outbox")
        self.read_again: list[int] = []
        self.in_memory: list[weakref.ref[RowBuffer]] = []
        self.flusher = Flusher(self.outbox, self._rebuilt, on_objects)
        self._spool = Spool(folder, 1, fsync_seconds=60)

    def put(self) -> int:
        """One more batch; returns its number."""
        number = self._spool.sequence
        frame = trade(number)
        self._spool.append(Kind.FRAME, NOON + number, frame)
        self._spool.write()
        landing = RowBuffer(BINANCE, "main", SYMBOLS)
        landing.add_messages(BINANCE.parse_frame(frame, NOON), NOON + number)
        self.in_memory.append(weakref.ref(landing))
        self.flusher.put(self._spool.seal(), Checkpoint(number, {TRADES: (number, NOON + number)}), landing)
        return number

    def close_spool(self) -> None:
        self._spool.close()

    @property
    def batches_in_memory(self) -> int:
        gc.collect()
        return sum(landing() is not None for landing in self.in_memory)

    def waiting(self) -> dict[str, bytes]:
        return {item.key: item.path.read_bytes() for item in self.outbox.waiting()}

    def segments(self) -> list[int]:
        """Closed ones; the open one is empty here."""
        return [segment.sequence for segment in leftover_segments(self.folder) if segment.path.stat().st_size]

    def _rebuilt(self, segment: Segment) -> RowBuffer:
        self.read_again.append(segment.sequence)
        return rows_of_segment(segment, BINANCE, RowBuffer(BINANCE, "main", SYMBOLS))


def trade(number: int) -> bytes:
    message = {"e": "trade", "E": 1_704_110_400_000, "s": "BTCUSDT", "t": number, "p": "1", "q": "1", "T": 1_704_110_400_000}
    return orjson.dumps({"stream": "btcusdt@trade", "data": {**message, "m": True}})


def expected(*numbers: int) -> dict[str, bytes]:
    """Keys and bytes of the batches' objects, made apart from spool and flusher."""
    objects: dict[str, bytes] = {}
    for number in numbers:
        landing = RowBuffer(BINANCE, "main", SYMBOLS)
        landing.add_messages(BINANCE.parse_frame(trade(number), NOON), NOON + number)
        objects |= dict(landing.objects(number))
    return objects


class Gate:
    """Holds the flusher up behind each batch until it is open."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.passed = 0

    def __call__(self) -> None:
        self.passed += 1
        assert self.is_open.wait(60)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_a_segment_becomes_objects_and_goes_and_its_ids_are_remembered(tmp_path: Path, gate: Gate) -> None:
    gate.is_open.set()
    capturing = Capturing(tmp_path, gate)
    numbers = [capturing.put() for _ in range(3)]
    capturing.close_spool()
    assert capturing.flusher.finish(20)
    assert capturing.waiting() == expected(*numbers)
    assert capturing.segments() == []
    assert load_checkpoint(tmp_path) == Checkpoint(3, {TRADES: (3, NOON + 3)})
    assert gate.passed == 3
    assert capturing.read_again == []


def test_of_many_batches_a_few_wait_in_memory_and_the_rest_on_disk(tmp_path: Path, gate: Gate) -> None:
    capturing = Capturing(tmp_path, gate)
    capturing.put()
    wait_until(lambda: gate.passed == 1)
    numbers = [capturing.put() for _ in range(MOST_IN_MEMORY + 20)]
    assert capturing.batches_in_memory <= 1 + MOST_IN_MEMORY
    assert capturing.segments() == numbers
    gate.is_open.set()
    capturing.close_spool()
    assert capturing.flusher.finish(20)
    assert capturing.read_again == numbers[MOST_IN_MEMORY:]
    assert capturing.waiting() == expected(1, *numbers)
    assert capturing.segments() == []
    assert load_checkpoint(tmp_path).sequence == numbers[-1]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname != "DEBUG"]


@pytest.mark.slow
def test_trouble_with_the_disk_keeps_the_segment_and_is_tried_again(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """The rows in memory were used up by the first try; those of the second come from the segment."""
    caplog.set_level(logging.DEBUG)
    gate.is_open.set()
    capturing = Capturing(tmp_path, gate)
    shutil.rmtree(tmp_path / "outbox")
    numbers = [capturing.put(), capturing.put()]
    wait_until(lambda: len(caplog.records) > 1)
    assert said(caplog) == ["cannot write objects to the spool, trying again"]
    assert capturing.segments() == numbers
    assert load_checkpoint(tmp_path).sequence == 0
    (tmp_path / "outbox").mkdir()
    capturing.close_spool()
    assert capturing.flusher.finish(20)
    assert capturing.waiting() == expected(*numbers)
    assert set(capturing.read_again) == {numbers[0]}
    assert said(caplog) == ["cannot write objects to the spool, trying again", "objects are written to the spool again"]
    assert capturing.segments() == []


def test_an_end_under_a_deadline_leaves_the_rest_to_the_next_start(tmp_path: Path, gate: Gate) -> None:
    capturing = Capturing(tmp_path, gate)
    first = capturing.put()
    wait_until(lambda: gate.passed == 1)
    left = [capturing.put() for _ in range(5)]
    capturing.close_spool()
    began = time.monotonic()
    assert not capturing.flusher.finish(0.2)
    assert time.monotonic() - began < patience(2)
    assert capturing.segments() == left
    assert capturing.waiting() == expected(first)
    gate.is_open.set()  # too late: it was given up
    assert not capturing.flusher.finish(20)  # the thread has ended, the work has not
    assert capturing.segments() == left

    found = recover(tmp_path, capturing.outbox, BINANCE, "main", SYMBOLS)
    assert capturing.waiting() == expected(first, *left)
    assert capturing.segments() == []
    assert (found.next_sequence, found.gaps) == (7, [])
    assert found.last_ids[TRADES] == (6, NOON + 6)

"""Spool, outbox and memory on a real disk: nothing written is lost, nothing torn is read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.commands import ChildProcess

from extract_process.spool.outbox import Outbox
from extract_process.spool.segments import (
    Checkpoint,
    Kind,
    Record,
    Segment,
    Spool,
    capture_folder,
    leftover_segments,
    load_checkpoint,
    measure,
    outbox_folder,
    read_segment,
)
from extract_process.stream_ids import StreamKey
from tickhouse_core.errors import UsageError

from .full_disk import files_of_at_most

_kinds = st.sampled_from(list(Kind))
_records = st.lists(st.builds(Record, _kinds, st.integers(0, 2**60), st.binary(max_size=200)), max_size=20)


def write_all(spool: Spool, records: list[Record]) -> None:
    for record in records:
        spool.append(record.kind, record.receipt_time, record.payload)
    spool.write()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(records=_records, cut=st.integers(0, 400))
def test_a_segment_gives_back_what_was_written_up_to_a_torn_end(records: list[Record], cut: int, tmp_path: Path) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    spool = Spool(tmp_path, 1, fsync_seconds=60)
    write_all(spool, records)
    segment = spool.seal()
    spool.close()
    assert list(read_segment(segment)) == records

    data = segment.path.read_bytes()
    segment.path.write_bytes(data[: max(0, len(data) - cut)])
    read = list(read_segment(segment))
    assert read == records[: len(read)]
    assert sum(17 + len(record.payload) for record in read) + 17 + 200 > len(data) - cut or read == records


def test_a_record_whose_bytes_changed_ends_the_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1, fsync_seconds=60)
    write_all(spool, [Record(Kind.FRAME, 1, b"first"), Record(Kind.FRAME, 2, b"second")])
    segment = spool.seal()
    spool.close()
    segment.path.write_bytes(segment.path.read_bytes().replace(b"second", b"sEcond"))
    assert [record.payload for record in read_segment(segment)] == [b"first"]


def test_segments_are_numbered_on_and_an_empty_last_one_goes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 7, fsync_seconds=60)
    write_all(spool, [Record(Kind.FRAME, 1, b"a")])
    assert spool.seal().sequence == 7
    write_all(spool, [Record(Kind.FRAME, 1, b"b")])
    spool.close()
    assert [segment.sequence for segment in leftover_segments(tmp_path)] == [7, 8]
    Spool(tmp_path, 9, fsync_seconds=60).close()
    assert [segment.sequence for segment in leftover_segments(tmp_path)] == [7, 8]
    assert leftover_segments(tmp_path)[0].delete() > 0


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from extract_process.spool.segments import Spool, Kind\n"
        f"spool = Spool(pathlib.Path({str(tmp_path)!r}), 1, 60)\n"
        "for number in range(1000):\n"
        "    spool.append(Kind.FRAME, number, b'x' * 1000); spool.write()\n"
        "print('written', flush=True); sys.stdin.read()"
    )
    source = str(Path(__file__).parents[2] / "src")
    with ChildProcess[bytes](
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert [record.receipt_time for record in read_segment(Segment(1, tmp_path / "000000000001.segment"))] == list(range(1000))


def test_a_full_disk_takes_nothing_of_a_write_and_the_spool_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1, fsync_seconds=60)
    write_all(spool, [Record(Kind.FRAME, 1, b"before")])
    with files_of_at_most(1_000), pytest.raises(OSError, match="File too large"):
        write_all(spool, [Record(Kind.FRAME, 2, b"x" * 500), Record(Kind.FRAME, 3, b"y" * 5_000)])
    write_all(spool, [Record(Kind.FRAME, 4, b"after")])
    segment = spool.seal()
    spool.close()
    assert [record.payload for record in read_segment(segment)] == [b"before", b"after"]


def test_the_outbox_keeps_keys_and_bytes_oldest_segment_first(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(12, [("data_sources/trades/venue=binance/date=2024-01-01/hour=00/5-main-12.parquet", b"new")])
    outbox.put(3, [("data_sources/klines_pricing/symbol=币安人生USDT/x.parquet", b"old"), ("b~%.parquet", b"odd")])
    (tmp_path / "000000000009~half.parquet.unfinished").write_bytes(b"torn")

    reopened = Outbox(tmp_path)
    assert [(item.key, item.path.read_bytes()) for item in reopened.waiting()] == [
        ("b~%.parquet", b"odd"),
        ("data_sources/klines_pricing/symbol=币安人生USDT/x.parquet", b"old"),
        ("data_sources/trades/venue=binance/date=2024-01-01/hour=00/5-main-12.parquet", b"new"),
    ]
    assert reopened.last_sequence() == 12
    assert Outbox(tmp_path / "empty").last_sequence() == 0


def test_a_memory_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) == Checkpoint(0, {})
    memory = Checkpoint(5, {StreamKey("depth", "币USDT"): (2**63, 17), StreamKey("klines", "BTCUSDT", "1m"): (60, 18)})
    memory.save(tmp_path)
    assert load_checkpoint(tmp_path) == memory


@pytest.mark.parametrize("content", [b"", b"[]", b'{"sequence": 1}', b'{"sequence": 1, "streams": [{"channel": "depth"}]}'])
def test_a_memory_that_cannot_be_read_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last_ids.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"last_ids\.json cannot be read .*: move it away"):
        load_checkpoint(tmp_path)


def test_a_folder_is_one_processs_and_free_again_after_it(tmp_path: Path) -> None:
    with capture_folder(tmp_path, "binance", "a") as folder:
        second = capture_folder(tmp_path, "binance", "a")
        with pytest.raises(UsageError, match=r"stream-binance-a is in use by another process.*--instance"), second:
            pass
        with capture_folder(tmp_path, "binance", "b") as other:
            assert other != folder
    with capture_folder(tmp_path, "binance", "usdm-a") as folder, capture_folder(tmp_path, "binance-usdm", "a") as other:
        assert folder != other, "of two venues"
    with capture_folder(tmp_path, "binance", "a"):
        pass


@pytest.mark.parametrize("name", ["", "a/b", "ä", "x" * 41, "a b"])
def test_an_instance_that_does_not_fit_in_a_key_is_bad_usage(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--instance"), capture_folder(tmp_path, "binance", name):
        pass


def test_the_size_is_that_of_segments_and_objects(tmp_path: Path) -> None:
    Outbox(outbox_folder(tmp_path)).put(1, [("a.parquet", b"12345")])
    (tmp_path / "x.segment").write_bytes(b"123")
    used, free = measure(tmp_path)
    assert used >= 8
    assert free > 0

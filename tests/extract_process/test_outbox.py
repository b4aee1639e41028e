"""Outbox on a real disk: an object is there whole or not at all, whenever the process died."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extract_process.spool.outbox import Outbox

from .full_disk import files_of_at_most

KEY = "data_sources/trades/venue=binance/date=2024-01-01/hour=00/5-main-12.parquet"
_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5)


def bodies(outbox: Outbox) -> dict[str, bytes]:
    return {item.key: item.path.read_bytes() for item in outbox.waiting()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(names=st.lists(_names, min_size=1, max_size=5, unique=True), sequence=st.integers(1, 10**12 - 1))
def test_any_key_comes_back_with_its_bytes(names: list[str], sequence: int, tmp_path: Path) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    objects = {f"{name}/{name}.parquet": name.encode() for name in names}
    assert {item.key for item in Outbox(tmp_path).put(sequence, objects.items())} == objects.keys()
    assert bodies(Outbox(tmp_path)) == objects
    assert Outbox(tmp_path).last_sequence() == sequence


def test_segments_wait_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for sequence in (10, 2, 999_999_999_999, 1):
        outbox.put(sequence, [(f"{sequence}.parquet", b"")])
    assert [item.key for item in outbox.waiting()] == ["1.parquet", "2.parquet", "10.parquet", "999999999999.parquet"]


def test_the_same_segment_again_completes_and_overwrites_its_own(tmp_path: Path) -> None:
    """As after a kill in the middle: the segment is read again and gives the same objects, now all of them."""
    outbox = Outbox(tmp_path)
    outbox.put(7, [(KEY, b"trades")])
    outbox.put(8, [("later.parquet", b"later")])
    Outbox(tmp_path).put(7, [(KEY, b"trades"), ("data_sources/depth_diffs/x.parquet", b"diffs")])
    assert bodies(outbox) == {KEY: b"trades", "data_sources/depth_diffs/x.parquet": b"diffs", "later.parquet": b"later"}


def test_what_a_kill_tore_is_gone_at_the_next_start_and_never_waits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    (whole,) = outbox.put(3, [(KEY, b"whole")])
    torn = whole.path.with_name(whole.path.name.replace("000003", "000004") + ".unfinished")
    torn.write_bytes(b"who")
    (tmp_path / "notes.txt").write_bytes(b"somebody's own")
    assert bodies(outbox) == {KEY: b"whole"}
    assert outbox.last_sequence() == 3
    assert bodies(Outbox(tmp_path)) == {KEY: b"whole"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [whole.path.name, "notes.txt"]


def test_an_object_that_was_half_written_at_a_kill_does_not_wait(tmp_path: Path) -> None:
    """The kernel kills the process in the middle of a write: at the size a file may have."""
    code = (
        "import pathlib, resource, signal\n"
        "from extract_process.spool.outbox import Outbox\n"
        f"outbox = Outbox(pathlib.Path({str(tmp_path)!r}))\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "outbox.put(1, [('whole.parquet', b'w' * 100_000)])\n"
        "outbox.put(2, [('whole too.parquet', b'w'), ('torn.parquet', b't' * 300_000), ('never.parquet', b'n')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert ended.returncode == -signal.SIGXFSZ
    (torn,) = (path for path in tmp_path.iterdir() if b"t" in path.read_bytes())
    assert torn.stat().st_size == 100_000
    outbox = Outbox(tmp_path)
    assert bodies(outbox) == {"whole.parquet": b"w" * 100_000, "whole too.parquet": b"w"}
    assert not torn.exists()
    assert outbox.last_sequence() == 2


def test_a_full_disk_leaves_nothing_torn_and_the_next_try_completes_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    objects = [("small.parquet", b"s"), ("large.parquet", b"l" * 5_000)]
    with files_of_at_most(1_000), pytest.raises(OSError, match="File too large"):
        outbox.put(1, objects)
    assert bodies(outbox) == {"small.parquet": b"s"}
    outbox.put(1, objects)
    assert bodies(outbox) == dict(objects)
    assert list(tmp_path.glob("*.unfinished")) == []

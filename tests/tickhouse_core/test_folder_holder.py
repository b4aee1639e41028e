"""Who holds the engine's folder: the lock decides, and what an old file says does not."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tickhouse_core.errors import FolderHeld
from tickhouse_core.folder_holder import (
    OWN_ID,
    Holder,
    door_to,
    is_held_here,
    loading_holder,
    note_holder,
    note_holder_once,
    other_holder,
)


@contextmanager
def locked(folder: Path, pid: int) -> Iterator[None]:
    """As the engine locks it in a process of this id."""
    with (folder / "status").open("w") as status:
        status.write(f"PID: {pid}\nStarted at: 2026-01-01\n")
        status.flush()
        fcntl.flock(status, fcntl.LOCK_EX)
        yield


def note(folder: Path, **says: object) -> None:
    (folder / "holder.json").write_text(
        json.dumps({"door": "other", "pid": 4711, "command": "tickhouse local", "port": None} | says)
    )


def test_a_folder_that_nobody_locks_is_free_whatever_its_file_says(tmp_path: Path) -> None:
    assert other_holder(tmp_path) is None
    note(tmp_path, port=9)
    (tmp_path / "status").write_text("PID: 4711\n")
    assert other_holder(tmp_path) is None
    assert door_to(tmp_path) is None


def test_the_holder_is_named_by_its_own_file_only(tmp_path: Path) -> None:
    with locked(tmp_path, 4711):
        assert str(other_holder(tmp_path)) == "another program (process 4711)"
        note(tmp_path)
        assert other_holder(tmp_path) == Holder("other", 4711, "tickhouse local")
        for text in ("", "[]", "{}", '{"door": 1}', '{"door":"a","pid":"b","command":"c","port":1}'):
            (tmp_path / "holder.json").write_text(text)
            assert str(other_holder(tmp_path)) == "another program (process 4711)"
    note(tmp_path)
    with locked(tmp_path, 4712):
        assert str(other_holder(tmp_path)) == "another program (process 4712)"


def test_this_process_is_no_other(tmp_path: Path) -> None:
    note_holder(tmp_path)
    assert not is_held_here(tmp_path)
    with locked(tmp_path, os.getpid()):
        assert is_held_here(tmp_path)
        assert other_holder(tmp_path) is None
        note(tmp_path, pid=os.getpid())  # another container's process of the same number
        assert not is_held_here(tmp_path)


def test_a_port_at_which_somebody_else_listens_is_no_door(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as stranger, locked(tmp_path, 4711):
        threading.Thread(target=stranger.serve_forever, args=(0.01,), daemon=True).start()
        note(tmp_path, port=stranger.server_port)
        with pytest.raises(FolderHeld, match=r"is held by `tickhouse local` \(process 4711\), which answers no SQL"):
            door_to(tmp_path, wait_seconds=0)
        stranger.shutdown()


def test_a_holder_that_has_just_begun_is_asked_again_whether_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It locks the folder first, and writes its note then."""
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        note(tmp_path, loads=len(looks) > 1)

    monkeypatch.setattr("tickhouse_core.folder_holder.time.sleep", pause)
    assert loading_holder(tmp_path) is None
    with locked(tmp_path, 4711):
        assert loading_holder(tmp_path) == Holder("other", 4711, "tickhouse local", loads=True)
    assert len(looks) == 2


def test_a_note_of_the_process_that_forked_this_one_is_not_its_own(tmp_path: Path) -> None:
    """A fork has its parent's id, and a folder may be copied with its note: the engine is opened all the same."""
    note(tmp_path, door=OWN_ID, pid=os.getpid() + 1)
    note_holder_once(tmp_path)
    with locked(tmp_path, os.getpid()):
        assert is_held_here(tmp_path)
    note(tmp_path, door=OWN_ID, pid=4711)
    with locked(tmp_path, 4711):
        assert str(other_holder(tmp_path)) == "`tickhouse local` (process 4711)"


def test_a_note_that_cannot_be_written_leaves_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "holder.json").mkdir()
    with pytest.raises(OSError, match=r"holder\.json"):
        note_holder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holder.json"]

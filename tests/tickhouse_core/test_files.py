from pathlib import Path

import pytest

from tickhouse_core.errors import UsageError
from tickhouse_core.files import locked_folder, write_durably, write_whole


def test_a_file_is_replaced_as_a_whole_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for body in (b"one", b"2"):
        write_whole(path, body)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file": body}


def test_a_write_that_fails_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_durably(tmp_path / "file", b"one")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_a_kill_left_of_a_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file.unfinished").write_bytes(b"longer than the file")
    write_durably(tmp_path / "file", b"one")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file": b"one"}


def test_a_folder_is_held_by_one_until_the_context_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with locked_folder(folder, "lock", "another process: end it"):
        with pytest.raises(UsageError) as refused, locked_folder(folder, "lock", "another process: end it"):
            pytest.fail("two hold it")
        assert str(refused.value) == f"{folder} is in use by another process: end it"
        with locked_folder(folder, "other.lock", ""):
            pass
    with locked_folder(folder, "lock", "another process: end it"):
        pass


def test_an_error_of_the_work_under_a_lock_travels_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="of the work"), locked_folder(tmp_path, "lock", "another"):
        raise BlockingIOError("of the work")

"""A lake in a folder, of two recorders and compacted, for what is registered in catalogues."""

from pathlib import Path

import pytest
from tests.tickhouse.compact.lakes import record_all, run, with_doubles

from tickhouse_core.folder_store import FolderStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "lake" / "data_sources").mkdir(parents=True)
    return tmp_path / "data" / "lake"


@pytest.fixture
def store(folder: Path) -> FolderStore:
    """Recorded and compacted."""
    found = FolderStore(folder)
    record_all(found, with_doubles())
    run(found)
    return found

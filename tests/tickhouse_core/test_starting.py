"""A process of ours starts without pandas and ends when all is closed, and every command starts that way."""

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT
from tests.waiting import patience

from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import connect

ONE_COMMAND = """
import sys
from tickhouse_core.starting import start

def main() -> None:
    import pyarrow as pa
    assert pa.array([1, None]).to_pylist() == [1, None]
    print("pandas" in sys.modules)

start(main)
"""


def test_an_array_of_a_list_does_not_bring_pandas_into_a_command() -> None:
    pytest.importorskip("pandas")
    done = subprocess.run([sys.executable, "-c", ONE_COMMAND], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


BUSY_READER = """
import logging, sys, threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.starting import start
from tickhouse_core.warehouse import connect

def main() -> None:
    with closing(connect(WarehouseSettings(path=Path("warehouse")), database="default", creates=True)) as warehouse:
        warehouse.command("create table kept (a Int64) engine = MergeTree order by a")
        warehouse.command("insert into kept values (7)")
    reader = threading.Thread(target=lambda: ThreadPoolExecutor(1).submit(threading.Event().wait), daemon=True)
    reader.start()
    reader.join()
    print("all is closed")
    sys.exit(3)

start(main)
"""


@pytest.mark.slow
def test_a_command_of_the_engine_ends_when_everything_is_closed(tmp_path: Path) -> None:
    """A thread of the SQL server is still in a statement that cannot be cancelled: nobody waits for it."""
    command, sources = [sys.executable, "-c", BUSY_READER], {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=sources, capture_output=True, text=True, timeout=patience(60), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "all is closed\n", "")
    settings = WarehouseSettings(path=tmp_path / "warehouse")
    with closing(connect(settings, database="default")) as warehouse:
        assert warehouse.query("select a from kept") == [(7,)]


def test_every_command_starts_like_this() -> None:
    pages = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "src").rglob("*.py")}
    commands = [path for path, text in pages.items() if re.search(r"typer\.run\(|\bTyper\(|\bstart\(main\)", text)]
    begin = re.compile(r"^ +(start\(main\)|leave_out_pandas\(\))$", re.MULTILINE)
    assert [path for path in commands if not begin.search(pages[path])] == []
    assert len(commands) > 10

"""A process of ours starts without pandas, and every command starts that way."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

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


def test_every_command_starts_like_this() -> None:
    pages = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "src").rglob("*.py")}
    commands = [path for path, text in pages.items() if re.search(r"typer\.run\(|\bTyper\(|\bstart\(main\)", text)]
    begin = re.compile(r"^ +(start\(main\)|leave_out_pandas\(\))$", re.MULTILINE)
    assert [path for path in commands if not begin.search(pages[path])] == []
    assert len(commands) > 10

"""What a benchmark writes can be put into docs/performance.md; what is measured there is not tested here."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from report import Report, options
from write_tables import as_markdown, with_tables

PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("bench_*.py")), ids=lambda path: path.stem)
def test_every_benchmark_writes_json_and_has_its_place_on_the_page(script: Path) -> None:
    assert "options(__doc__)" in script.read_text(encoding="utf-8")
    assert "new tables" in with_tables(PAGE, script.stem, "new tables")


@pytest.fixture
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A benchmark silences its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logs_as_before")
def test_what_was_printed_is_what_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "load.json"
    report = Report("benchmarks/bench_load.py", options("").parse_args(["--json", str(file)]))
    report.table("Load", ("", "rows", "ratio"), [("ours", 1_234_567, 1.234), ("a|b", None, 0.5)], "Time over\n    the engine's.")
    report.left_out("the peer")
    report.finish()

    answer = json.loads(file.read_text(encoding="utf-8"))
    shown = as_markdown(answer)
    assert answer["tables"][0]["rows"][0] == ["ours", 1_234_567, 1.234]
    assert "**Load.** Time over the engine's." in shown
    assert "| ours | 1,234,567 | 1.23 |" in shown
    assert "| a\\|b |  | 0.50 |" in shown
    assert "Left out in this run: the peer." in shown
    assert "1,234,567   1.23" in capsys.readouterr().out


def test_a_benchmark_without_a_place_on_the_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="<!-- bench_new -->"):
        with_tables(PAGE, "bench_new", "tables")

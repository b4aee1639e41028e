import re

import pytest

from tickhouse_core.command_line import print_table


def test_a_program_gets_a_header_and_tab_separated_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "rows"), [("a [b]", 1_234_567), ("c", "")], title="for people")
    assert capsys.readouterr().out == "name\trows\na [b]\t1234567\nc\t\n"


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(("name", "rows"), [("a [b]", 1_234_567)], title="for people")
    out = capsys.readouterr().out
    assert "for people" in out
    assert "│ a [b] │ 1,234,567 │" in out


@pytest.mark.parametrize("rows", [[["2026-11-20 00:00:00", "x" * 30, "1.5", "long words that fold"]] * 2, []])
def test_what_is_too_wide_for_the_terminal_is_a_block_a_row(
    rows: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("open_time", "a_long_name_of_a_column", "price[0]", "detail"), rows)
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 40
    assert "…" not in out, "nothing is cut off"
    if rows:
        assert "row 2 of 2" in out
        assert "2026-11-20" in out
        assert out.count("1.5") == 2
    else:
        assert out.startswith("no rows; columns: open_time, ")


def test_what_folds_stays_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("name", "detail"), [("a", "many words " * 10)])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) == 40
    assert "┃ name ┃" in out

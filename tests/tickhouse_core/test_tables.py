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

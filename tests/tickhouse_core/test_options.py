import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tickhouse_core.command_line import instant, one_of, with_data_folder
from tickhouse_core.errors import UsageError


def test_a_known_value_is_itself_and_another_one_is_told_what_is_known() -> None:
    assert one_of("--by", "day", ("symbol", "day")) == "day"
    with pytest.raises(UsageError, match=r"^--by 'week': choose from symbol, day$"):
        one_of("--by", "week", ("symbol", "day"))


def test_an_instant_is_microseconds() -> None:
    assert instant("--since", "2024-01-01") == 1_704_067_200_000_000


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", ""])
def test_what_is_no_instant_is_one_line_with_the_option(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        instant("--since", text)
    assert str(refused.value) == f"--since {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30"


def seen_by(data: Path | None, *, reads: bool = False) -> str | None:
    seen: list[str | None] = []

    @with_data_folder(reads=reads)
    def main(word: str) -> None:
        seen.append(os.environ.get("TICKHOUSE_DATA"))

    app = typer.Typer()
    app.command()(main)
    arguments = ["x"] if data is None else ["x", "--data", str(data)]
    ended = CliRunner().invoke(app, arguments)
    if ended.exit_code:
        return f"exit {ended.exit_code}"
    return seen[0]


def test_a_data_folder_is_told_for_as_long_as_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TICKHOUSE_DATA", raising=False)
    assert (seen_by(None), seen_by(tmp_path), os.environ.get("TICKHOUSE_DATA")) == (None, str(tmp_path), None)
    monkeypatch.setenv("TICKHOUSE_DATA", "mine")
    assert (seen_by(None), seen_by(tmp_path), os.environ["TICKHOUSE_DATA"]) == ("mine", str(tmp_path), "mine")


def test_a_command_that_reads_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TICKHOUSE_DATA", raising=False)
    missing = tmp_path / "nowhere"
    assert (seen_by(missing, reads=True), seen_by(tmp_path, reads=True)) == ("exit 2", str(tmp_path))
    assert not missing.exists()

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tickhouse_core.resources import SQL_ROOT
from transform_process.catalog import INTERVAL_SECONDS, TRANSFORMS, Step

FILES = sorted((SQL_ROOT / "gold").iterdir())
STEPS = [step for transform in TRANSFORMS for step in transform.steps]


def test_every_interval_divides_the_next_one() -> None:
    assert all(longer % shorter == 0 for shorter, longer in pairwise(INTERVAL_SECONDS.values()))


def test_every_file_is_a_step_and_every_step_has_a_file() -> None:
    assert {step.file for step in STEPS} == {path.name for path in FILES}
    assert len({step.name for step in STEPS}) == len(STEPS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_step_is_one_statement_that_says_what_it_fills_and_why_a_rerun_is_safe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    target = {step.target for step in STEPS if (SQL_ROOT / "gold" / step.file) == path}
    assert re.match(r"-- Fills (stored_[a-z_]+)", text)
    assert "-- Grain: " in text
    assert "Rerun is safe: " in text
    assert re.findall(r"^insert into (\w+)$", text, flags=re.MULTILINE) == list(target)
    assert ";" not in re.sub(r"--.*|'[^']*'", "", text)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_gives_every_parameter_its_file_asks_for(step: Step) -> None:
    asked = set(re.findall(r"\{(\w+):", (SQL_ROOT / "gold" / step.file).read_text(encoding="utf-8")))
    assert asked - {"window_start", "window_end", "build_version", "oldest_build"} <= set(step.parameters)

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.timestamps import INTERVAL_SECONDS
from transform_process.blocks import LENGTH, WARM_UP, what_to_read
from transform_process.book_hours import book_parts
from transform_process.catalog import TRANSFORMS, Forget, Statement, Step

FILES = sorted((SQL_ROOT / "gold").iterdir())
STEPS = [step for transform in TRANSFORMS for step in transform.steps]
STATEMENTS = [(step, statement) for step in STEPS for statement in step.statements]
BOOK = [(True, "binance", "BTCUSDT", 0, 0, 0, 0)]
FORGETS = [forget for transform in TRANSFORMS for forget in transform.forgets]


def test_every_interval_divides_the_next_one() -> None:
    assert all(longer % shorter == 0 for shorter, longer in pairwise(INTERVAL_SECONDS.values()))


def test_every_file_is_a_step_or_a_deletion_and_each_has_a_file() -> None:
    assert {statement.file for _, statement in STATEMENTS} | {forget.file for forget in FORGETS} == {path.name for path in FILES}
    assert len({step.name for step in STEPS}) == len(STEPS)


@pytest.mark.parametrize("path", [path for path in FILES if not path.name.startswith("forget_")], ids=lambda path: path.name)
def test_a_step_is_one_statement_that_says_what_it_fills_and_why_a_rerun_is_safe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    target = {step.target for step, statement in STATEMENTS if (SQL_ROOT / "gold" / statement.file) == path}
    assert re.match(r"-- Fills (stored_[a-z_]+)", text)
    assert "-- Grain: " in text
    assert "Rerun is safe: " in text
    assert re.findall(r"^insert into (\w+)$", text, flags=re.MULTILINE) == list(target)
    assert ";" not in re.sub(r"--.*|'[^']*'", "", text)


def test_a_table_that_a_transform_fills_from_rows_with_a_time_forgets_what_silver_lost() -> None:
    for transform in TRANSFORMS:
        forgotten = {re.findall(r"^delete from (\w+)$", sql_of(forget), flags=re.MULTILINE)[0] for forget in transform.forgets}
        assert forgotten == {step.target for step in transform.steps} - {"stored_symbol_names"}


@pytest.mark.parametrize("forget", FORGETS, ids=lambda forget: forget.file)
def test_a_deletion_gives_every_replica_the_same_rows_to_find(forget: Forget) -> None:
    text = sql_of(forget)
    assert text.startswith("-- Takes out of stored_")
    assert "Rerun is safe: " in text
    assert not re.search(r"\bselect\b|\bnow", text)
    assert set(re.findall(r"%\((\w+)\)s", text)) - {"first", "last", "starts"} == set(forget.parameters)


def sql_of(made: Statement | Forget) -> str:
    return (SQL_ROOT / "gold" / made.file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("step", "statement"), STATEMENTS, ids=lambda made: getattr(made, "name", "") or made.file)
def test_a_statement_is_given_every_parameter_its_file_asks_for(step: Step, statement: Statement) -> None:
    given = {"window_start", "window_end", "build_version", "oldest_build", "grain", *step.parameters}
    read = what_to_read([], []) if "intervals" in step.parameters else next(book_parts(BOOK, 1, is_whole=True))
    needed = (SQL_ROOT / "transform" / statement.needs).read_text(encoding="utf-8") if statement.needs else ""
    found = {"days"} if " as days\n" in needed else set()
    assert parameters_of(sql_of(statement)) <= given | found | (set(read) if statement.blocks else set())
    for file in filter(None, (statement.needs, statement.blocks)):
        assert parameters_of((SQL_ROOT / "transform" / file).read_text(encoding="utf-8")) <= given


def parameters_of(sql: str) -> set[str]:
    return set(re.findall(r"\{(\w+):", sql))


def test_the_indicators_read_a_span_of_every_interval_they_are_given() -> None:
    [step] = [step for step, statement in STATEMENTS if statement.file == "indicators.sql"]
    text = (SQL_ROOT / "gold" / "indicators.sql").read_text(encoding="utf-8")
    first, end = (rf"\{{{name}:Array\(DateTime64\(6, 'UTC'\)\)\}}" for name in ("firsts", "ends"))
    spans = re.findall(rf"interval = '(\w+)' and open_time >= {first}\[(\d)\] and open_time < {end}\[(\d)\]", text)
    intervals = step.parameters["intervals"]
    assert isinstance(intervals, list)
    assert spans == [(interval, str(place), str(place)) for place, interval in enumerate(intervals, start=1)]
    assert {LENGTH, LENGTH + WARM_UP + 1, WARM_UP} <= {int(number.replace("_", "")) for number in re.findall(r"\b\d+\b", text)}

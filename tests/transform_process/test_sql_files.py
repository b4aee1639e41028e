import re
from pathlib import Path

import pytest

from tickhouse_core.resources import SQL_ROOT
from transform_process.sql_files import PART, without_idle_parts
from transform_process.touched import Touched

WITH_PARTS = [path for folder in ("gold", "transform") for path in (SQL_ROOT / folder).iterdir() if "-- [" in path.read_text()]
SQL = """\
select 1
-- [lost
union all select 2
-- lost]
-- [trades
union all select 3
-- trades]
limit 4"""


@pytest.mark.parametrize(
    ("at_work", "left"), [(set(), []), ({"lost"}, [2]), ({"trades", "klines"}, [3]), ({"lost", "trades"}, [2, 3])]
)
def test_only_parts_at_work_are_left(at_work: set[str], left: list[int]) -> None:
    lines = without_idle_parts(SQL, at_work).splitlines()
    assert lines == ["select 1", *(f"union all select {number}" for number in left), "limit 4"]


@pytest.mark.parametrize("path", WITH_PARTS, ids=lambda path: path.name)
def test_parts_have_an_end_and_names_that_are_asked_for(path: Path) -> None:
    text = path.read_text()
    known = Touched(
        grain=60, kline_intervals=frozenset({"1m"}), has_trades=True, has_no_trades=True, has_whole_days=True, has_lost=True
    ).parts_at_work("1m")
    assert {part[1] for part in PART.finditer(text)} <= known
    assert not re.search(r"^-- \[|^-- \w+\]", without_idle_parts(text, known), flags=re.MULTILINE)


def test_parts_at_work_are_those_that_may_find_something() -> None:
    touched = Touched(
        grain=60, kline_intervals=frozenset({"1m"}), has_trades=False, has_no_trades=False, has_whole_days=False, has_lost=True
    )
    assert touched.parts_at_work("1m") == {"klines", "lost"}
    assert touched.parts_at_work("5m") == {"lost"}
    assert touched.parts_at_work("") == {"lost"}

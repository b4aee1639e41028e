"""Statements of sql/clickhouse, without the parts that have nothing to do.

A part stands between the lines `-- [name` and `-- name]`. With all of its parts a statement is always right; the engine takes
longer to plan one than to fill a few rows, so parts that would find nothing are left out.
"""

import re
from collections.abc import Collection
from pathlib import Path

from tickhouse_core.resources import SQL_ROOT

PART = re.compile(r"^-- \[(\w+)\n(.*?)^-- \1\]\n", re.MULTILINE | re.DOTALL)


def read_sql(name: str, root: Path = SQL_ROOT) -> str:
    """The statement of a file under sql/clickhouse."""
    return (root / name).read_text(encoding="utf-8").strip()


def without_idle_parts(sql: str, at_work: Collection[str]) -> str:
    """The statement with those of its parts whose name is in `at_work`."""
    return PART.sub(lambda part: part[2] if part[1] in at_work else "", sql)

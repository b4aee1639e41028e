"""`make performance`: the tables of docs/performance.md, from the JSON that benchmarks wrote (`make bench`).

    .venv/bin/python benchmarks/write_tables.py docs/performance.md build/bench/*.json

A benchmark's tables stand between its two comment lines there; of a benchmark without a file they stay as they are.
"""

import json
import sys
from pathlib import Path
from typing import Any

from report import shown, where


def main() -> None:
    page, *files = map(Path, sys.argv[1:])
    text = page.read_text(encoding="utf-8")
    for file in files:
        answer = json.loads(file.read_text(encoding="utf-8"))
        text = with_tables(text, answer["benchmark"], as_markdown(answer))
    page.write_text(text, encoding="utf-8")


def with_tables(page: str, benchmark: str, tables: str) -> str:
    """The page with other tables of one benchmark. ValueError where it has no place for them."""
    first, last = f"<!-- {benchmark} -->", f"<!-- end of {benchmark} -->"
    head, opened, rest = page.partition(first)
    _, closed, tail = rest.partition(last)
    if not opened or not closed:
        raise ValueError(f"the page has no lines {first} and {last}: write them where the tables of {benchmark} belong")
    return f"{head}{first}\n{tables}\n{last}{tail}"


def as_markdown(answer: dict[str, Any]) -> str:
    """The tables of one benchmark: what each means, its rows, and where they were measured."""
    blocks = [_table(table) for table in answer["tables"]]
    blocks += [f"Left out in this run: {what}." for what in answer["left_out"]]
    return "\n\n".join([*blocks, f"*{where(answer)}*"])


def _table(table: dict[str, Any]) -> str:
    rows = [table["columns"], ["---"] + ["---:"] * (len(table["columns"]) - 1), *(map(shown, row) for row in table["rows"])]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{table['title']}.** {table['means']}".strip(), "", *lines])


if __name__ == "__main__":
    main()

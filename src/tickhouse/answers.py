"""PURE. What the engine is asked and answers, for people and programs: its own text, safe on a terminal.

A driver turns values into Python's, and not all fit: an instant of the year 10000, an aggregate's state, a map's keys. The
engine can write whatever it can return.
"""

import json
import re
from collections.abc import Iterator, Sequence

TABLE_FORMAT = "TabSeparatedWithNamesAndTypes"
JSON_FORMAT = "JSONEachRow"
JSON_SETTINGS = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,  # as text: a reader's float would lose digits
    "output_format_json_validate_utf8": 1,
    "date_time_output_format": "iso",
}

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: control characters, and those that turn the direction of writing."""

_ESCAPE = re.compile(r"\\.")
_INSTANT = re.compile(r"(Nullable\()?DateTime64\(")
_NO_FRACTION = re.compile(r"\.0+$")

_BEFORE_A_STATEMENT = r"(?:\s|\(|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*.*?\*/)*"
_KILL = re.compile(rf"{_BEFORE_A_STATEMENT}kill\b", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\bformat\s+\w+[\s;]*$", re.IGNORECASE)
_OUTFILE = re.compile(r"\boutfile\b", re.IGNORECASE)


def names_a_format(sql: str) -> bool:
    """Whether the statement seems to end with ClickHouse's own `format …`, which stands where our own would."""
    return _FORMAT.search(sql) is not None


def writes_unseen(sql: str) -> str:
    """What an engine that is held to reading does all the same, in words; empty for everything else.

    The embedded engine writes `into outfile`, and any account may kill its own queries. The word alone counts: a statement
    cannot hide it; a harmless one that contains it can quote it differently.
    """
    if _OUTFILE.search(sql):
        return "INTO OUTFILE writes a file"
    return "KILL ends queries" if _KILL.match(sql) else ""


def table_of(answer: bytes, *, null: str) -> tuple[list[str], list[Sequence[str]]]:
    """Names and rows of an answer in TABLE_FORMAT; no names where a statement has no result. `null` stands for NULL.

    Tabs, line ends and backslashes in a value stay escaped, and so is everything that a terminal would obey.
    """
    lines = answer.decode(errors="backslashreplace").split("\n")[:-1]
    if len(lines) < 2:
        return [], []
    names, types, *rows = (line.split("\t") for line in lines)
    are_instants = [_INSTANT.match(type_) is not None for type_ in types]
    return [_safe(name) for name in names], [
        [_shown(value, is_instant, null) for value, is_instant in zip(row, are_instants, strict=True)] for row in rows
    ]


def json_lines(answer: bytes) -> Iterator[str]:
    """An answer in JSON_FORMAT, an object a row."""
    for line in answer.decode(errors="replace").split("\n"):
        if line:
            yield _UNSAFE.sub(lambda found: json.dumps(found.group())[1:-1], line)


def _shown(value: str, is_instant: bool, null: str) -> str:
    if value == r"\N":
        return null
    return _safe(_NO_FRACTION.sub("", value) if is_instant else value)


def _safe(text: str) -> str:
    """The engine escapes quotes too, which need no escape in a table."""
    without = _ESCAPE.sub(lambda found: "'" if found.group() == r"\'" else found.group(), text)
    return _UNSAFE.sub(lambda found: json.dumps(found.group())[1:-1], without)

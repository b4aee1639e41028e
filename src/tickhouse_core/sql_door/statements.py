"""What a reader may say, by the engine's own parser: one statement that reads, and reads the warehouse alone.

The connection is held to reading (`readonly`), which the embedded engine takes less strictly than a server does: it still
lets a reader kill other queries, stop merges, read any file by the function `file` and write one by `into outfile`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tickhouse_core.sql_door.wire import READONLY, SYNTAX_ERROR, SqlError, engine_error, refusal

_REACHES_OUT = re.compile(r"file|ai[A-Z]\w*|AI[A-Z]\w*", re.ASCII)
"""Functions that read files or talk to services. Their names are case-sensitive."""

_WORDS = re.compile(r"\w+", re.ASCII)

_RUNS_TEXT = {"eval", "python", "cluster", "clusterallreplicas"}
"""Table functions that a reader of the engine may use, and that do more than read its tables."""

_FORBIDDEN_SETTINGS = re.compile(
    r"format_schema\w*|format_template\w*|\w*_path|\w*_url|allow_ddl|\w*dialect|profile|readonly|compatibility"
    r"|additional_\w*|parallel_replicas\w*|cluster_\w*|select|filter|order|sort|implicit_\w*|ai_\w*|promql_\w*|url_base|s3\w*",
    re.ASCII,
)
"""They name files and services, carry SQL of their own (`additional_result_filter`), or change how a statement is read."""

_ABOUT_THE_ENGINE = frozenset(
    {
        "version", "timezone", "serverTimezone", "getSetting", "currentUser", "currentDatabase", "hostName", "displayName",
        "now", "uptime", "equals", "notEquals", "and", "or", "like", "count", "toString",
    }
)  # fmt: skip
"""Functions of what drivers ask when they connect."""

_VALUE = r"(?:'(?:[^'\\]|\\.)*'|-?[\w.]+)"
_SETTINGS = re.compile(rf"\bsettings\s+((?:[a-z_]\w*\s*=\s*{_VALUE}\s*,?\s*)+)", re.ASCII | re.IGNORECASE)
_SETTING = re.compile(rf"([A-Za-z_]\w*)\s*=\s*({_VALUE})", re.ASCII)

_HAS_SETTINGS = re.compile(r"\bSETTINGS\b")
_NAMES_OF_VALUES = re.compile(r"(\w+)`? = ", re.ASCII)
_CHANGES_OUTPUT = re.compile(
    r"limit|offset|(?:default_|input_|(?:framing_|errors_)?output_)?format|\w*format_(?:schema|custom)\w*|max_(?:result|rows|bytes)_\w+|\w+_overflow_mode"
)
_CHILDREN = re.compile(r" \(children ([0-9]+)\)$")

_SCOPE = ": In scope SELECT formatQuery"
_SYSTEM = "system."


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may run. `output_format` is what it says itself, empty where it says nothing."""

    sql: str
    output_format: str
    is_select: bool
    settings: Mapping[str, str]
    """Of its `settings` clauses, as far as a reader may bring them. The engine refuses a clause that changes anything else."""

    is_about_the_engine: bool
    """What drivers ask when they connect: it reads no table but those of the database `system`."""


def check_setting(name: str) -> None:
    """Raises SqlError for a setting that a reader must not bring."""
    if not _is_allowed(name):
        raise refusal(READONLY, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")


def _is_allowed(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is not None and not _FORBIDDEN_SETTINGS.fullmatch(name)


def sources_of(connection: Any) -> frozenset[str]:
    """Table functions that read elsewhere, in lower case: the engine lets no reader use them in a select."""
    found = connection.query("select name from system.table_functions where not allow_readonly", "TSVRaw").bytes()
    return frozenset(found.decode().lower().split()) | _RUNS_TEXT


def checked(connection: Any, sql: str, parameters: Mapping[str, str], sources: Collection[str]) -> Statement:
    """The statement, if a reader may run it. SqlError if not, or if it cannot be parsed."""
    report = connection._conn.classify_query(sql, "")  # chDB's own gate (chdb.durable): by its parser, nothing runs
    kind, number = getattr(report["query_class"], "name", ""), int(report["statement_count"])
    if number == 0:
        raise _syntax_error(connection, sql)
    if number > 1:
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
    if kind != "READ_ONLY":
        raise refusal(READONLY, "READONLY", "Cannot execute query in readonly mode: this connection only reads.")
    _refuse_other_output(connection, sql)
    try:
        tree = connection.query(f"explain ast {sql}", "TSVRaw", params=dict(parameters)).bytes().decode(errors="replace")
    except RuntimeError as error:
        failed = engine_error(str(error))
        raise _syntax_error(connection, sql) if failed.code == SYNTAX_ERROR else failed from error
    if not _is_whole(tree.split("\n")):
        raise refusal(READONLY, "READONLY", "this statement cannot be checked: not in readonly mode.")
    _refuse_what_reaches_out(" ".join([sql, *parameters.values()]), tree.split("\n"), sources)
    _refuse_inner_settings(tree.split("\n"))
    return _described(sql, tree.split("\n"))


def _refuse_other_output(connection: Any, sql: str) -> None:
    """Settings of the statement count for `explain ast` too: they could cut or disguise the tree that is looked at.

    The engine writes the statement anew, as a value: no setting counts there.
    """
    query = "select formatQuerySingleLineOrNull({sql:String})"
    written = connection.query(query, "TSVRaw", params={"sql": _escaped(sql)}).bytes().decode(errors="replace")
    names = _NAMES_OF_VALUES.findall(written) if _HAS_SETTINGS.search(written) else []
    if wrong := [name for name in names if _CHANGES_OUTPUT.fullmatch(name)]:
        raise refusal(READONLY, "READONLY", f"Cannot modify '{wrong[0]}' setting in readonly mode.")


def _is_whole(tree: list[str]) -> bool:
    """Whether every node of the tree is there: each says how many children it has."""
    missing: list[int] = []
    for line in tree:
        node = line.lstrip(" ")
        depth = len(line) - len(node)
        if not node:
            continue
        if depth > len(missing) or (not depth and missing) or any(missing[depth:]):
            return False
        del missing[depth:]
        if missing:
            missing[-1] -= 1
        count = _CHILDREN.search(node)
        missing.append(int(count[1]) if count else 0)
    return bool(missing) and not any(missing)


def _refuse_what_reaches_out(text: str, tree: list[str], sources: Collection[str]) -> None:
    names = [word for word, is_table in _functions(tree) if is_table and word.lower() in sources]
    words = [word for word, _ in _functions(tree)]
    nodes = [line.split() for line in tree if line.strip()]
    words += [node[1] for node in nodes if node[0] == "Identifier" and len(node) > 1]  # arrayMap(file, …)
    if any(node[0] == "ColumnsApplyTransformer" for node in nodes):  # the tree does not say what is applied
        words += _WORDS.findall(text)
    if names := names + [word for word in words if _REACHES_OUT.fullmatch(word)]:
        raise refusal(READONLY, "READONLY", f"'{names[0]}' reads outside of this warehouse: not in readonly mode.")


def _refuse_inner_settings(tree: list[str]) -> None:
    """Settings of a subquery count there whatever `readonly` says: they would lift the limits, or name a filter that is SQL.

    Those of a plain select stand right below it, those behind a format below the root.
    """
    selects = sum(line.startswith("  SelectQuery") for line in tree)
    inner = [line for line in tree if line.strip() == "Set" and not (line == " Set" or (line == "   Set" and selects == 1))]
    if inner:
        raise refusal(READONLY, "READONLY", "settings stand at the end of the whole statement only: not in readonly mode.")


def _described(sql: str, tree: list[str]) -> Statement:
    words = list(_functions(tree))
    tables = [line.strip() for line in tree if line.strip().startswith("TableIdentifier ")]
    is_select = tree[0].startswith(("SelectWithUnionQuery", "SelectQuery", "SelectIntersectExceptQuery"))
    is_plain = all(word in _ABOUT_THE_ENGINE and not is_table for word, is_table in words)
    has_settings = any(line.strip() == "Set" for line in tree)
    about = is_select and is_plain and not has_settings and all(line.startswith(f"TableIdentifier {_SYSTEM}") for line in tables)
    return Statement(sql, _format(sql, tree), is_select, _clauses(sql) if has_settings else {}, about)


def _format(sql: str, tree: list[str]) -> str:
    """The last name below the root is the format, or that of a table or database (`show tables from crypto`)."""
    names = [line.split()[1] for line in tree if line.startswith(" Identifier ")]
    return names[-1] if names and re.search(rf"\bformat\s+`?{re.escape(names[-1])}\b", sql, re.IGNORECASE) else ""


def _clauses(sql: str) -> dict[str, str]:
    """Names and values after every `settings`. What is read wrongly here is refused by the engine: its values differ then."""
    pairs = [pair for clause in _SETTINGS.findall(sql) for pair in _SETTING.findall(clause)]
    return {name: value.strip("'") for name, value in pairs if _is_allowed(name)}


def _functions(tree: list[str]) -> Iterator[tuple[str, bool]]:
    """Every function's name, and whether it stands where a table does."""
    above: dict[int, str] = {}
    for line in tree:
        node = line.lstrip(" ")
        depth = len(line) - len(node)
        above[depth] = node
        if node.startswith("Function "):
            yield node.removeprefix("Function ").partition(" (")[0], above.get(depth - 1, "").startswith("TableExpression")


def _syntax_error(connection: Any, sql: str) -> SqlError:
    """The engine's own words: it parses the text as a value, and runs nothing of it."""
    try:
        connection.query("select formatQuery({sql:String}) format Null", "TSV", params={"sql": _escaped(sql)})
    except RuntimeError as error:
        said = engine_error(str(error))
        return SqlError(said.code, f"{said.text.partition(_SCOPE)[0]}. (SYNTAX_ERROR)") if _SCOPE in said.text else said
    return refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error: this statement cannot be parsed")


def _escaped(text: str) -> str:
    """As a parameter's value is written (ClickHouse: query parameters are in the format TSV)."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")

"""Runs readers' statements in the embedded engine, each on a connection of its own with limits that it cannot lift."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tickhouse_core.embedded_engine import raw_connection
from tickhouse_core.sql_door.native_blocks import FIRST_REVISION, with_revision
from tickhouse_core.sql_door.statements import Statement, check_setting, checked, sources_of
from tickhouse_core.sql_door.streams import is_joined, joined
from tickhouse_core.sql_door.wire import SqlError, engine_error

log = logging.getLogger(__name__)

MOST_SECONDS = 300
MOST_WHOLE_ROWS = 1_000_000
"""Of an answer that is built in memory, because its format cannot be sent while it is computed."""

_LIMITS = {
    "max_execution_time": MOST_SECONDS,
    "max_memory_usage": 1_000_000_000,
    "max_threads": max(1, (os.cpu_count() or 1) // 4),  # the rest is the recorder's
    "max_temporary_data_on_disk_size_for_query": 4_000_000_000,
    "max_query_size": 1_048_576,
}
"""A reader may ask for less."""

_WHOLE_LIMITS = {"max_result_rows": MOST_WHOLE_ROWS, "max_result_bytes": 128_000_000}
_FIXED = {"implicit_select": "0", "allow_introspection_functions": "0"}
_MARK = "tickhouse-door"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: `settings` and `parameters` by name; `is_whole`: nothing is sent before all of it is there.

    `revision`: of ClickHouse's protocol, as the driver knows it; 0 where it says nothing.
    """

    sql: str
    database: str = ""
    default_format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    revision: int = 0


class Reader:
    """Thread-safe. It keeps the folder open until it is closed."""

    def __init__(self, path: Path, database: str) -> None:
        """`database` is the one of statements that name none."""
        self._path = path
        self._database = database
        self._keeper = raw_connection(path)
        self._killing = threading.Lock()
        self._begun: dict[str, threading.Event] = {}
        """By mark: set when that statement was killed."""

        self._sources = sources_of(self._keeper)
        self.version, self.timezone = (
            self._keeper.query("select version(), timezone()", "TSVRaw").bytes().decode().strip().split("\t")
        )

    def begin(self, ask: Ask, mark: str) -> "Running":
        """Starts a statement; `mark` is what `kill` names it by. SqlError if it may not run, or fails at once."""
        connection = raw_connection(self._path)
        with self._killing:
            self._begun[mark] = killed = threading.Event()
        try:
            return Running(*self._prepared(connection, ask, mark), killed, on_end=partial(self._forget, mark))
        except RuntimeError as error:
            connection.close()
            self._forget(mark)
            raise engine_error(str(error)) from error
        except BaseException:
            connection.close()
            self._forget(mark)
            raise

    def kill(self, mark: str) -> None:
        """Ends the statement of that mark soon, if it still runs."""
        self._kill(f"= '{_MARK}-{mark}'", mark)

    def kill_all(self) -> None:
        self._kill(f"like '{_MARK}-%'")

    def close(self) -> None:
        self._keeper.close()

    def _forget(self, mark: str) -> None:
        with self._killing:
            self._begun.pop(mark, None)

    def _kill(self, which: str, only: str | None = None) -> None:
        with self._killing:
            for mark, killed in self._begun.items():
                if only in (None, mark):
                    killed.set()
            try:
                self._keeper.query(f"kill query where Settings['log_comment'] {which} async", "Null")
            except RuntimeError as error:
                log.warning("a query could not be ended", extra={"error": str(error)[:200]})

    def _prepared(self, connection: Any, ask: Ask, mark: str) -> "tuple[Any, Statement, Ask]":
        for name, value in _FIXED.items():
            connection.query(f"set {name} = {value}", "Null")
        database = (ask.database or self._database).replace("\\", "\\\\").replace("`", "\\`")
        connection.query(f"use `{database}`", "Null")
        statement = checked(connection, ask.sql, ask.parameters, self._sources)
        for name in ask.settings:
            check_setting(name)
        settings = {**ask.settings, **statement.settings}
        for name, value in settings.items():
            connection.query(f"set {name} = {_quoted(value)}", "Null")
        limits = _LIMITS if _streams(statement, ask) else _LIMITS | _WHOLE_LIMITS
        now = {name: settings.get(name, "") for name in limits}
        own = {name: str(_lower(now[name], most)) for name, most in limits.items()} | {
            "log_comment": f"{_MARK}-{mark}",
            "readonly": "2" if statement.is_about_the_engine else "1",
        }
        own |= {"result_overflow_mode": "throw", "timeout_overflow_mode": "throw"}
        connection.query("set " + ", ".join(f"{name} = {_quoted(value)}" for name, value in own.items()), "Null")
        return connection, statement, ask


class Running:
    """A statement that runs. `counts` are complete when all pieces are taken."""

    def __init__(
        self, connection: Any, statement: Statement, ask: Ask, killed: threading.Event, on_end: Callable[[], object]
    ) -> None:
        self._connection = connection
        self._statement = statement
        self._ask = ask
        self._killed, self._on_end = killed, on_end
        self._began = time.monotonic_ns()
        self.output_format = statement.output_format or ask.default_format
        self.counts = dict.fromkeys(
            (
                "read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read", "result_rows",
                "result_bytes", "elapsed_ns",
            ),
            0,
        )  # fmt: skip
        self._has_revision = ask.revision >= FIRST_REVISION and self.output_format.lower() == "native"
        self._pieces = self._all()

    def next_piece(self) -> bytes | None:
        """None at the end. SqlError."""
        try:
            piece = next(self._pieces, None)
        except RuntimeError as error:
            raise engine_error(str(error)) from error
        if piece is None and self._killed.is_set():  # chDB sometimes ends it as if it had fewer rows, or none
            raise engine_error("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)")
        return piece if piece is None or not self._has_revision else with_revision(piece)

    def close(self) -> None:
        """Ends it if it still runs; not while another thread is in `next_piece`."""
        self._pieces.close()
        self._connection.close()
        self._on_end()

    def _all(self) -> Generator[bytes]:
        if not _streams(self._statement, self._ask):
            yield self._counted(self._connection.query(self._statement.sql, self._ask.default_format, self._parameters))
            return
        is_empty = True
        for piece in joined(self.output_format, self._blocks()):
            is_empty = False
            yield piece
        if is_empty:  # names and types of columns, which no block has told
            yield self._counted(self._connection.query(self._statement.sql, self._ask.default_format, self._parameters))

    def _blocks(self) -> Iterator[bytes]:
        blocks = self._connection.send_query(self._statement.sql, self._ask.default_format, self._parameters)
        try:
            for block in blocks:
                yield self._counted(block)
        finally:
            blocks.close()

    def _counted(self, result: Any) -> bytes:
        body = bytes(result.bytes() or b"")
        counts = self.counts
        counts["read_rows"] += result.storage_rows_read()
        counts["read_bytes"] += result.storage_bytes_read()
        counts["result_rows"] += result.rows_read()
        counts["result_bytes"] += len(body)
        counts["elapsed_ns"] = time.monotonic_ns() - self._began
        return body

    @property
    def _parameters(self) -> dict[str, str]:
        return dict(self._ask.parameters)


def new_mark() -> str:
    return uuid.uuid4().hex


def _streams(statement: Statement, ask: Ask) -> bool:
    """Totals and extremes stand behind the last row, and the engine leaves them out of an answer in pieces.

    ClickHouse's JDBC driver, and DBeaver by it, sends `extremes=0` with every statement.
    """
    has_tail = "totals" in statement.sql.lower() or "extremes" in statement.sql.lower()
    has_tail = has_tail or ask.settings.get("extremes", "0") != "0"
    return statement.is_select and not has_tail and is_joined(statement.output_format or ask.default_format)


def _lower(asked: str, most: int) -> int:
    """The reader's own limit where it is lower; 0 and what is no number mean no limit."""
    return min(int(asked), most) if asked.isascii() and asked.isdigit() and int(asked) else most


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


__all__ = ["Ask", "Reader", "Running", "SqlError", "new_mark"]

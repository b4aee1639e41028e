"""The page's SQL: one statement that reads, with a bounded answer, in this process's engine or over HTTP."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tickhouse_core.errors import UsageError, WarehouseUnavailable
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.sql_door.reader import Ask, Reader, SqlError, new_mark
from tickhouse_core.warehouse import connect_asker, where_to_read

MOST_ROWS = 1_000
"""Of a table on the page."""

MOST_TABLE_BYTES, MOST_CSV_BYTES = 4_000_000, 64_000_000
MOST_STATEMENT_BYTES = 100_000
MOST_SECONDS = 20
_AT_ONCE = 2
_MOST_MEMORY = 400_000_000
"""Of a statement in this process: the rest is the recorder's."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}


class SqlBox:
    """Thread-safe; two statements at a time. A statement may not write, bring settings or read outside of the warehouse.

    Errors: UsageError with the engine's words for a statement that it refuses, WarehouseUnavailable. See `connect_asker` for
    a server, and `sql_door.statements` for the embedded engine.
    """

    def __init__(self, settings: Callable[[], WarehouseSettings]) -> None:
        self._settings = settings
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._opening = threading.Lock()
        self._reader: Reader | None = None

    def close(self) -> None:
        with self._opening:
            if self._reader is not None:
                self._reader.kill_all()
                self._reader.close()
                self._reader = None

    def table(self, sql: str) -> dict[str, Any]:
        """`columns`: name and type; `rows`: values as the engine writes them, exact, or null; `is_whole`: these are all."""
        began = time.monotonic()
        body, is_whole = self._answer(sql, "TSVWithNamesAndTypes", MOST_TABLE_BYTES)
        lines = body.decode(errors="replace").split("\n")[:-1]  # what follows the last line's end was cut
        names, types, *rows = [line.split("\t") for line in lines] if len(lines) > 1 else [[], []]
        if len(names) != len(types):
            raise UsageError("leave settings of formats out: the page shows a table, and has a button for CSV")
        return {
            "columns": [[_text(name), _text(kind)] for name, kind in zip(names, types, strict=True)],
            "rows": [list(map(_text, row)) for row in rows[:MOST_ROWS]],
            "is_whole": is_whole and len(rows) <= MOST_ROWS,
            "seconds": round(time.monotonic() - began, 3),
        }

    def csv(self, sql: str) -> bytes:
        """All of it. UsageError for more than 64 MB."""
        body, is_whole = self._answer(sql, "CSVWithNames", MOST_CSV_BYTES)
        if not is_whole:
            raise UsageError("more than 64 MB: add a limit, or read the lake (docs/recipes.md)")
        return body

    def _answer(self, sql: str, output_format: str, most_bytes: int) -> tuple[bytes, bool]:
        statement = sql.strip().rstrip(";")
        if not statement:
            raise UsageError("write a statement first")
        with self._place():
            where = where_to_read(self._settings())
            if where.path is None:
                warehouse = connect_asker(where, {"max_execution_time": MOST_SECONDS})
                try:
                    return warehouse.query_head(output_format, statement, most_bytes)
                finally:
                    warehouse.close()
            return self._in_this_process(where, statement, output_format, most_bytes)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise WarehouseUnavailable(f"{_AT_ONCE} statements run already: try again in a moment")
        try:
            yield
        finally:
            self._places.release()

    def _in_this_process(self, where: WarehouseSettings, sql: str, output_format: str, most_bytes: int) -> tuple[bytes, bool]:
        limits = {"max_execution_time": str(MOST_SECONDS), "max_memory_usage": str(_MOST_MEMORY)}
        ask, mark, reader = Ask(sql, default_format=output_format, settings=limits), new_mark(), self._opened(where)
        pieces, size = [], 0
        deadline = threading.Timer(MOST_SECONDS + 1, reader.kill, [mark])
        deadline.start()
        try:
            running = reader.begin(ask, mark)
            try:
                if running.output_format != output_format:
                    raise UsageError("leave FORMAT out: the page shows a table, and has a button for CSV")
                while size <= most_bytes and (piece := running.next_piece()) is not None:
                    pieces.append(piece)
                    size += len(piece)
            finally:
                running.close()
        except SqlError as error:
            raise UsageError(error.text) from error
        finally:
            deadline.cancel()
        return b"".join(pieces)[:most_bytes], size <= most_bytes

    def _opened(self, where: WarehouseSettings) -> Reader:
        with self._opening:
            if self._reader is None:
                assert where.path is not None, "the caller has looked"
                self._reader = Reader(where.path, where.database)
            return self._reader


def _text(value: str) -> str | None:
    return None if value == "\\N" else _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), value)

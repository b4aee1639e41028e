"""The page's queries to the warehouse: SQL files of sql/clickhouse/status with bound parameters, kept for a moment."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from tickhouse_core.errors import TickhouseError, WarehouseUnavailable
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.warehouse import Warehouse

_MOST_REMEMBERED = 64
_LONG_SECONDS, _PAUSE_SECONDS = 1.0, 2.0
"""A poll runs several queries. After one that timed out, the others fail at once instead of waiting too."""


@cache
def _statement(name: str) -> str:
    return (SQL_ROOT / "status" / f"{name}.sql").read_text(encoding="utf-8").strip()


class Queries:
    """Thread-safe: one connection, one query at a time. It is opened on first use and again after an error.

    Errors: the warehouse's.
    """

    def __init__(self, connect: Callable[[], Warehouse]) -> None:
        self._connect = connect
        self._connection: Warehouse | None = None
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._why = ""

    def ask(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        """The rows of sql/clickhouse/status/<name>.sql."""
        return self._with(lambda warehouse: warehouse.query(_statement(name), parameters))

    def ask_by_keys(self, name: str, keys: Collection[str]) -> list[Sequence[Any]]:
        return self._with(lambda warehouse: warehouse.query_by_keys(_statement(name), keys))

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _with(self, work: Callable[[Warehouse], list[Sequence[Any]]]) -> list[Sequence[Any]]:
        with self._lock:
            began = time.monotonic()
            if began < self._silent_until:
                raise WarehouseUnavailable(self._why)
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return work(self._connection)
            except WarehouseUnavailable as error:
                self._forget()
                if time.monotonic() - began > _LONG_SECONDS:
                    self._silent_until, self._why = time.monotonic() + _PAUSE_SECONDS, str(error)
                raise

    def _forget(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except TickhouseError:
                return  # the connection was already lost


class Recent:
    """What was read a moment ago, so that many viewers cost as much as one. Reads are one after the other."""

    def __init__(self, queries: Queries, fresh_seconds: float) -> None:
        self.queries = queries
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()

    def get(self, what: tuple[str, ...], read: Callable[[], Any]) -> Any:
        with self._lock:
            known = self._known.get(what)
            if known is None or time.monotonic() - known[0] > self._fresh_seconds:
                rows = read()
                known = self._known[what] = (time.monotonic(), rows)  # as old as its end: who waited for it need not read again
                self._known.move_to_end(what)
                while len(self._known) > _MOST_REMEMBERED:
                    self._known.popitem(last=False)
            return known[1]

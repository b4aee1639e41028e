"""The page's queries to the warehouse: SQL files of sql/clickhouse/status with bound parameters, through a reader."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from tickhouse_core.errors import TickhouseError, WarehouseUnavailable
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.warehouse import Warehouse


@cache
def _statement(name: str) -> str:
    return (SQL_ROOT / "status" / f"{name}.sql").read_text(encoding="utf-8").strip()


class Queries:
    """Thread-safe: one connection, one question at a time. It is opened when it is needed, and anew after trouble.

    Errors: the warehouse's.
    """

    def __init__(self, connect: Callable[[], Warehouse]) -> None:
        self._connect = connect
        self._connection: Warehouse | None = None
        self._lock = threading.Lock()

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
            if self._connection is None:
                self._connection = self._connect()
            try:
                return work(self._connection)
            except WarehouseUnavailable:
                self._forget()
                raise

    def _forget(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except TickhouseError:
                return  # it was away already

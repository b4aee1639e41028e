"""Opens the SQL door of the folder that this process holds, and tells readers where it is."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from tickhouse_core.errors import FolderHeld, UsageError
from tickhouse_core.folder_holder import note_holder
from tickhouse_core.settings import SqlSettings, WarehouseSettings, read
from tickhouse_core.warehouse import connect, where_to_read

log = logging.getLogger(__name__)

USUAL_PORT = 8123
"""ClickHouse's own: what drivers try where nobody tells them."""

_HOST = "127.0.0.1"
_MOMENT_SECONDS = 1.0
_END_SECONDS = 1
"""Of the server, when its statements have ended."""


@contextmanager
def serving_sql(
    warehouse: WarehouseSettings, *, listener: socket.socket | None = None, creates: bool = False, loads: bool = False
) -> Iterator["Door"]:
    """Holds the embedded engine's folder and answers SQL as long as the context lasts; nothing where a server is the warehouse.

    With a `listener` at once, else in a moment: a command that is done by then opens no port.

    `creates` and errors: as `connect`. `loads`: see `Holder`.
    """
    with ExitStack() as parts:
        door = Door(warehouse, loads=loads)
        if warehouse.path is not None:
            parts.enter_context(closing(connect(warehouse, database="default", creates=creates)))
            if loads:
                note_holder(warehouse.path, loads=True)
            parts.callback(door.close)
            if listener is not None:
                door.open(listener)
            else:
                door.open_later(_MOMENT_SECONDS)
        yield door


@contextmanager
def sharing_sql(warehouse: WarehouseSettings) -> Iterator[WarehouseSettings]:
    """For a command that only reads: yields where it connects.

    That is the door of the process that holds the folder; else the folder itself, and others find this command's door.
    """
    with ExitStack() as parts:
        try:
            where = where_to_read(warehouse)
            parts.enter_context(serving_sql(where))
        except FolderHeld:  # another reader was faster
            where = where_to_read(warehouse)
            parts.enter_context(serving_sql(where))
        yield where


def listen_for_sql(settings: SqlSettings) -> socket.socket:
    """The door's port, held from now on. UsageError where it is set and taken."""
    from tickhouse_core.http_server import listening

    for port in (USUAL_PORT, 0) if settings.port is None else (settings.port,):
        try:
            return listening(_HOST, port)
        except OSError as error:
            reason = error.strerror
    raise UsageError(f"SQL_PORT={settings.port}: cannot listen there ({reason}); choose another with --sql-port or SQL_PORT")


class Door:
    """Opened once. `url` is empty before, and after `close`, which ends what runs; the folder is still held."""

    def __init__(self, warehouse: WarehouseSettings, *, loads: bool = False) -> None:
        self.url = ""
        self._loads = loads
        self._warehouse = warehouse
        self._ending = threading.Event()
        self._parts = ExitStack()
        self._thread: threading.Thread | None = None

    def open(self, listener: socket.socket) -> None:
        from tickhouse_core.http_server import serving  # starlette and uvicorn: not for a command that is done in a moment
        from tickhouse_core.sql_door.app import SqlDoor
        from tickhouse_core.sql_door.reader import Reader

        path = self._warehouse.path
        assert path is not None, "only a folder has a door"
        with ExitStack() as parts:
            parts.callback(listener.close)
            reader = parts.enter_context(closing(Reader(path, self._warehouse.database)))
            app = SqlDoor(reader)
            parts.enter_context(serving(app, listener, "sql-door", _END_SECONDS))
            parts.callback(app.close)  # first of all: what runs is ended and what waits is refused
            port = listener.getsockname()[1]
            note_holder(path, port, loads=self._loads)
            parts.callback(note_holder, path)
            self.url = f"http://{_HOST}:{port}"
            self._parts = parts.pop_all()

    def open_later(self, seconds: float) -> None:
        self._thread = threading.Thread(target=self._wait_and_open, args=(seconds,), name="sql-door-later", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self._parts.close()
        self.url = ""

    def _wait_and_open(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            return
        try:
            self.open(listen_for_sql(read(SqlSettings)))
        except UsageError as error:  # a port that is taken ends no work that has begun
            log.error("SQL is not served: others cannot read the folder meanwhile", extra={"error": str(error)})

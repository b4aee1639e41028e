"""The border to clickhouse-connect: its errors in our words, by ClickHouse's error codes, and answers that end in time."""

import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from tickhouse_core.errors import TickhouseError, UsageError, WarehouseReadOnly, WarehouseRefused, WarehouseUnavailable
from tickhouse_core.loopback import is_loopback
from tickhouse_core.redaction import redacted
from tickhouse_core.sql_door.wire import REPEATED_NAME, REPEATED_PREFIX

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

QUICK_SECONDS = 60
"""Where a silence may last no longer than this, the whole answer may not either."""

LONGEST_SECONDS = 3600
"""Of every other answer. A server that works tells so now and then, which is no sign that it will ever be done."""


_TLS_PORTS = (443, 8443)
"""Where clickhouse-connect speaks TLS."""

_TRANSIENT_CODES = {
    3: "UNEXPECTED_END_OF_FILE",
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    319: "UNKNOWN_STATUS_OF_INSERT",
    341: "UNFINISHED",
    473: "DEADLOCK_AVOIDED",
    573: "EPOLL_ERROR",
    999: "KEEPER_EXCEPTION",
}
"""ClickHouse error codes after which the same statement may succeed later (src/Common/ErrorCodes.cpp)."""

_READONLY = 164

_REPEATS = (
    (re.compile(r"^Received ClickHouse exception, code: \d+, server response: "), ""),
    (REPEATED_PREFIX, r"\1"),
    (re.compile(r" \(version [^)]*\)| \(for url [^)]*\)"), ""),
    (REPEATED_NAME, r"\1"),
)
"""What clickhouse-connect puts around the server's words, and what an engine says twice when it passes an error on."""


NO_SERVER = "start one (make up) or correct CLICKHOUSE_HOST and CLICKHOUSE_PORT, or work in a folder without a server: --data DIR"


@contextmanager
def clickhouse_errors(*, in_folder: bool = False) -> Iterator[None]:
    """Maps clickhouse-connect's errors: WarehouseUnavailable, WarehouseReadOnly, WarehouseRefused, UsageError.

    `in_folder`: the engine is embedded; then other remedies are named.
    """
    try:
        yield
    except OperationalError as error:
        raise WarehouseUnavailable(f"ClickHouse: {_unreached(error) or first_line(error)}") from error
    except (DatabaseError, InterfaceError, ProgrammingError) as error:
        raise _database_error(error, in_folder) from error
    except ClickHouseError as error:
        raise WarehouseRefused(f"ClickHouse: {first_line(error)}") from error
    except OSError as error:
        raise WarehouseUnavailable(f"ClickHouse: {error}") from error


def _unreached(error: OperationalError) -> str:
    """Where nobody listens: the address, the reason, and both ways out; empty for any other trouble."""
    cause = error.__cause__
    if not isinstance(cause, MaxRetryError) or not isinstance(cause.reason, NewConnectionError):
        return ""
    reason = "no such host" if isinstance(cause.reason, NameResolutionError) else str(cause.reason).rpartition("] ")[2]
    return f"no server answers at {cause.pool.host}:{cause.pool.port} ({reason}): {NO_SERVER}"


def _database_error(error: ClickHouseError, in_folder: bool) -> TickhouseError:
    code = getattr(error, "code", None)
    message = f"ClickHouse: {first_line(error)}"
    if code == _READONLY:
        return WarehouseReadOnly(message)
    if code in _TRANSIENT_CODES:
        return WarehouseUnavailable(message)
    if code in {81, 192, 193, 516}:  # UNKNOWN_DATABASE, UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED
        remedy = "`tickhouse migrate` makes its tables" if in_folder else "run `tickhouse provision --warehouse`"
        return UsageError(f"{message}; check CLICKHOUSE_* and {remedy}")
    return WarehouseRefused(message)


def first_line(error: Exception) -> str:
    """Of the server's message, at most 500 characters, without secrets, and without what the driver and the engine repeat."""
    line = redacted(str(error)).strip().split("\n")[0]  # redacted first: half a secret is not found again
    for pattern, once in _REPEATS:
        line = pattern.sub(once, line)
    return line[:500]


@cache
def timed_pools(host: str, port: int) -> PoolManager:
    """Connections whose answers end in time: one that drips, a byte now and then, is given up like one that never comes.

    For all clients of the process, as clickhouse-connect's own, through the proxy that the environment names: but to this
    machine itself no proxy leads.

    A late answer is urllib3's ReadTimeoutError. Its own timeout restarts with every byte
    (urllib3: "Timeout", read).
    """
    proxy = None if is_loopback(host) else check_env_proxy("https" if port in _TLS_PORTS else "http", host, port)
    pools: PoolManager = get_pool_manager(http_proxy=proxy)  # whose own scheme says how the proxy itself is spoken to
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pools


class _Answer(io.RawIOBase):
    """The bytes of one answer, header and body."""

    def __init__(self, link: socket.socket) -> None:
        super().__init__()
        self._link = link
        self._bytes = link.makefile("rb", buffering=0)
        self._silence = link.gettimeout() or LONGEST_SECONDS
        self._end = time.monotonic() + (self._silence if self._silence <= QUICK_SECONDS else LONGEST_SECONDS)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._link.settimeout(min(left, self._silence))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _Link:
    """A connected socket, plain or TLS, for `http.client`: it reads each answer from a file of the socket."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def makefile(self, *_mode: object, **_options: object) -> io.BufferedReader:
        return io.BufferedReader(_Answer(self._link))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast("socket.socket", _Link(self.sock))


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast("socket.socket", _Link(self.sock))


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection

"""The border to clickhouse-connect: its errors in our words, by ClickHouse's error codes."""

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from tickhouse_core.errors import TickhouseError, UsageError, WarehouseReadOnly, WarehouseRefused, WarehouseUnavailable
from tickhouse_core.redaction import redacted

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
    319: "UNKNOWN_STATUS_OF_INSERT",
    473: "DEADLOCK_AVOIDED",
    573: "EPOLL_ERROR",
    999: "KEEPER_EXCEPTION",
}
"""ClickHouse error codes after which the same statement may succeed later (src/Common/ErrorCodes.cpp)."""

_READONLY = 164


_NOBODY = "start one (make up) or correct CLICKHOUSE_HOST and CLICKHOUSE_PORT, or work in a folder without a server: --data DIR"


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
    return f"no server answers at {cause.pool.host}:{cause.pool.port} ({reason}): {_NOBODY}"


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
    """Of the message, at most 500 characters, without secrets."""
    return redacted(str(error)).strip().split("\n")[0][:500]  # redacted first: half a secret is not found again

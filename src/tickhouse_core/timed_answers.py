"""ClickHouse's answers over HTTP end in time: one that drips, a byte now and then, is given up like one that never comes."""

import io
import socket
import time
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

QUICK_SECONDS = 60
"""Where a silence may last no longer than this, the whole answer may not either."""

LONGEST_SECONDS = 3600
"""Of every other answer. A server that works tells so now and then, which is no sign that it will ever be done."""


_TLS_PORTS = (443, 8443)
"""Where clickhouse-connect speaks TLS."""


@cache
def timed_pools(host: str, port: int) -> PoolManager:
    """Connections for all clients of the process, as clickhouse-connect's own, through the proxy that the environment names.

    An answer that is not there in time is urllib3's ReadTimeoutError. Its own timeout begins anew with every byte
    (urllib3: "Timeout", read).
    """
    proxy = check_env_proxy("https" if port in _TLS_PORTS else "http", host, port)
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

"""The HTTP client of a venue's REST side, and the name under which its bans are remembered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from extract_process.venues.body_limit import ACCEPTED, limit_body


@asynccontextmanager
async def open_client(url: str, connections: int) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client for this number of concurrent requests, and the host's name and port (never user and password).

    Answers are bounded: see `limit_body`.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx.Timeout(30, connect=5, pool=None)
    hooks = {"response": [limit_body]}
    client = httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, headers=ACCEPTED, event_hooks=hooks)
    async with client:
        yield client, host_of(url)


def host_of(url: str) -> str:
    """Name and port, never user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

"""What tests of sockets share: a client, and ways to read from it. Not a test."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

Message = dict[str, Any]


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client that sends no pings of its own and goes straight to the exchange."""
    async with connect(url, proxy=None, ping_interval=None, close_timeout=1, max_queue=None, **options) as socket:
        yield socket


async def ask(socket: ClientConnection, method: str, params: list[Any] | None = None, number: int = 1) -> Message:
    """Sends a request and returns the next frame."""
    request: Message = {"method": method, "id": number}
    await socket.send(orjson.dumps(request if params is None else {**request, "params": params}), text=True)
    return await read(socket)


async def read(socket: ClientConnection) -> Message:
    message: Message = orjson.loads(await socket.recv())
    return message


async def read_until(socket: ClientConnection, wanted: Callable[[Message], bool]) -> list[Message]:
    """Messages up to and including the first that is wanted."""
    messages = [await read(socket)]
    while not wanted(messages[-1]):
        messages.append(await read(socket))
    return messages


def get(client: httpx.Client, path: str, **asked: Any) -> Any:
    """A REST answer; the exchange has a thread of its own, so waiting for it here does no harm."""
    answer = client.get(f"/api/v3/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def apply(book: dict[str, str], levels: list[list[str]]) -> None:
    """A side of a book after a diff's levels."""
    for price, quantity in levels:
        if float(quantity):
            book[price] = quantity
        else:
            book.pop(price, None)

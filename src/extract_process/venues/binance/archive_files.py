"""Files of Binance's bulk archive (data.binance.vision), each proven by the SHA-256 in the `.CHECKSUM` beside it."""

import hashlib
import io
import os
import sys
from collections.abc import Awaitable, Callable
from typing import IO, TypeVar
from urllib.parse import quote

import httpx

from extract_process.venues.body_limit import BODY_LIMIT
from tickhouse_core.backoff import venue_requests
from tickhouse_core.errors import VenueRefused, VenueUnavailable

Found = TypeVar("Found")

_CHECKSUM_BYTES = 4_096
_PROOF_TRIES = 3
"""A file and its CHECKSUM are replaced one after the other; a pair that differs for longer than seconds is broken."""

ROOM_BYTES = 512 * 1024 * 1024
"""Stays free on the disk that a file is written to: twice what recorders keep free there, which stop channels for want of it."""

DAY_LENGTH = len("2024-01-01")


class _Unproven(VenueUnavailable):
    """A file and its CHECKSUM do not belong together, at the moment."""


class ArchiveFiles:
    """Async. A file that is not published (HTTP 404) proves nothing about the market.

    Errors, each with the file's name: VenueUnavailable when a file is still cut after all retries; VenueRefused for one that does
    not match its CHECKSUM three times, and at once for one without a CHECKSUM, with too many bytes, or without room on the disk.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        """The client's base_url is the archive's."""
        self.requests = 0
        self._client = client

    async def read(self, path: str, most_bytes: int) -> bytes | None:
        """A whole file, None where there is none."""
        sink = io.BytesIO()
        return None if await self.download(path, sink, most_bytes) is None else sink.getvalue()

    async def download(self, path: str, sink: IO[bytes], most_bytes: int) -> str | None:
        """Writes a file into `sink`, which may be far larger than memory, and returns its SHA-256; None where there is none.

        After an error `sink` has the beginning of something unproven.
        """
        unproven = 0
        async for attempt in venue_requests():
            with attempt:
                try:
                    return await self._download(path, sink, most_bytes)
                except _Unproven as error:
                    unproven += 1
                    if unproven == _PROOF_TRIES:
                        raise VenueRefused(f"{error}, {_PROOF_TRIES} times") from error
                    raise
        raise AssertionError("tenacity re-raises the last error")

    async def publishes(self, path: str) -> bool:
        """Whether there is such a file. Nothing of it is read."""
        async for attempt in venue_requests():
            with attempt:
                return await self._is_there(path)
        raise AssertionError("tenacity re-raises the last error")

    async def _download(self, path: str, sink: IO[bytes], most_bytes: int) -> str | None:
        """Three different answers: None where there is no file, VenueRefused where only the CHECKSUM is missing,
        _Unproven where the two do not match or the file of a CHECKSUM is missing.
        """
        proof = io.BytesIO()  # `<sha256>  <file name>`
        if await self._get(f"{path}.CHECKSUM", proof, _CHECKSUM_BYTES) is None:
            if await self._is_there(path):
                raise VenueRefused(f"{path} has no CHECKSUM beside it: a file that nothing proves is not taken")
            return None
        sink.seek(0)
        sink.truncate()
        digest = await self._get(path, sink, most_bytes)
        if digest is None:
            raise _Unproven(f"{path} is not there, although its CHECKSUM is")
        if proof.getvalue().lower().split()[:1] != [digest.encode()]:
            raise _Unproven(f"{path}: {sink.tell()} bytes do not match their CHECKSUM")
        return digest

    async def _get(self, path: str, sink: IO[bytes], most_bytes: int) -> str | None:
        """The SHA-256 of what was written into `sink`; None at 404."""

        async def write(response: httpx.Response) -> str | None:
            if not _is_found(response, path):
                return None
            digest = hashlib.sha256()
            length = response.headers.get("content-length", "")
            _check_room(path, sink, int(length) if length.isdecimal() else 0)
            async for block in response.aiter_bytes():
                digest.update(block)
                _check_room(path, sink, len(block))
                sink.write(block)
            return digest.hexdigest()

        return await self._ask(path, most_bytes, write)

    async def _is_there(self, path: str) -> bool:
        """By the status alone: the body is not read."""

        async def look(response: httpx.Response) -> bool:
            return _is_found(response, path)

        return await self._ask(path, sys.maxsize, look)

    async def _ask(self, path: str, most_bytes: int, use: Callable[[httpx.Response], Awaitable[Found]]) -> Found:
        self.requests += 1
        try:
            async with self._client.stream("GET", path, extensions={BODY_LIMIT: most_bytes}) as response:
                return await use(response)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__} {error}".rstrip()) from error


def _check_room(path: str, sink: IO[bytes], more_bytes: int) -> None:
    """Raises VenueRefused where a sink on a disk has no room for so many bytes more."""
    try:
        disk = os.fstatvfs(sink.fileno())
    except io.UnsupportedOperation:  # a sink in memory, which the limit of the body bounds
        return
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < more_bytes + ROOM_BYTES:
        raise VenueRefused(
            f"{path} has no room on the disk of SPOOL_DIR: {free_bytes >> 20} MB are free, {ROOM_BYTES >> 20} MB stay free for"
            " recorders; make room"
        )


def folder_of(market: str, kind: str, symbol: str, date: str) -> str:
    """Where the files of a symbol are. `date`: `2024-01-01` of a day, `2024-01` of a month."""
    return f"/data/{market}/{'daily' if len(date) == DAY_LENGTH else 'monthly'}/{kind}/{quote(symbol)}"


def _is_found(response: httpx.Response, path: str) -> bool:
    """False at 404. Raises what any other refusal stands for."""
    if response.status_code == httpx.codes.NOT_FOUND:
        return False
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise VenueUnavailable(f"{path} answered {response.status_code}")
    if not response.is_success:
        raise VenueRefused(f"{path} answered {response.status_code}")
    return True

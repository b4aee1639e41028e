"""How large an answer over HTTP may become, and how long it may take: counted while it arrives, before anything keeps it.

A few kilobytes of gzip can unpack to gigabytes, so the decoder is asked for no more than there is room for.
"""

import re
import time
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

from tickhouse_core.errors import VenueRefused, VenueUnavailable

MOST_ANSWER_BYTES = 32 * 1024 * 1024
"""Of any REST answer: ten times the largest a collector asks for (exchangeInfo of a hundred symbols)."""

BODY_LIMIT = "tickhouse.body_limit"
"""The request extension that sets another limit, bytes."""

PATIENCE_SECONDS = 30.0
SLOWEST_BYTES_A_SECOND = 16 * 1024
"""Of an answer as a whole, after the patience. A read timeout begins anew with each byte, so one that drips never meets it."""

BODY_SECONDS = "tickhouse.body_seconds"
"""The request extension that sets another patience, seconds."""

ACCEPTED = {"Accept-Encoding": "gzip"}
"""Only what is decoded here is asked for."""


async def limit_body(response: httpx.Response) -> None:
    """A response hook of httpx: the body that is read afterwards is decoded and never above the limit.

    Reading raises VenueRefused for a larger body (asking again would bring the same), VenueUnavailable for one that is
    cut, cannot be decoded or takes too long.
    """
    most = int(response.request.extensions.get(BODY_LIMIT, MOST_ANSWER_BYTES))
    name, encoding = response.request.url.path, response.headers.pop("Content-Encoding", "identity").lower()
    if encoding not in ("gzip", "x-gzip", "identity"):
        raise VenueUnavailable(f"{name}: the answer is encoded as {encoding[:40]!r}, which was not asked for")
    if response.is_success and _announced(response) > most:
        raise _too_large(name, most)
    assert isinstance(response.stream, httpx.AsyncByteStream), "the client is async"
    is_gzip, is_cut_short = encoding != "identity", not response.is_success
    patience = float(response.request.extensions.get(BODY_SECONDS, PATIENCE_SECONDS))
    response.stream = _LimitedStream(response.stream, name, most, patience, is_gzip=is_gzip, is_cut_short=is_cut_short)


class _LimitedStream(httpx.AsyncByteStream):
    """`is_cut_short`: of an error page the beginning is enough, and its length is no news."""

    def __init__(
        self, stream: httpx.AsyncByteStream, name: str, most: int, patience: float, *, is_gzip: bool, is_cut_short: bool
    ) -> None:
        self._stream = stream
        self._patience = patience
        self._is_cut_short = is_cut_short
        self._decoder = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if is_gzip else None
        self._left = most
        self._most = most
        self._name = name

    async def __aiter__(self) -> AsyncIterator[bytes]:
        began, received = time.monotonic(), 0
        async for chunk in self._stream:
            received += len(chunk)
            if time.monotonic() - began > self._patience + received / SLOWEST_BYTES_A_SECOND:
                raise VenueUnavailable(f"{self._name}: {received:,} bytes in {time.monotonic() - began:.0f} s: it is given up")
            for part in self._decoded(chunk):
                self._left -= len(part)
                if self._left < 0 and self._is_cut_short:
                    return
                if self._left < 0:
                    raise _too_large(self._name, self._most)
                yield part
        if self._decoder is not None and not self._decoder.eof:
            raise VenueUnavailable(f"{self._name}: the answer is cut")

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _decoded(self, chunk: bytes) -> Iterator[bytes]:
        """The chunk's content in pieces, none larger than what is left and one byte."""
        if self._decoder is None:
            yield chunk
            return
        try:
            while chunk and not self._decoder.eof:
                yield self._decoder.decompress(chunk, self._left + 1)
                chunk = self._decoder.unconsumed_tail
        except zlib.error as error:
            raise VenueUnavailable(f"{self._name}: the answer cannot be unpacked: {error}") from error


def _announced(response: httpx.Response) -> int:
    """Content-Length, 0 where there is none or no number."""
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0


def _too_large(name: str, most: int) -> VenueRefused:
    return VenueRefused(f"{name}: the answer has more than {most:,} bytes, more than any true one: it is not read")

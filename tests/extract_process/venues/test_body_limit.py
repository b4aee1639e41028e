"""Answers that are larger than they may be, or unpack to more: nothing of them is kept."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from extract_process.venues.body_limit import ACCEPTED, BODY_LIMIT, BODY_SECONDS, MOST_ANSWER_BYTES, limit_body
from tickhouse_core.errors import VenueRefused, VenueUnavailable


class Sent(httpx.AsyncByteStream):
    """A body on its way, in pieces as a socket gives them; counts what was taken."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.body), 16_384):
            self.taken += len(self.body[at : at + 16_384])
            yield self.body[at : at + 16_384]


async def fetch(sent: Sent, headers: dict[str, str], *, status: int = 200, limit: int | None = None) -> httpx.Response:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept-Encoding"] == "gzip", "nothing else could be decoded under a limit"
        return httpx.Response(status, headers=headers, stream=sent)

    client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer),
        base_url="https://venue.test",
        headers=ACCEPTED,
        event_hooks={"response": [limit_body]},
    )
    async with client:
        return await client.get("/api/v3/exchangeInfo", extensions={} if limit is None else {BODY_LIMIT: limit})


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_body_up_to_the_limit_is_read_as_it_is(encoding: str) -> None:
    body = b'{"serverTime":1}' * 5_000
    sent = Sent(gzip.compress(body) if encoding == "gzip" else body)
    response = await fetch(sent, {"Content-Encoding": encoding} if encoding == "gzip" else {}, limit=len(body))
    assert response.content == body
    with pytest.raises(VenueRefused, match=r"^/api/v3/exchangeInfo: the answer has more than 79,999 bytes"):
        await fetch(sent, {"Content-Encoding": encoding} if encoding == "gzip" else {}, limit=len(body) - 1)


async def test_a_few_bytes_that_unpack_to_gigabytes_are_given_up_at_the_limit() -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join([packer.compress(bytes(10_000_000)) for _ in range(30)]) + packer.flush()
    assert len(bomb) < 400_000
    sent = Sent(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(VenueRefused, match=r"more than 33,554,432 bytes"):
            await fetch(sent, {"Content-Encoding": "gzip"})
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST_ANSWER_BYTES
    finally:
        tracemalloc.stop()
    assert sent.taken < len(bomb)


async def test_a_body_that_announces_too_much_is_not_begun() -> None:
    sent = Sent(b"x" * 100)
    with pytest.raises(VenueRefused, match=r"more than 33,554,432 bytes"):
        await fetch(sent, {"Content-Length": "200000000"})
    assert sent.taken == 0


async def test_an_endless_body_without_a_length_ends_at_the_limit() -> None:
    sent = Sent(bytes(MOST_ANSWER_BYTES * 2))
    with pytest.raises(VenueRefused):
        await fetch(sent, {})
    assert sent.taken < MOST_ANSWER_BYTES + 32_768


async def test_of_an_error_page_the_beginning_is_enough() -> None:
    """Its status says what to do, however long it is."""
    response = await fetch(Sent(b"<html>" + bytes(100_000)), {}, status=502, limit=32_768)
    assert (response.status_code, len(response.content)) == (502, 32_768)


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (gzip.compress(b"x" * 100_000)[:-9], "gzip", "the answer is cut"),
        (b"no gzip at all", "gzip", "the answer cannot be unpacked"),
        (b"x", "zstd", "encoded as 'zstd', which was not asked for"),
        (b"x", "deflate", "encoded as 'deflate'"),
    ],
)
async def test_a_body_that_cannot_be_decoded_is_asked_for_again(body: bytes, encoding: str, why: str) -> None:
    with pytest.raises(VenueUnavailable, match=rf"^/api/v3/exchangeInfo: .*{why}"):
        await fetch(Sent(body), {"Content-Encoding": encoding})


class Dripping(httpx.AsyncByteStream):
    """A body without an end, of which a byte comes now and then."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1
            yield b" "
            await asyncio.sleep(0.002)


async def test_an_answer_that_drips_is_given_up() -> None:
    """A read timeout begins anew with each byte: it alone would wait for ever."""
    sent = Dripping()
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=sent)), event_hooks={"response": [limit_body]}
    )
    async with client:
        with pytest.raises(VenueUnavailable, match="it is given up"):
            await client.get("https://venue.test/api/v3/time", extensions={BODY_SECONDS: 0.05})
    assert sent.taken > 2

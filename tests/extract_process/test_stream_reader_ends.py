"""How a connection of StreamConnection begins and ends: refused, closed, cut, silent or left by us, each said in words."""

import asyncio
import socket
from http import HTTPStatus

import pytest
from tests.waiting import patience
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from extract_process.feed.websocket import LARGEST_FRAME, open_stream
from tickhouse_core.errors import VenueUnavailable

from .socket_venues import SILENCE, Received, Venue, end_of, opened, raw_venue_that, venue_that


@pytest.fixture
async def received() -> Received:
    return Received()


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_message_beyond_all_measure_ends_the_connection_instead_of_filling_memory(
    fragments: int, received: Received
) -> None:
    part = b"x" * (LARGEST_FRAME // fragments)
    codes: list[int] = []

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"before")
        venue.protocol.send_text(part, fin=False)
        for _ in range(fragments - 1):
            venue.protocol.send_continuation(part, fin=False)
        venue.protocol.send_continuation(b"x", fin=True)
        venue.send()
        await venue.read_close()
        assert venue.protocol.close_rcvd
        codes.append(venue.protocol.close_rcvd.code)

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        said = await end_of(connection)
    assert received.frames == [b"before"]
    assert codes == [1009]
    assert said.startswith("refused by us: 1009 ")


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (1000, "", "closed by the venue: 1000"),
        (1001, "going away", "closed by the venue: 1001 going away"),
        (1008, "Too many requests", "closed by the venue: 1008 Too many requests"),
        (4000, "zu viel für uns", "closed by the venue: 4000 zu viel für uns"),
        (None, "", "closed by the venue: 1005"),
    ],
)
async def test_the_venues_reason_to_close_is_said(code: int | None, reason: str, said: str, received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"last words")
        venue.protocol.send_close(code, reason)
        venue.send()
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        assert await end_of(connection) == said
    assert received.frames == [b"last words"]


async def test_a_reset_is_said_and_takes_nothing_that_was_handed_on(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"before")
        venue.send()
        await received.until(1)
        venue.reset()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        assert "Connection reset by peer" in await end_of(connection)
    assert received.frames == [b"before"]


async def test_an_end_without_a_goodbye_is_said_and_half_a_frame_is_not_handed_on(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"whole")
        venue.protocol.send_text(b"torn")
        venue.writer.write(b"".join(venue.protocol.data_to_send())[:-1])

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        assert await end_of(connection) == "connection lost: end of stream without a close frame"
    assert received.frames == [b"whole"]


async def test_what_is_no_websocket_frame_ends_the_connection_and_is_said(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"before")
        venue.send()
        venue.writer.write(b"\xff\x00garbage")
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        assert (await end_of(connection)).startswith("refused by us: 1002 ")
    assert received.frames == [b"before"]


async def test_silence_ends_a_connection_that_looks_open(received: Received) -> None:
    async def behave(venue: ServerConnection) -> None:
        await venue.send("once")
        await venue.recv()

    async with venue_that(behave) as url, opened(url, received, silence_seconds=0.3) as connection:
        cause = await end_of(connection)
    assert cause.startswith("silent for ")
    assert float(cause.split()[2]) >= 0.3


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TOO_MANY_REQUESTS, 503])
async def test_a_refused_handshake_is_an_error_with_the_status(status: int, received: Received) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus(status), '{"code":-1034,"msg":"Too many new connections"}')

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(VenueUnavailable, match=f"handshake refused: .*HTTP {int(status)}"):
            await open_stream(f"ws://127.0.0.1:{port}/stream", received, SILENCE)
    assert received.calls == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "handshake refused: did not receive a valid HTTP response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "handshake refused: did not receive a valid HTTP response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web", "handshake refused: did not receive a valid HTTP response"),
    ],
    ids=["nothing", "another protocol", "half an answer"],
)
async def test_a_server_that_is_none_is_an_error_in_one_line(answer: bytes, said: str, received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.reader.readuntil(b"\r\n\r\n")
        venue.writer.write(answer)

    async with raw_venue_that(behave) as url:
        with pytest.raises(VenueUnavailable, match=f"^{said}$"):
            await open_stream(url, received, SILENCE)


async def test_a_server_that_accepts_and_never_answers_is_left(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.reader.read(-1)

    async with raw_venue_that(behave) as url:
        with pytest.raises(VenueUnavailable, match="silent for"):
            await open_stream(url, received, silence_seconds=0.3)


async def test_nobody_listening_is_an_error_that_says_where(received: Received) -> None:
    with socket.socket() as taken:  # and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(VenueUnavailable, match=f"cannot connect to 127.0.0.1:{port}: "):
            await open_stream(f"ws://127.0.0.1:{port}/stream", received, SILENCE)


async def test_a_message_into_an_ending_connection_goes_nowhere(received: Received) -> None:
    """The venue has said goodbye and keeps the line open: a SUBSCRIBE that is due now must not end the capture."""
    let_go = asyncio.Event()

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"last words")
        venue.protocol.send_close(1001, "bye")
        venue.send()
        await let_go.wait()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        await received.until(1)
        assert not connection.lost.done()
        connection.send(b'{"id":1}')
        let_go.set()
        assert await end_of(connection) == "closed by the venue: 1001 bye"
        connection.send(b'{"id":2}')


async def test_closing_what_the_venue_is_closing_is_no_error(received: Received) -> None:
    let_go = asyncio.Event()

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"last words")
        venue.protocol.send_close(1001, "bye")
        venue.send()
        await let_go.wait()

    async with raw_venue_that(behave) as url:
        connection = await open_stream(url, received, SILENCE)
        await received.until(1)
        closing = asyncio.create_task(connection.close())
        let_go.set()
        await closing
        assert connection.lost.done()


async def test_what_still_comes_while_we_close_is_handed_on(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.send()
        await venue.read_close()
        answer = b"".join(venue.protocol.data_to_send())
        late = ServerProtocol(state=State.OPEN)
        late.send_text(b"sent before our goodbye was read")
        venue.writer.write(b"".join(late.data_to_send()) + answer)

    async with raw_venue_that(behave) as url:
        connection = await open_stream(url, received, SILENCE)
        await connection.close()
        assert await end_of(connection) == "closed by us"
    assert received.frames == [b"sent before our goodbye was read"]


@pytest.mark.slow
async def test_a_venue_that_does_not_answer_our_goodbye_is_left(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.send()
        while await venue.reader.read(65_536):
            pass  # reads all, answers nothing

    async with raw_venue_that(behave) as url:
        connection = await open_stream(url, received, SILENCE)
        async with asyncio.timeout(patience(5)):
            await connection.close()
        assert await end_of(connection) == "closed by us"

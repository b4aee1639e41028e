"""StreamConnection against real websocket servers: what comes is handed on, in order, and nothing piles up."""

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.waiting import patience
from websockets.asyncio.server import ServerConnection
from websockets.sync.server import ServerConnection as BlockingConnection
from websockets.sync.server import serve as serve_blocking

from extract_process.feed.websocket import StreamConnection, open_stream
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.timestamps import now_us

from .socket_venues import SILENCE, Received, Venue, end_of, opened, raw_venue_that, venue_that


@pytest.fixture
async def received() -> Received:
    return Received()


async def test_frames_are_handed_on_in_order_with_the_time_of_their_receipt(received: Received) -> None:
    async def behave(venue: ServerConnection) -> None:
        for number in range(2_000):
            await venue.send(f"frame {number}")
        await venue.recv()

    before = now_us()
    async with venue_that(behave) as url, opened(url, received) as connection:
        await received.until(2_000)
        connection.send(b"enough")
    assert received.frames == [b"frame %d" % number for number in range(2_000)]
    times = [receipt_time for _, receipt_time in received.calls]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= now_us()


async def test_frames_that_come_with_the_handshake_are_handed_on(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"first")
        venue.protocol.send_text(b"second")
        venue.send()
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received):
        await received.until(2)
    assert received.frames == [b"first", b"second"]
    assert len(received.calls) == 1


@pytest.mark.parametrize("ends", [False, True], ids=["stays", "ends at once"])
async def test_a_flood_of_tiny_frames_leaves_the_event_loop_its_turns(received: Received, ends: bool) -> None:
    """60,000 frames of one byte come as one read or a few."""

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.send()
        venue.writer.write(b"\x81\x011" * 60_000)
        await venue.writer.drain()
        if not ends:
            await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        if ends:
            await connection.lost
        await received.until(60_000)
    assert received.frames == [b"1"] * 60_000
    assert max(len(frames) for frames, _ in received.calls) <= 6_000


async def test_an_end_in_the_same_read_comes_behind_what_was_read(received: Received) -> None:
    """TLS tells data and end in one turn: the protocol gets them one after the other, as here."""

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.send()
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received) as connection:
        connection.data_received(b"\x81\x011" * 60_000)
        connection.eof_received()
        await received.until(60_000)
    assert received.frames == [b"1"] * 60_000


async def test_fragments_become_one_message_whatever_comes_between_them(received: Received) -> None:
    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"be", fin=False)
        venue.protocol.send_ping(b"now?")
        venue.send()
        await venue.read_pong()
        venue.protocol.send_continuation("fö".encode(), fin=False)
        venue.protocol.send_continuation(b"re", fin=True)
        venue.protocol.send_binary(b"after")
        venue.send()
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received):
        await received.until(2)
    assert received.frames == ["beföre".encode(), b"after"]


@pytest.mark.slow
async def test_a_message_in_very_many_fragments_takes_no_more_memory_than_its_bytes(received: Received) -> None:
    """The limit counts a message's bytes; its fragments as objects would be twenty times as large."""
    many, held = 50_000, []

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.protocol.send_text(b"ab", fin=False)
        venue.send()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        venue.writer.write(b"\x00\x02cd" * many)
        venue.protocol.send_ping(b"all there?")
        venue.send()
        await venue.read_pong()
        held.append(tracemalloc.get_traced_memory()[0] - before)
        tracemalloc.stop()
        venue.writer.write(b"\x80\x00")
        await venue.read_close()

    async with raw_venue_that(behave) as url, opened(url, received):
        await received.until(1)
    assert received.frames == [b"ab" + b"cd" * many]
    assert held[0] < 1_000_000


async def test_a_frame_of_many_packets_is_one_message(received: Received) -> None:
    large = b"0123456789abcdef" * 500_000

    async def behave(venue: ServerConnection) -> None:
        await venue.send(large)
        await venue.send("small")
        await venue.recv()

    async with venue_that(behave) as url, opened(url, received):
        await received.until(2)
    assert received.frames == [large, b"small"]


@pytest.mark.slow
async def test_pings_are_answered_and_count_as_a_sign_of_life(received: Received) -> None:
    silence = patience(0.6)  # the venue shares this event loop: one that stands still for so long is silence

    async def behave(venue: ServerConnection) -> None:
        async with asyncio.timeout(patience(20)):
            for _ in range(7):
                await (await venue.ping())
                await asyncio.sleep(silence / 3)
        await venue.send("still there")
        await venue.recv()

    async with venue_that(behave) as url, opened(url, received, silence) as connection:
        await received.until(1)
        assert not connection.lost.done()
        assert connection.lived_seconds > 2 * silence
        assert (await end_of(connection)).startswith("silent for ")
    assert received.frames == [b"still there"]


async def test_messages_reach_the_venue_as_text(received: Received) -> None:
    came: list[str | bytes] = []

    async def behave(venue: ServerConnection) -> None:
        async for message in venue:
            came.append(message)
            await venue.send(f"{len(came)}")

    async with venue_that(behave) as url, opened(url, received) as connection:
        connection.send(b'{"id":1}')
        connection.send('{"id":"zwölf"}'.encode())
        await received.until(2)
    assert came == ['{"id":1}', '{"id":"zwölf"}']


def test_a_slow_receiver_pauses_the_socket_and_nothing_is_lost_or_piled_up() -> None:
    """The receiver waits until the venue cannot send any more, then reads on."""
    size, number, sent = 64 * 1024, 1_600, 0  # 100 MiB: the kernel's buffers take 36 at most
    stalled_at, calls = 0, []

    def behave(venue: BlockingConnection) -> None:
        nonlocal sent
        for sent in range(1, number + 1):  # read by the other side
            venue.send(b"%08d" % sent + bytes(size - 8))

    def receive(connection: StreamConnection, frames: list[bytes], receipt_time: int) -> None:
        nonlocal stalled_at
        while not stalled_at:
            before = sent
            time.sleep(0.2)  # this is the slow disk
            stalled_at = sent if sent == before else 0
        calls.append([int(frame[:8]) for frame in frames])

    async def capture(url: str) -> str:
        connection = await open_stream(url, receive, SILENCE)
        return await end_of(connection)

    with serve_blocking(behave, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        tracemalloc.start()
        try:
            said = asyncio.run(capture(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/stream"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            server.shutdown()
            thread.join()
    assert said == "closed by the venue: 1000"
    assert stalled_at * size < 40 * 1024**2, "the venue could go on sending to nobody"
    assert [frame for frames in calls for frame in frames] == list(range(1, number + 1))
    assert max(map(len, calls)) * size <= 512 * 1024
    assert peak < 8 * 1024**2


@asynccontextmanager
async def proxy_to(port: int, refusal: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """An HTTP proxy that knows where every name leads; its port, and the requests it got."""
    requests: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        if refusal:
            writer.write(refusal)
            writer.close()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pipe(reader, there), pipe(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], requests


async def test_a_socket_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue's name does not resolve here; only the proxy knows it."""
    received = Received()

    async def behave(venue: ServerConnection) -> None:
        await venue.send(b"hello")
        await venue.wait_closed()

    async with venue_that(behave) as url, proxy_to(int(url.rsplit(":", 1)[1].split("/")[0])) as (port, requests):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{port}")
        async with opened("ws://venue.invalid:9443/stream", received):
            await received.until(1)
    assert received.frames == [b"hello"]
    assert requests[0].startswith(b"CONNECT venue.invalid:9443 HTTP/1.1")
    assert b"Proxy-Authorization: Basic " in requests[0]


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://me:secret@127.0.0.1:{port}", "proxy rejected connection: HTTP 407"),
        ("http://me:secret@", "is no address like http://host:port"),
        ("socks5://me:secret@127.0.0.1:{port}", "not socks5"),
    ],
)
async def test_a_proxy_that_will_not_is_said_without_its_password(proxy: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy_to(9, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=port))
        with pytest.raises(VenueUnavailable, match=said) as caught:
            await open_stream("ws://venue.invalid:9443/stream", Received(), 5.0)
    assert "secret" not in str(caught.value)

"""What any venue's REST client does with an answer: parsed once, with its receipt time, and a large one beside the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from extract_process.venues.binance.rest import BinanceRest, classify
from extract_process.venues.rate_limit import RateLimit
from extract_process.venues.rest_client import BanStore, RestClient
from tickhouse_core.errors import VenueBanned, VenueUnavailable
from tickhouse_core.timestamps import MINUTE_US, now_us

DEPTH = {"lastUpdateId": 5, "bids": [["1.0", "2.0"]], "asks": [["1.5", "2.0"]]}


class CountingPool(ThreadPoolExecutor):
    """The threads beside an event loop."""

    handed_over = 0

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        self.handed_over += 1
        return super().submit(work, *args, **named)


def client_of(answers: list[bytes], folder: Path) -> RestClient:
    """Gives these bodies one after the other."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answers.pop(0)))
    client = httpx.AsyncClient(transport=transport, base_url="https://venue.test")
    limit = RateLimit(6_000, MINUTE_US, is_aligned=True)
    return RestClient(client, limit, BanStore(folder, "toy", "venue.test"), classify)


@pytest.mark.parametrize(("levels", "handed_over"), [(100, 0), (1_000, 0), (5_000, 1)])
async def test_a_large_snapshot_is_parsed_beside_the_event_loop(levels: int, handed_over: int, tmp_path: Path) -> None:
    """Frames that come meanwhile would have a receipt time that is too late."""
    pool = CountingPool(1)
    asyncio.get_running_loop().set_default_executor(pool)
    rest = BinanceRest(client_of([orjson.dumps(DEPTH)], tmp_path))

    answer = await rest.fetch_depth("BTCUSDT", levels, "start")

    assert (answer.body, answer.parsed.last_update_id) == (orjson.dumps(DEPTH), 5)
    assert pool.handed_over == handed_over


@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_cannot_be_read_is_asked_again_and_what_can_be_has_its_receipt_time(in_thread: bool, tmp_path: Path) -> None:
    client, parsed, began = client_of([b"cut", b"whole"], tmp_path), list[tuple[bytes, int]](), now_us()

    def parse(body: bytes, receipt_time: int) -> str:
        parsed.append((body, receipt_time))
        if body == b"cut":
            raise VenueUnavailable("unusable")
        return body.decode()

    answer = await client.get("/what", {}, 7, parse, in_thread=in_thread)

    assert [body for body, _ in parsed] == [b"cut", b"whole"]
    assert answer == (b"whole", parsed[1][1], "whole")
    assert began <= parsed[0][1] <= parsed[1][1] <= now_us()
    assert (client.tally.requests, client.tally.retries, client.tally.weight) == (2, 1, 14)


async def test_a_ban_of_another_process_counts_for_this_one(tmp_path: Path) -> None:
    """To send requests during a ban makes it longer."""
    client = client_of([b"before", b"during"], tmp_path)
    await client.get("/what", {}, 1, lambda body, _: body)
    BanStore(tmp_path, "toy", "venue.test").remember(VenueBanned("shut out", now_us() + MINUTE_US))
    with pytest.raises(VenueBanned, match="shut out"):
        await client.get("/what", {}, 1, lambda body, _: body)
    assert client.tally.requests == 1

"""A mirror under load, in a process of its own: `mirror_load.py URL TOPIC SECONDS SNAPSHOT SYMBOL…`. For bench_mirror.py.

Everything of the mirror but the REST side: a snapshot file in the venue's form is the answer to every question. Prints
what it measured as JSON.
"""

import asyncio
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from extract_process.feed.websocket import open_stream
from extract_process.live.request_queue import RequestQueue
from extract_process.live.requests import SnapshotRequest
from extract_process.mirror.handler import MirrorHandler
from extract_process.mirror.options import MirrorOptions
from extract_process.mirror.publisher import Publisher, PublishOptions
from extract_process.mirror.pubsub import open_publisher
from extract_process.venues.binance import VENUE as BINANCE
from extract_process.venues.binance.rest import parse_depth
from extract_process.venues.rest_client import Answer
from tickhouse_core.lifecycle import garbage_collected_seldom
from tickhouse_core.settings import PubSubSettings

WARM_SECONDS = 3.0


def main() -> None:
    url, topic, seconds, snapshot, *symbols = sys.argv[1:]
    with garbage_collected_seldom():
        print(orjson.dumps(asyncio.run(_load(url, topic, float(seconds), Path(snapshot).read_bytes(), symbols))).decode())


async def _load(url: str, topic: str, seconds: float, snapshot: bytes, symbols: list[str]) -> dict[str, Any]:
    at_start = memory_mb("VmRSS")
    async with open_publisher(PubSubSettings()) as client:
        publisher = Publisher(client, PublishOptions())
        snapshots: RequestQueue[SnapshotRequest] = RequestQueue()
        mirror = MirrorHandler(BINANCE, MirrorOptions(tuple(symbols), channels=("depth",)), publisher, lambda _: topic, snapshots)
        publishing = asyncio.create_task(publisher.run())
        answering = asyncio.create_task(snapshots.run(partial(_answer, mirror, snapshot)))

        def receive(_: object, frames: list[bytes], receipt_time: int) -> None:
            mirror.on_messages(mirror.record(frames, receipt_time), receipt_time)

        connection = await open_stream(url, receive, silence_seconds=60)
        await asyncio.sleep(WARM_SECONDS)
        began, cpu, diffs, messages, requests = _now(mirror, publisher)
        await asyncio.sleep(seconds)
        ended, cpu_after, diffs_after, messages_after, requests_after = _now(mirror, publisher)
        connection.abort("enough")
        left = await publisher.finish(20)
        for task in (publishing, answering):
            task.cancel()
        await asyncio.wait([publishing, answering])
    return {
        "seconds": ended - began,
        "cpu_seconds": cpu_after - cpu,
        "diffs": diffs_after - diffs,
        "published": messages_after - messages,
        "requests": requests_after - requests,
        "deltas": mirror.counts.deltas,
        "all_diffs": mirror.counts.diffs,
        "lost": publisher.counts.lost,
        "left": left,
        "gaps": mirror.counts.gaps,
        "memory_at_start_mb": at_start,
        "memory_peak_mb": memory_mb("VmHWM"),
    }


def memory_mb(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))


def _now(mirror: MirrorHandler, publisher: Publisher) -> tuple[float, float, int, int, int]:
    published = publisher.counts
    return time.monotonic(), time.process_time(), mirror.counts.diffs, published.messages, published.requests


async def _answer(mirror: MirrorHandler, snapshot: bytes, request: SnapshotRequest) -> None:
    """In front of the diffs that came; asked with one level more than it has, it counts as told whole."""
    if not request.as_proof:
        mirror.on_request(request)
        book = parse_depth(snapshot, symbol=request.symbol, reason=request.reason)
        last_id = mirror.last_update_id(request.symbol) or 0
        asked = replace(request, levels=len(book.bids) + 1)
        mirror.on_answer(asked, Answer(snapshot, 0, book._replace(last_update_id=last_id)))


if __name__ == "__main__":
    main()

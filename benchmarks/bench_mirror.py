"""The mirror measured: volume on the recording, cost of packing, and messages a second on one core against the emulator.

    .venv/bin/python benchmarks/bench_mirror.py [--data ../shared/data] [--seconds 10] [--rate 5000]

- volume: messages and bytes (bodies, attributes, ordering keys: what Pub/Sub bills) of the recorded BTCUSDT session against
  every changed level as a message of its own, every diff as a message, and the design that filters by price;
- packing: CPU microseconds and bytes a delta: Google's threaded client, the generated client with batches of ours, and
  several deltas in one message;
- load: real BTCUSDT frames over a websocket of another process through books, views and publisher to the emulator.

The emulator comes from the Cloud SDK (component pubsub-emulator); what needs it is left out without.
"""

import argparse
import asyncio
import gzip
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, PublishRequest, PubsubMessage

from extract_process.mirror.messages import Message, MessageForms
from extract_process.mirror.mirror_book import MirrorBook
from extract_process.mirror.pubsub import open_publisher, topic_path
from extract_process.records import DepthDiff, DepthSnapshot
from tickhouse_core.lifecycle import garbage_collected_seldom
from tickhouse_core.settings import PubSubSettings

RECORDING = "binance_session_BTCUSDT_20240808.jsonl.gz"
FORMS = MessageForms("binance", "BTCUSDT")
PROJECT = "bench"
SERVER = Path(__file__).parent / "peers" / "frame_server.py"
LOAD = Path(__file__).parent / "peers" / "mirror_load.py"


class Recording(NamedTuple):
    snapshot: DepthSnapshot
    diffs: list[tuple[int, dict[str, Any]]]
    """Receive time in microseconds and the diff as the venue sent it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--rate", type=int, default=5_000, help="raw messages a second of the paced load")
    arguments = parser.parse_args()
    if not (arguments.data / RECORDING).exists():
        print(f"nothing is measured: {arguments.data} has no {RECORDING}; name the folder of recorded data with --data")
        return
    recording = _read(arguments.data / RECORDING)
    print(f"{len(recording.diffs):,} recorded diffs; each load {arguments.seconds:.0f} s", flush=True)
    _print_volume(recording)
    with garbage_collected_seldom(), _emulator() as address:
        if address is None:
            print("packing and load are left out: no Pub/Sub emulator")
            return
        os.environ["PUBSUB_EMULATOR_HOST"] = address
        deltas = [message for _, message in _mirrored(recording, 0)]
        _print_packing(deltas)
        with tempfile.NamedTemporaryFile() as file:
            book = recording.snapshot
            file.write(orjson.dumps({"lastUpdateId": book.last_update_id, "bids": book.bids, "asks": book.asks}))
            file.flush()
            for symbols, rate in ((1, 0), (1, arguments.rate), (100, 1_000), (100, arguments.rate)):
                _print_load(recording, Path(file.name), symbols, rate, arguments.seconds)


# Volume


def _print_volume(recording: Recording) -> None:
    ways: dict[str, list[int]] = {
        "every changed level a message": list(_every_level(recording)),
        "every diff a message, verbatim": [_billed(orjson.dumps(diff)) for _, diff in recording.diffs],
        "price in the local top 30 (drifts)": list(_filtered(recording)),
    }
    for milliseconds in (0, 100, 200, 500, 1_000):
        messages = _mirrored(recording, milliseconds * 1_000, snapshot_us=10_000_000)
        ways[f"mirror, --conflate {milliseconds}"] = [_billed(message.data) for _, message in messages]
    print(f"{'':>36}  messages        bytes  against levels  against diffs")
    levels, diffs = (sum(sizes) for sizes in list(ways.values())[:2])
    for name, sizes in ways.items():
        size = sum(sizes)
        print(f"{name:>36}  {len(sizes):8,}  {size:11,}  {size / levels:14.1%}  {size / diffs:13.1%}")


def _every_level(recording: Recording) -> Iterator[int]:
    for receipt_time, diff in recording.diffs:
        for side, key in (("bid", "b"), ("ask", "a")):
            for level in diff[key]:
                yield _billed(_level_message(receipt_time, diff, side, level))


def _filtered(recording: Recording) -> Iterator[int]:
    """Each changed level whose price is within the local top 30 at that moment."""
    mirror = _synced(recording)
    for receipt_time, diff in recording.diffs:
        mirror.on_diff(_record(diff), receipt_time)
        _refresh(mirror, diff)
        view = mirror._view
        bids, asks = view.take_all()
        for side, key, told in (("bid", "b", bids), ("ask", "a", asks)):
            worst = told[-1][0] / 1e18 if told else 0.0
            for level in diff[key]:
                if (float(level[0]) >= worst) if side == "bid" else (float(level[0]) <= worst):
                    yield _billed(_level_message(receipt_time, diff, side, level))


def _level_message(receipt_time: int, diff: dict[str, Any], side: str, level: Sequence[str]) -> bytes:
    head = {"venue": "binance", "symbol": "BTCUSDT", "sequence": receipt_time, "last_update_id": diff["u"]}
    body = {**head, "event_time": diff["E"] * 1_000, "receipt_time": receipt_time, "side": side}
    return orjson.dumps({**body, "price": level[0], "quantity": level[1]})


def _mirrored(recording: Recording, pause_us: int, snapshot_us: int = 10**18) -> list[tuple[int, Message]]:
    """What the mirror would publish, by the recorded clock; a message waits until the pause is over."""
    mirror, said, last = _synced(recording), [], 0
    next_snapshot = recording.diffs[0][0] + snapshot_us
    for receipt_time, diff in recording.diffs:
        is_timer_due = pause_us and last + pause_us < receipt_time  # before this diff
        if is_timer_due and (message := mirror.take()) is not None:
            last += pause_us
            said.append((last, message))
        mirror.on_diff(_record(diff), receipt_time)
        _refresh(mirror, diff)
        if receipt_time >= next_snapshot:
            mirror.snapshot_due, next_snapshot = True, receipt_time + snapshot_us
        if receipt_time - last >= pause_us and (message := mirror.take()) is not None:
            last = receipt_time
            said.append((receipt_time, message))
    return said


def _synced(recording: Recording) -> MirrorBook:
    mirror = MirrorBook(FORMS, 30, 1_000, sequence=1_723_161_253_000_000)
    mirror.on_diff(DepthDiff("BTCUSDT", 0, recording.snapshot.last_update_id, [], [], 0), 0)
    mirror.on_snapshot(recording.snapshot, 1_000, 0)
    return mirror


def _refresh(mirror: MirrorBook, diff: dict[str, Any]) -> None:
    """The venue's answer to a thin book: the best 1,000 levels of the running one (which the recording does not have)."""
    if not mirror._view.is_thin or (known := mirror._watch.book) is None:
        return
    text = mirror._texts.text_of
    bids = [[text(price), known.book.bids[price]] for price in sorted(known.book.bids, reverse=True)[:1_000]]
    asks = [[text(price), known.book.asks[price]] for price in sorted(known.book.asks)[:1_000]]
    mirror.on_snapshot_asked(as_proof=True)
    mirror.on_snapshot(DepthSnapshot("BTCUSDT", diff["u"], bids, asks, "refresh"), 1_000, diff["E"] * 1_000)


def _billed(data: bytes) -> int:
    attributes = FORMS.attributes(Message(data, "delta", 1_723_161_253_000_000))
    return len(data) + sum(len(name) + len(value) for name, value in attributes.items()) + len(FORMS.ordering_key)


# Packing


def _print_packing(deltas: list[Message]) -> None:
    publisher = PublisherClient()
    path = topic_path(PROJECT, "packing")
    publisher.create_topic(name=path)
    print(f"\n{'packing of ' + format(len(deltas), ',') + ' deltas':>52}  CPU us/delta  bytes/delta")
    single = sum(_billed(delta.data) for delta in deltas) / len(deltas)
    _print_cost("Google's threaded client, one message a delta", _threaded(path, deltas, keys=1), single)
    _print_cost("the same, 100 keys with a delta each 100 ms", _threaded(path, deltas[:3_000], keys=100), single)
    _print_cost("generated client, one message a delta", asyncio.run(_generated(path, deltas, keys=1, pack=1)), single)
    _print_cost("the same, 100 keys with a delta each 100 ms", asyncio.run(_generated(path, deltas[:3_000], 100, 1)), single)
    for pack in (5, 20):
        packs = [b"[" + b",".join(delta.data for delta in deltas[at : at + pack]) + b"]" for at in range(0, len(deltas), pack)]
        size = sum(map(_billed, packs)) / len(deltas)
        cost = asyncio.run(_generated(path, deltas, keys=1, pack=pack))
        _print_cost(f"generated client, {pack} deltas a message", cost, size)


def _print_cost(name: str, seconds_a_delta: float, size: float) -> None:
    print(f"{name:>52}  {seconds_a_delta * 1e6:12.1f}  {size:11.0f}")


def _threaded(path: str, deltas: list[Message], keys: int) -> float:
    """CPU seconds a delta; with many keys one delta each every 100 ms."""
    batch = pubsub_v1.types.BatchSettings(max_messages=1_000, max_latency=0.1, max_bytes=4_000_000)
    client = pubsub_v1.PublisherClient(batch, pubsub_v1.types.PublisherOptions(enable_message_ordering=True))
    began, futures = time.process_time(), []
    for number, delta in enumerate(deltas):
        key = f"binance:{number % keys}"
        futures.append(client.publish(path, delta.data, ordering_key=key, **FORMS.attributes(delta)))
        if keys > 1 and number % keys == keys - 1:
            time.sleep(0.1)
    for future in futures:
        future.result(60)
    spent = time.process_time() - began
    client.stop()
    return spent / len(deltas)


async def _generated(path: str, deltas: list[Message], keys: int, pack: int) -> float:
    request_of, message_of = PublishRequest.pb(), PubsubMessage.pb()
    async with open_publisher(PubSubSettings()) as client:

        async def send(key: str, batch: Sequence[Message]) -> None:
            packed = [batch[at : at + pack] for at in range(0, len(batch), pack)]
            messages = [
                message_of(
                    data=pack_[0].data if pack == 1 else b"[" + b",".join(delta.data for delta in pack_) + b"]",
                    attributes=FORMS.attributes(pack_[-1]),
                    ordering_key=key,
                )
                for pack_ in packed
            ]
            await client.publish(request=PublishRequest.wrap(request_of(topic=path, messages=messages)), retry=None, timeout=30)

        began = time.process_time()
        if keys == 1:
            for at in range(0, len(deltas), 1_000):
                await send("binance:0", deltas[at : at + 1_000])
        else:
            for at in range(0, len(deltas), keys):
                await asyncio.gather(*(send(f"binance:{key}", [delta]) for key, delta in enumerate(deltas[at : at + keys])))
                await asyncio.sleep(0.1)
        return (time.process_time() - began) / len(deltas)


# Load


def _print_load(recording: Recording, snapshot: Path, symbols: int, rate: int, seconds: float) -> None:
    names = [f"S{number:03}USDT" for number in range(symbols)]
    topic = topic_path(PROJECT, f"load-{time.monotonic_ns()}")
    with PublisherClient() as admin:
        admin.create_topic(name=topic)
    with _frame_server(recording, names, rate) as url:
        command = [sys.executable, str(LOAD), url, topic, str(seconds), str(snapshot), *names]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured = orjson.loads(answer.stdout)
    took, spent = measured["seconds"], measured["cpu_seconds"]
    pace = f"paced at {rate:,}/s" if rate else "as fast as it goes"
    print(
        f"\n{symbols} symbols, {pace}:\n"
        f"  {measured['diffs'] / took:,.0f} raw messages/s, {measured['published'] / took:,.0f} published/s in "
        f"{measured['requests'] / took:,.0f} requests/s, {spent / took:.0%} of a core: "
        f"{measured['diffs'] / spent:,.0f} raw messages per CPU second\n"
        f"  a delta for {measured['deltas'] / measured['all_diffs']:.0%} of the diffs; lost {measured['lost']}, left "
        f"{measured['left']}, gaps {measured['gaps']}; memory {measured['memory_at_start_mb']} MB at the start, "
        f"{measured['memory_peak_mb']} MB at the peak"
    )


@contextmanager
def _frame_server(recording: Recording, names: Sequence[str], rate: int) -> Iterator[str]:
    """Recorded diffs of the first minutes again and again, update ids counting on."""
    with tempfile.NamedTemporaryFile() as file:
        diffs = [diff for _, diff in recording.diffs[:3_000]]
        file.write(orjson.dumps({"symbols": names, "rate": rate, "diffs": diffs}))
        file.flush()
        server = subprocess.Popen([sys.executable, SERVER, file.name], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait()


# What is needed for it


def _read(path: Path) -> Recording:
    snapshot, diffs = None, []
    with gzip.open(path) as lines:
        for line in map(orjson.loads, lines):
            raw = line["raw"]
            if line["src"] == "rest":
                snapshot = DepthSnapshot("BTCUSDT", raw["lastUpdateId"], raw["bids"], raw["asks"], "start")
            elif line["src"] == "ws" and raw["stream"].endswith("@depth@100ms"):
                diffs.append((line["recv_ns"] // 1_000, raw["data"]))
    assert snapshot is not None, f"{path} has no snapshot"
    return Recording(snapshot, [item for item in diffs if item[1]["u"] > snapshot.last_update_id])


def _record(diff: dict[str, Any]) -> DepthDiff:
    return DepthDiff("BTCUSDT", diff["U"], diff["u"], diff["b"], diff["a"], diff["E"] * 1_000)


@contextmanager
def _emulator() -> Iterator[str | None]:
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    folder = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib" if gcloud else Path("/nowhere")
    jars = sorted(folder.glob("cloud-pubsub-emulator-*-all.jar"))
    if java is None or not jars:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    null = subprocess.DEVNULL
    process = subprocess.Popen([java, "-jar", str(jars[-1]), "--host=127.0.0.1", f"--port={port}"], stdout=null, stderr=null)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

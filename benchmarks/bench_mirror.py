"""The mirror measured: volume on the recording, cost of packing, and messages a second on one core against the emulator.

    .venv/bin/python benchmarks/bench_mirror.py [--data ../shared/data] [--seconds 10] [--rate 5000]

- volume: messages and bytes (bodies, attributes, ordering keys: what Pub/Sub bills) of the recorded BTCUSDT session against
  every changed level as a message of its own, every diff as a message, and the design that filters by price;
- packing: CPU microseconds and bytes a delta: Google's threaded client, the generated client with batches of ours, and
  several deltas in one message;
- load: real BTCUSDT frames over a websocket of another process through books, views and publisher to the emulator.

The emulator comes from the Cloud SDK (component pubsub-emulator); what needs it is left out without.
"""

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
from report import Report, options
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
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--rate", type=int, default=5_000, help="raw messages a second of the paced load")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    if not (arguments.data / RECORDING).exists():
        report.left_out(f"everything: {arguments.data} has no {RECORDING}; name the folder of recorded data with --data")
        report.finish()
        return
    recording = _read(arguments.data / RECORDING)
    _tell_volume(report, recording)
    with garbage_collected_seldom(), _emulator() as address:
        if address is None:
            report.left_out("packing and load: no Pub/Sub emulator (the Cloud SDK's component pubsub-emulator)")
            report.finish()
            return
        os.environ["PUBSUB_EMULATOR_HOST"] = address
        deltas = [message for _, message in _mirrored(recording, 0)]
        _tell_packing(report, deltas)
        with tempfile.NamedTemporaryFile() as file:
            book = recording.snapshot
            file.write(orjson.dumps({"lastUpdateId": book.last_update_id, "bids": book.bids, "asks": book.asks}))
            file.flush()
            loads = ((1, 0), (1, arguments.rate), (100, 1_000), (100, arguments.rate))
            rows = [_load(recording, Path(file.name), symbols, rate, arguments.seconds) for symbols, rate in loads]
            report.table(f"Frames of a websocket through books and publisher, {arguments.seconds:.0f} s each", LOAD_COLUMNS, rows)
    report.finish()


# Volume


def _tell_volume(report: Report, recording: Recording) -> None:
    ways: dict[str, list[int]] = {
        "every changed level a message": list(_every_level(recording)),
        "every diff a message, verbatim": [_billed(orjson.dumps(diff)) for _, diff in recording.diffs],
        "price in the local top 30 (drifts)": list(_filtered(recording)),
    }
    for milliseconds in (0, 100, 200, 500, 1_000):
        messages = _mirrored(recording, milliseconds * 1_000, snapshot_us=10_000_000)
        ways[f"mirror, --conflate {milliseconds}"] = [_billed(message.data) for _, message in messages]
    levels, diffs = (sum(sizes) for sizes in list(ways.values())[:2])
    report.table(
        f"Volume of the mirror for {len(recording.diffs):,} recorded diffs",
        ("way", "messages", "bytes", "% of every level", "% of every diff"),
        [(name, len(sizes), sum(sizes), 100 * sum(sizes) / levels, 100 * sum(sizes) / diffs) for name, sizes in ways.items()],
        "Bytes that Pub/Sub bills: bodies, attributes and ordering keys.",
    )


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


def _tell_packing(report: Report, deltas: list[Message]) -> None:
    publisher = PublisherClient()
    path = topic_path(PROJECT, "packing")
    publisher.create_topic(name=path)
    single = sum(_billed(delta.data) for delta in deltas) / len(deltas)
    rows = [
        ("Google's threaded client, one message per delta", _threaded(path, deltas, keys=1) * 1e6, single),
        ("the same, 100 keys with a delta each 100 ms", _threaded(path, deltas[:3_000], keys=100) * 1e6, single),
        ("generated client, one message per delta", asyncio.run(_generated(path, deltas, keys=1, pack=1)) * 1e6, single),
        ("the same, 100 keys with a delta each 100 ms", asyncio.run(_generated(path, deltas[:3_000], 100, 1)) * 1e6, single),
    ]
    for pack in (5, 20):
        packs = [b"[" + b",".join(delta.data for delta in deltas[at : at + pack]) + b"]" for at in range(0, len(deltas), pack)]
        size = sum(map(_billed, packs)) / len(deltas)
        cost = asyncio.run(_generated(path, deltas, keys=1, pack=pack))
        rows.append((f"generated client, {pack} deltas per message", cost * 1e6, size))
    report.table(f"Packing of {len(deltas):,} deltas", ("way", "CPU us per delta", "bytes per delta"), rows)


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


LOAD_COLUMNS = (
    *("symbols and pace", "diffs/s", "published/s", "requests/s", "% of a core", "diffs per CPU s"),
    *("deltas, % of diffs", "lost", "left", "gaps", "MB at start", "MB peak"),
)


def _load(recording: Recording, snapshot: Path, symbols: int, rate: int, seconds: float) -> tuple[object, ...]:
    names = [f"S{number:03}USDT" for number in range(symbols)]
    topic = topic_path(PROJECT, f"load-{time.monotonic_ns()}")
    with PublisherClient() as admin:
        admin.create_topic(name=topic)
    with _frame_server(recording, names, rate) as url:
        command = [sys.executable, str(LOAD), url, topic, str(seconds), str(snapshot), *names]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured = orjson.loads(answer.stdout)
    took, spent = measured["seconds"], measured["cpu_seconds"]
    return (
        f"{symbols}, {rate:,}/s" if rate else f"{symbols}, as fast as it goes",
        *(measured[name] / took for name in ("diffs", "published", "requests")),
        100 * spent / took,
        measured["diffs"] / spent,
        100 * measured["deltas"] / measured["all_diffs"],
        *(measured[name] for name in ("lost", "left", "gaps", "memory_at_start_mb", "memory_peak_mb")),
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

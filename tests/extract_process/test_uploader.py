"""Uploader between a real outbox and S3: whatever the lake does, every object arrives, as it was, and says when it did not."""

import errno
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx
import pytest
from tests.waiting import patience, wait_until

from extract_process.spool.outbox import Outbox, Uploader
from tickhouse_core.aws import s3_client
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.s3_store import S3Store

if TYPE_CHECKING:
    from conftest import Lake

NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens there
OBJECTS = [(f"data_sources/trades/venue=binance/{number}.parquet", b"%d" % number * 1_000) for number in range(1, 4)]


class Gate:
    """A reverse proxy before the lake: notes every PUT, and can lose answers on their way back or hold them up."""

    def __init__(self, lake_url: str) -> None:
        self.puts: list[tuple[str, bytes]] = []
        self.answers_to_lose = 0
        self.is_open = threading.Event()
        self.is_open.set()
        self._lake = httpx.Client(base_url=lake_url, trust_env=False)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._lake.close()

    def pass_on(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """The lake's answer; None where it is lost."""
        answer = self._lake.put(path, headers=headers, content=body)
        self.puts.append((unquote(path).partition("/data_sources/")[2], body))
        self.is_open.wait()
        self.answers_to_lose -= 1
        return None if self.answers_to_lose >= 0 else answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = gate.pass_on(self.path, dict(self.headers.items()), body)
                self.close_connection = True
                if answer is not None:
                    self.send_response(answer.status_code)
                    self.send_header("ETag", answer.headers["ETag"])
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
                """Nobody reads it."""

        return Handler


@pytest.fixture
def gate(moto_lake: "Lake", moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """What stores made in this test go through; `moto_lake.store` does not."""
    standing = Gate(moto_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", standing.url)
    yield standing
    standing.is_open.set()
    standing.close()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def bodies(store: ObjectStore) -> dict[str, bytes]:
    return {item.key: store.read(item.key).body for item in store.list_keys("data_sources/")}


def said(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, object]]:
    return [vars(record) for record in caplog.records if record.message == message]


def is_uploading() -> bool:
    return any(thread.name == "uploader" for thread in threading.enumerate())


def test_the_oldest_segment_goes_first_and_what_has_arrived_leaves_the_outbox(
    outbox: Outbox, gate: Gate, moto_lake: "Lake"
) -> None:
    for sequence, item in zip((12, 3, 7), OBJECTS, strict=True):
        outbox.put(sequence, [item])
    uploader = Uploader(outbox, S3Store(moto_lake.store.bucket))
    assert uploader.finish(20) == 0
    assert [path for path, _ in gate.puts] == [f"trades/venue=binance/{number}.parquet" for number in (2, 3, 1)]
    assert bodies(moto_lake.store) == dict(OBJECTS)
    assert outbox.waiting() == []
    assert uploader.uploaded == 3


def test_what_comes_later_goes_out_without_an_end(outbox: Outbox, moto_lake: "Lake") -> None:
    uploader = Uploader(outbox, moto_lake.store)
    for number, item in enumerate(OBJECTS, start=1):
        outbox.put(number, [item])
        uploader.wake()
        wait_until(lambda number=number: uploader.uploaded == number)  # type: ignore[misc]
    assert bodies(moto_lake.store) == dict(OBJECTS)
    assert uploader.finish(20) == 0


def test_uploads_resume_by_themselves_with_the_same_key_and_bytes(
    outbox: Outbox, gate: Gate, moto_lake: "Lake", caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer is lost until all of the client's own five tries are: each of them has arrived all the same."""
    caplog.set_level(logging.INFO)
    gate.answers_to_lose = 5
    for number, item in enumerate(OBJECTS, start=1):
        outbox.put(number, [item])
    uploader = Uploader(outbox, S3Store(moto_lake.store.bucket))
    wait_until(lambda: uploader.uploaded == 3)
    first, *others = gate.puts[5:]
    assert gate.puts[:5] == [first] * 5
    assert len(others) == 2
    assert bodies(moto_lake.store) == dict(OBJECTS)
    (trouble,) = said(caplog, "cannot upload, the spool keeps it and tries again")
    assert (trouble["tries"], trouble["waiting"]) == (1, 3)
    (end,) = said(caplog, "uploads resumed")
    assert end["after_tries"] == 1
    assert uploader.finish(20) == 0


def test_a_lake_that_is_made_later_gets_everything_in_order(
    outbox: Outbox, moto_lake: "Lake", caplog: pytest.LogCaptureFixture
) -> None:
    later = S3Store(f"{moto_lake.store.bucket}-later")
    uploader = Uploader(outbox, later)
    outbox.put(1, OBJECTS)
    uploader.wake()
    wait_until(lambda: bool(said(caplog, "cannot upload, the spool keeps it and tries again")))
    assert "tickhouse provision" in str(said(caplog, "cannot upload, the spool keeps it and tries again")[0]["why"])
    assert len(outbox.waiting()) == 3
    s3_client().create_bucket(Bucket=later.bucket)
    wait_until(lambda: outbox.waiting() == [])
    assert bodies(later) == dict(OBJECTS)
    assert uploader.finish(20) == 0


def test_an_end_under_a_deadline_says_what_is_left_and_leaves_it(outbox: Outbox, gate: Gate, moto_lake: "Lake") -> None:
    """One object is under way, two wait: none of them is known to have arrived. No further upload begins."""
    gate.is_open.clear()
    outbox.put(1, OBJECTS)
    uploader = Uploader(outbox, S3Store(moto_lake.store.bucket))
    wait_until(lambda: len(gate.puts) == 1)
    began = time.monotonic()
    assert uploader.finish(0.2) == 3
    assert time.monotonic() - began < patience(2)
    assert {item.key: item.path.read_bytes() for item in outbox.waiting()} == dict(OBJECTS)
    assert uploader.uploaded == 0
    gate.is_open.set()
    wait_until(lambda: not is_uploading())
    assert [item.key for item in outbox.waiting()] == [key for key, _ in OBJECTS[1:]]
    assert len(gate.puts) == 1


def test_what_a_run_without_a_lake_left_the_next_one_uploads(
    outbox: Outbox, moto_lake: "Lake", moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    away = Uploader(outbox, S3Store(moto_lake.store.bucket))
    outbox.put(1, OBJECTS)
    away.wake()
    began = time.monotonic()
    assert away.finish(0.2) == 3
    assert time.monotonic() - began < patience(2)
    wait_until(lambda: not is_uploading())
    assert len(outbox.waiting()) == 3, "it ended, and not because everything had arrived"

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    assert Uploader(outbox, S3Store(moto_lake.store.bucket)).finish(20) == 0
    assert bodies(moto_lake.store) == dict(OBJECTS)
    assert away.uploaded == 0


def test_a_kill_between_the_upload_and_the_deletion_repeats_the_same_object(
    outbox: Outbox, gate: Gate, moto_lake: "Lake"
) -> None:
    store = S3Store(moto_lake.store.bucket)
    (waiting,) = outbox.put(1, OBJECTS[:1])
    assert Uploader(outbox, store).finish(20) == 0
    etag = moto_lake.store.read(waiting.key).etag
    waiting.path.write_bytes(OBJECTS[0][1])
    assert Uploader(outbox, store).finish(20) == 0
    assert gate.puts[0] == gate.puts[1]
    assert [(item.key, item.etag) for item in moto_lake.store.list_keys("")] == [(waiting.key, etag)]


class Away(FolderStore):
    """A lake that refuses the first uploads, each with words of its own."""

    def __init__(self, folder: Path, troubles: list[Exception]) -> None:
        super().__init__(folder)
        self._troubles = troubles

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if self._troubles:
            raise self._troubles.pop(0)
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


@pytest.mark.slow
def test_an_outage_is_one_line_a_cause(outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    away, full = [LakeUnavailable(f"answer {number}") for number in range(2)], OSError(errno.ENOSPC, "no room")
    outbox.put(1, OBJECTS)
    uploader = Uploader(outbox, Away(tmp_path / "lake", [*away, full]))
    wait_until(lambda: uploader.uploaded == len(OBJECTS))
    troubles = said(caplog, "cannot upload, the spool keeps it and tries again")
    ours = [trouble["tries"] for trouble in troubles if trouble["why"] in ("answer 0", "answer 1", str(full))]
    assert ours == [1, 3], "the second one says what the first one said"  # uploaders of other tests may be heard as well
    assert 3 in [end["after_tries"] for end in said(caplog, "uploads resumed")]
    assert uploader.finish(20) == 0

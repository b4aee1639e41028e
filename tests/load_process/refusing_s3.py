"""An S3 in front of another that refuses single objects, or keeps one waiting, by the name of their file, or everything."""

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from urllib.parse import unquote, urlsplit

_HEAD = 'ETag: "x"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n'


class RefusingS3:
    """Objects called `403_AccessDenied.parquet`, `301_PermanentRedirect.parquet`, … are answered so; all others by the backend.

    `silent….parquet` is never answered, of `dripping….parquet` a byte comes now and then, until the end of the context.
    `6GiB.parquet` announces that many bytes, and has each that is asked for. `lie….parquet` only announces them: to a range
    `lie-200` and `lie-206` say it again, with that status and no byte; `lie-416` is answered for by the backend.
    `code` is what everything is answered with, as `status`; empty: nothing.
    """

    def __init__(self, backend: str) -> None:
        self.code, self.status = "", 403
        self.asked_for_silent: list[str] = []
        self._ended = threading.Event()
        address = urlsplit(backend)
        self._backend = (address.hostname or "127.0.0.1", address.port or 80)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["RefusingS3"]:
        thread = threading.Thread(target=self._server.serve_forever, name="refusing S3")
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        said = re.fullmatch(r"([345]\d\d)_(\w+)\.parquet", name) if method in ("GET", "HEAD") else None
        status, code = (self.status, self.code) if self.code else (int(said[1]), said[2]) if said else (0, "")
        if status:
            return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
        link = http.client.HTTPConnection(*self._backend, timeout=60)
        try:
            link.request(method, path, body, headers)
            found = link.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            link.close()

    def announce(self, path: str, asked_range: str | None, wfile: BufferedIOBase) -> bool:
        """Whether the object is one that announces 6 GiB."""
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        if name == "6GiB.parquet" and asked_range:
            wfile.write(f"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n{_HEAD}P".encode())
            return True
        if name == "6GiB.parquet" or (name.startswith("lie") and not (asked_range and name == "lie-416.parquet")):
            status = "206 Partial Content" if asked_range and name == "lie-206.parquet" else "200 OK"
            wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: {6 * 1024**3}\r\n{_HEAD}".encode())
            return True
        return False

    def keep_waiting(self, path: str, wfile: BufferedIOBase) -> bool:
        """Whether the object is one that does not come; returns when nobody waits for it any more."""
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        if not name.startswith(("silent", "dripping")):
            return False
        self.asked_for_silent.append(name)
        if name.startswith("dripping"):
            wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n{_HEAD}".encode())
        with contextlib.suppress(OSError):  # the client has given up
            while not self._ended.wait(0.05):
                if name.startswith("dripping"):
                    wfile.write(b"P")
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                announced = self.command == "GET" and front.announce(self.path, self.headers.get("Range"), self.wfile)
                if announced or (self.command == "GET" and front.keep_waiting(self.path, self.wfile)):
                    self.close_connection = True
                    return
                status, headers, answer = front.answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815  # http.server's names

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        return Handler

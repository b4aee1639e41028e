"""An S3 in front of another that refuses single objects, by the name of their file, or everything for a while."""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class RefusingS3:
    """Objects called `403_AccessDenied.parquet`, `301_PermanentRedirect.parquet`, … are answered so; all others by the backend.

    `code` is what everything is answered with, as 403; empty: nothing.
    """

    def __init__(self, backend: str) -> None:
        self.code = ""
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
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        said = re.fullmatch(r"([345]\d\d)_(\w+)\.parquet", name) if method in ("GET", "HEAD") else None
        status, code = (403, self.code) if self.code else (int(said[1]), said[2]) if said else (0, "")
        if status:
            return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
        link = http.client.HTTPConnection(*self._backend, timeout=60)
        try:
            link.request(method, path, body, headers)
            found = link.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            link.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
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

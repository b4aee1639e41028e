"""A lake that lasts: what moto's S3 is told to keep or delete is in a folder before the answer is given.

Every object is a file at <folder>/<bucket>/<key>, so DuckDB and Polars read the folder as they would read the bucket.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from extract_process.durable_folder import sync_folder
from pipeline.errors import UsageError
from pipeline.object_store import ObjectStore

Environment = dict[str, Any]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]

_KEPT = ("data_sources/", "quarantine/")


class LakeFolder:
    """Wraps the application of an S3 server. A write that the server refuses changes nothing here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self, application: Application) -> Application:
        """The same application; its successful PUTs and DELETEs of the lake's objects are files."""

        def answer(environment: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
            path = self._path_of(environment)
            if path is None:
                return application(environment, start_response)
            body = _read_body(environment)
            told: list[tuple[Any, ...]] = []
            said = list(application(environment, lambda *head: told.append(head)))
            if told and str(told[0][0]).startswith("2"):
                try:
                    self._follow(environment["REQUEST_METHOD"], path, body)
                except OSError as error:
                    start_response("507 Insufficient Storage", [("Content-Type", "text/plain")])
                    return [f"{path}: {error}".encode()]
            start_response(*told[0])
            return said

        return answer

    def restore(self, store: ObjectStore) -> int:
        """Puts every file back into an empty bucket; returns how many there are."""
        root = self._folder / store.bucket
        count = 0
        for key in self._keys(root):
            store.write(key, (root / key).read_bytes())
            count += 1
        return count

    def _keys(self, root: Path) -> Iterator[str]:
        for kept in _KEPT:
            for path in sorted((root / kept).rglob("*")):
                if path.is_file() and not path.name.endswith(".part"):
                    yield path.relative_to(root).as_posix()

    def _path_of(self, environment: Environment) -> Path | None:
        """Where the object of a request is kept; None for any other request."""
        bucket, _, key = unquote(environment.get("PATH_INFO", "")).lstrip("/").partition("/")
        if environment.get("REQUEST_METHOD") not in ("PUT", "DELETE") or environment.get("QUERY_STRING") not in (
            "",
            "x-id=PutObject",
        ):
            return None
        if not key.startswith(_KEPT):
            return None
        path = (self._folder / bucket / key).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise UsageError(f"object key {key!r} leads out of {self._folder}")
        return path

    def _follow(self, method: str, path: Path, body: bytes) -> None:
        if method == "DELETE":
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)


def _read_body(environment: Environment) -> bytes:
    """The body as the client meant it (boto3 may send it in signed chunks); the application can read it again."""
    stream = environment["wsgi.input"]
    length = environment.get("CONTENT_LENGTH")
    raw = stream.read(int(length)) if length else stream.read()
    environment["wsgi.input"] = io.BytesIO(raw)
    environment["CONTENT_LENGTH"] = str(len(raw))
    if "aws-chunked" in environment.get("HTTP_CONTENT_ENCODING", "") or environment.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
        return b"".join(_chunks(raw))
    return bytes(raw)


def _chunks(raw: bytes) -> Iterator[bytes]:
    """AWS: `<size in hex>[;chunk-signature=…]\\r\\n<bytes>\\r\\n`, ended by a chunk of size 0 and trailers."""
    place = 0
    while place < len(raw):
        end = raw.index(b"\r\n", place)
        size = int(raw[place:end].split(b";")[0], 16)
        if size == 0:
            return
        yield raw[end + 2 : end + 2 + size]
        place = end + 2 + size + 2

"""An Iceberg REST catalogue over pyiceberg's own SQL catalogue: the paths of the specification that a client of tables uses.

pyiceberg parses the bodies, checks a commit's requirements and writes the metadata. Spark's Java client reads by this server too.
Not a test.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from pyiceberg import exceptions
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableRequest, Table

PREFIX = "lakes"
"""Of all paths, as the server's configuration tells its clients."""

TOKEN = "token-of-a-user"

Query = dict[str, list[str]]
Answer = tuple[int, dict[str, object]]

_STATUS = {
    exceptions.NoSuchTableError: 404,
    exceptions.NoSuchNamespaceError: 404,
    exceptions.TableAlreadyExistsError: 409,
    exceptions.NamespaceAlreadyExistsError: 409,
    exceptions.CommitFailedException: 409,
}


class RestServer:
    """`refused` has the status of each answer that is not a success. A user has `TOKEN`, or gets it for `id:secret`."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.refused: list[int] = []
        self.overrides: dict[str, str] = {}
        self.before_answer: Callable[[], object] = lambda: None
        self.before_commit: Callable[[], object] = lambda: None
        self.after_commit: int | None = None
        """The status of the answer to a commit that is done, instead of that the client reads what became of it."""
        self.keeps_namespaces = False
        """Nobody may make one."""
        self.places: Callable[[str], str] | None = None
        """Where a table is put, by its name, whatever the client says."""
        self._catalog = catalog
        self._commits = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["RestServer"]:
        thread = threading.Thread(target=self._server.serve_forever, name="REST catalogue")
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def tables(self) -> list[tuple[str, ...]]:
        return [one for namespace in self._catalog.list_namespaces() for one in self._catalog.list_tables(namespace)]

    def make_namespace(self, name: str) -> None:
        self._catalog.create_namespace(name)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        self.before_answer()
        status, said = self._answer(method, target, headers, body)
        if status >= 400:
            self.refused.append(status)
        return status, said

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        address = urlsplit(target)
        path, query = address.path, parse_qs(address.query)
        if path == "/v1/oauth/tokens":
            return self._token(parse_qs(body.decode()))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "NotAuthorizedException", "who are you?")
        if path == "/v1/config":
            return 200, {"defaults": {}, "overrides": {"prefix": PREFIX, **self.overrides}}
        for (verb, pattern), handler in self._ROUTES.items():
            if verb == method and (found := re.fullmatch(f"/v1/{PREFIX}{pattern}", path)):
                try:
                    return handler(self, query if method == "GET" else body, *map(unquote, found.groups()))
                except tuple(_STATUS) as error:
                    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
                    return _error(status, type(error).__name__, str(error))
        return _error(404, "NotFound", f"no route {method} {path}")

    def _token(self, asked: dict[str, list[str]]) -> Answer:
        if (asked.get("client_id"), asked.get("client_secret")) != (["id"], ["secret"]):
            return 401, {"error": "invalid_client", "error_description": "the secret is another one"}
        return 200, {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3_600}

    def _make_namespace(self, body: bytes) -> Answer:
        if self.keeps_namespaces:
            return _error(403, "ForbiddenException", "this user makes no namespace")
        names = orjson.loads(body)["namespace"]
        self._catalog.create_namespace(tuple(names))
        return 200, {"namespace": names, "properties": {}}

    def _namespace(self, _: Query, namespace: str) -> Answer:
        return 200, {"namespace": [namespace], "properties": self._catalog.load_namespace_properties(namespace)}

    def _make_table(self, body: bytes, namespace: str) -> Answer:
        asked = CreateTableRequest.model_validate_json(body)
        table = self._catalog.create_table(
            (namespace, asked.name),
            asked.table_schema,
            location=asked.location if self.places is None else self.places(asked.name),
            partition_spec=asked.partition_spec or UNPARTITIONED_PARTITION_SPEC,
            properties=asked.properties,
        )
        return _of_table(table)

    def _table(self, query: Query, namespace: str, name: str) -> Answer:
        status, found = _of_table(table := self._catalog.load_table((namespace, name)))
        if query.get("snapshots") == ["refs"]:
            named = {one.snapshot_id for one in table.refs().values()}
            metadata = table.metadata.model_copy(
                update={"snapshots": [one for one in table.snapshots() if one.snapshot_id in named]}
            )
            found["metadata"] = metadata.model_dump(mode="json")
        return status, found

    def _drop(self, _: bytes, namespace: str, name: str) -> Answer:
        self._catalog.drop_table((namespace, name))
        return 204, {}

    def _commit(self, body: bytes, namespace: str, name: str) -> Answer:
        self.before_commit()
        asked = CommitTableRequest.model_validate_json(body)
        with self._commits:
            done = self._catalog.commit_table(self._catalog.load_table((namespace, name)), asked.requirements, asked.updates)
        if self.after_commit is not None:
            return _error(self.after_commit, "InternalServerError", "what became of it is not known")
        return 200, {"metadata-location": done.metadata_location, "metadata": done.metadata.model_dump(mode="json")}

    def _metrics(self, _: bytes, __: str, ___: str) -> Answer:
        """What a Java client says of its scans."""
        return 204, {}

    _ROUTES: ClassVar[dict[tuple[str, str], Callable[..., Answer]]] = {
        ("POST", "/namespaces"): _make_namespace,
        ("GET", "/namespaces/([^/]+)"): _namespace,
        ("POST", "/namespaces/([^/]+)/tables"): _make_table,
        ("GET", "/namespaces/([^/]+)/tables/([^/]+)"): _table,
        ("POST", "/namespaces/([^/]+)/tables/([^/]+)"): _commit,
        ("DELETE", "/namespaces/([^/]+)/tables/([^/]+)"): _drop,
        ("POST", "/namespaces/([^/]+)/tables/([^/]+)/metrics"): _metrics,
    }


def _of_table(table: Table) -> Answer:
    return 200, {
        "metadata-location": table.metadata_location,
        "metadata": table.metadata.model_dump(mode="json"),
        "config": {},
    }


def _error(status: int, kind: str, message: str) -> Answer:
    return status, {"error": {"message": message, "type": kind, "code": status}}


def _handler(front: RestServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, found = front.answer(self.command, self.path, headers, body)
            said = orjson.dumps(found) if status != 204 else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    return Handler

"""PURE. ClickHouse's HTTP interface as bytes: names of headers, status of errors, errors before and in the middle of an answer.

Sources: ClickHouse docs, "HTTP interface"; src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; for an error in the middle of an
answer, with a tag, versions since 25.11.
"""

import json
import re
from collections.abc import Mapping

REPEATED_PREFIX = re.compile(r"(Code: \d+\. DB::Exception: )(?:default: )?(?:\1)*")
REPEATED_NAME = re.compile(r"(\([A-Z_]+\))(?:(?: \(version [^)]*\))?\.? \1)+")
"""What an engine says again each time it passes an error on: the first time is enough."""

READONLY, SYNTAX_ERROR, NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, TOO_MANY_QUERIES, TIMEOUT_EXCEEDED = 164, 62, 48, 223, 202, 159
_STD_EXCEPTION, _ABORTED = 1001, 236

_STATUS = {
    194: 401,
    _ABORTED: 503,  # ClickHouse has 500: here it says that this server goes away
    TIMEOUT_EXCEEDED: 408,
    QUERY_IS_TOO_LARGE: 413,
    NOT_IMPLEMENTED: 501,
    **dict.fromkeys((192, 193, 516), 403),
    **dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 53, SYNTAX_ERROR, 72, 117), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 372), 404),
}
"""Of an error code; every other error is a 500."""

_KINDS = (
    (re.compile(r"json.*eachrow|ndjson|jsonlines", re.IGNORECASE), "application/x-ndjson; charset=UTF-8"),
    (re.compile(r"json", re.IGNORECASE), "application/json; charset=UTF-8"),
    (re.compile(r"csv", re.IGNORECASE), "text/csv; charset=UTF-8; header=absent"),
    (re.compile(r"tabsep|tsv", re.IGNORECASE), "text/tab-separated-values; charset=UTF-8"),
    (re.compile(r"native|rowbinary|parquet|arrow|orc|avro|protobuf|msgpack", re.IGNORECASE), "application/octet-stream"),
)
PLAIN = "text/plain; charset=UTF-8"

TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
        "session_check", "close_session", "quota_key", "role", "compress", "decompress", "buffer_size", "wait_end_of_query",
        "stacktrace", "client_protocol_version", "enable_http_compression", "http_zlib_compression_level", "readonly",
        "network_compression_method", "network_zstd_compression_level",
    }
)  # fmt: skip
"""Parameters of a URL that are meant for the transport; every other one is a setting or a `param_`."""


class SqlError(Exception):
    """An error as ClickHouse has it: its code, and the text that begins with it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 500)


def refusal(code: int, name: str, words: str) -> SqlError:
    """What is refused before the engine sees it, in the engine's form."""
    return SqlError(code, f"Code: {code}. DB::Exception: {words} ({name})")


def ending() -> SqlError:
    return refusal(_ABORTED, "ABORTED", "The process that holds this folder is stopping: ask again when it has ended.")


def engine_error(said: str) -> SqlError:
    """An error of the engine, which may put its own words before it, and says some of it once per layer that passed it on."""
    found = re.search(r"Code: (\d+)\. .*", said, re.DOTALL)
    if found is None:
        return refusal(_STD_EXCEPTION, "STD_EXCEPTION", said.strip())
    return SqlError(int(found[1]), REPEATED_NAME.sub(r"\1", REPEATED_PREFIX.sub(r"\1", found[0].strip(), count=1)))


def with_version(error: SqlError, version: str) -> bytes:
    text = error.text if "(version " in error.text else f"{error.text} (version {version})"
    return f"{text}\n".encode()


def exception_block(error: SqlError, version: str, tag: str) -> bytes:
    """What stands in an answer that has begun, where its rest should be. `tag`: 16 letters, told in a header before."""
    said = with_version(error, version)
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), said, len(said), tag.encode())


def content_type(output_format: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(output_format)), PLAIN)


def summary(counts: Mapping[str, int]) -> str:
    """X-ClickHouse-Summary: numbers as text."""
    return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":"))

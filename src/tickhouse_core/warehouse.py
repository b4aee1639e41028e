"""The warehouse: one code path for a ClickHouse server (HTTP) and the embedded engine (chDB), by clickhouse-connect."""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.httpclient import HttpClient
from urllib3 import Timeout

from tickhouse_core.clickhouse_driver import clickhouse_errors, first_line, timed_pools
from tickhouse_core.embedded_engine import check_engine_folder, open_engine
from tickhouse_core.errors import WarehouseRefused, WarehouseUnavailable
from tickhouse_core.folder_holder import door_to
from tickhouse_core.settings import WarehouseSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

    from tickhouse_core.lifecycle import StopRequest

_INSERT_SETTINGS = {
    "async_insert": 0,  # an acknowledged insert is in the table
    "max_insert_threads": 1,  # a retry must send the same blocks in the same order: each has the token and its number
    "input_format_arrow_allow_missing_columns": 0,  # never a default in place of a value
    "input_format_null_as_default": 0,
    "max_partitions_per_insert_block": 0,  # many small objects of a long history are one insert of many months
}
_READER_SETTINGS = {"readonly": 2, "max_execution_time": 20}
_READER_SECONDS = 25
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 300
"""Without a byte: large inserts and long queries take their time. A connection's first question is a small one."""

_KEY_BYTES_PER_QUERY = 100_000


class Warehouse:
    """One connection with a default database; not for several threads at once.

    Errors: WarehouseUnavailable (retry later), WarehouseRefused (never), UsageError for credentials and settings.
    """

    def __init__(self, client: "Client", until: "StopRequest | None" = None) -> None:
        self._client = client
        self._until = until

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Runs one statement that returns nothing."""
        with clickhouse_errors():
            self._client.command(sql, parameters=dict(parameters or {}), settings=settings)
        self._check_not_killed()

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        """The rows of a select; parameters are bound on the server (`{name:Type}`)."""
        with clickhouse_errors():
            rows = list(self._client.query(sql, parameters=dict(parameters or {})).result_rows)
        self._check_not_killed()
        return rows

    def query_by_keys(self, sql: str, keys: Collection[str], parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        """The rows of a select with `in %(keys)s`, for any number of keys.

        Bound here and not on the server: a bound parameter travels in the URL or in a form's field, which hold fewer
        (ClickHouse: http_max_field_value_size, 128 KiB). As many questions as a statement is long (max_query_size, 256 KiB).
        """
        rows: list[Sequence[Any]] = []
        for part in _parts(sorted(set(keys))):
            rows += self.query(sql, dict(parameters or {}) | {"keys": part})
        return rows

    def query_table(self, sql: str) -> tuple[tuple[str, ...], list[Sequence[Any]]]:
        """Column names and rows."""
        with clickhouse_errors():
            result = self._client.query(sql)
            return tuple(result.column_names), list(result.result_rows)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any]) -> "pa.Table":
        """The rows of a select as Arrow, in the engine's types."""
        with clickhouse_errors():
            return self._client.query_arrow(sql, parameters=dict(parameters), use_strings=True)

    def query_as(self, output_format: str, sql: str, settings: Mapping[str, Any] | None = None) -> bytes:
        """What the engine itself writes for a statement, in one of its formats; `settings` shape it.

        An account that must not change settings (readonly = 1) gets the format's own defaults. Nothing for a statement that
        has no result.
        """
        context = self._client.create_query_context(sql)
        if context.is_command or context.is_insert:
            may_replicate = context.is_insert and isinstance(self._client, HttpClient)
            self.command(sql, **(_never_a_repeat() if may_replicate else {}))
            return b""
        shaping = dict(settings or {})
        if shaping and int(self.query("select getSetting('readonly')")[0][0]) == 1:
            shaping = {}
        with clickhouse_errors():
            # The whole answer is there before the first byte goes out: an error on the way is an error, not text in a row.
            answer = self._client.raw_query(sql, fmt=output_format, settings=shaping | {"wait_end_of_query": 1})
        return bytes(answer)

    def query_head(self, output_format: str, sql: str, most_bytes: int) -> tuple[bytes, bool]:
        """The beginning of what a server writes for a select in one of its formats, and whether that is all of it."""
        with clickhouse_errors(), closing(cast("io.BufferedIOBase", self._client.raw_stream(sql, fmt=output_format))) as answer:
            body = answer.read(most_bytes + 1)
            return body[:most_bytes], len(body) <= most_bytes

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts a few rows, all with the same columns: for ledgers, where a repeat is harmless and never left out."""
        columns = list(rows[0])
        with clickhouse_errors():
            self._client.insert(
                table,
                [[row[name] for name in columns] for row in rows],
                column_names=columns,
                settings={"async_insert": 0} | _never_a_repeat(),
            )

    def now_us(self) -> int:
        """The warehouse's clock, by which `load_time` is."""
        ((now,),) = self.query("select toUnixTimestamp64Micro(now64(6))")
        return int(now)

    def delete_object(self, table: str, object_key: str, *, etag: str | None = None, since_us: int = 0) -> None:
        """Takes the rows of one object out of a bronze table (a lightweight delete: gone for every later query).

        Only those of the version `etag`, inserted from `since_us` on, in microseconds.
        """
        self.command(
            f"delete from {table} where object_key = {{key:String}} "  # noqa: S608  # our own name
            "and load_time >= fromUnixTimestamp64Micro({since_us:Int64})"
            + ("" if etag is None else " and object_etag = {etag:String}"),
            {"key": object_key, "since_us": since_us} | ({} if etag is None else {"etag": etag}),
        )

    def delete_objects(self, table: str, object_keys: Sequence[str], *, until_us: int) -> None:
        """Takes the rows of these objects out of a bronze table that were inserted before `until_us`, in microseconds."""
        for keys in _parts(object_keys):
            self.command(
                f"delete from {table} where object_key in %(keys)s "  # noqa: S608  # our own name
                "and load_time < fromUnixTimestamp64Micro(%(until_us)s)",
                {"keys": keys, "until_us": until_us},
            )

    def count_of_objects(self, table: str, object_keys: Collection[str], *, since_us: int = 0) -> dict[str, int]:
        """Rows of a bronze table by object that were inserted from that instant on, for those that have any."""
        rows = self.query_by_keys(
            f"select object_key, count() from {table} where object_key in %(keys)s "  # noqa: S608  # our own name
            "and load_time >= fromUnixTimestamp64Micro(%(since_us)s) group by object_key",
            object_keys,
            {"since_us": since_us},
        )
        return {str(key): int(count) for key, count in rows}

    def count_of_versions(self, table: str, object_keys: Collection[str], *, since_us: int = 0) -> dict[tuple[str, str], int]:
        """Rows of a bronze table by object key and etag that were inserted from that instant on."""
        rows = self.query_by_keys(
            f"select object_key, object_etag, count() from {table} where object_key in %(keys)s "  # noqa: S608  # our own name
            "and load_time >= fromUnixTimestamp64Micro(%(since_us)s) group by object_key, object_etag",
            object_keys,
            {"since_us": since_us},
        )
        return {(str(key), str(etag)): int(count) for key, etag, count in rows}

    def insert_arrow(self, table: str, rows: "pa.Table", *, token: str, push_again: bool = False) -> None:
        """Appends rows by column name; the column `load_time` is the warehouse's.

        The same rows under the same token again insert nothing, in the table and in what its materialized views feed,
        as long as the tables' `non_replicated_deduplication_window` remembers it (ClickHouse: insert_deduplication_token).
        WarehouseUnavailable if there is no such table yet: the schema may come later.
        """
        import pyarrow as pa  # most commands insert no rows: a tenth of a second of the processor each

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        settings = _INSERT_SETTINGS | {"insert_deduplication_token": token}
        settings["deduplicate_blocks_in_dependent_materialized_views"] = 0 if push_again else 1
        with clickhouse_errors():
            try:
                self._client.raw_insert(table, rows.schema.names, bytes(sink.getvalue()), settings=settings, fmt="ArrowStream")
            except DatabaseError as error:
                if getattr(error, "code", None) == 60:  # UNKNOWN_TABLE
                    said = f"ClickHouse: {first_line(error)}; run `tickhouse provision --warehouse`"
                    raise WarehouseUnavailable(said) from error
                raise

    def is_alive(self) -> bool:
        """Whether the engine answers a trivial question right now."""
        try:
            self.query("select 1")
        except WarehouseUnavailable:
            return False
        return True

    def close(self) -> None:
        self._client.close()

    def _check_not_killed(self) -> None:
        """A killed statement of the embedded engine ends now and then as if it had no rows, or fewer (chDB 4.4: 1 in 9)."""
        if self._until is not None and self._until.is_set():
            raise WarehouseRefused("ClickHouse: this statement may have been killed (QUERY_WAS_CANCELLED)")


def where_to_read(settings: WarehouseSettings) -> WarehouseSettings:
    """Where a command that only reads connects: a folder that another process holds is read through that process.

    FolderHeld where it answers no SQL.
    """
    if settings.path is None or (port := door_to(settings.path)) is None:
        return settings
    return settings.model_copy(update={"path": None, "host": "127.0.0.1", "port": port})


def connect_reader(settings: WarehouseSettings) -> Warehouse:
    """Connects for reading only: the engine itself refuses everything else, and ends what takes too long.

    An account that may only read anyway is left as it is: it must not change settings.
    """
    settings = where_to_read(settings)
    warehouse = connect(settings, first_answer_seconds=_READER_SECONDS, answer_seconds=_READER_SECONDS)
    if warehouse.query("select getSetting('readonly')")[0][0]:
        return warehouse
    warehouse.close()
    return connect(settings, restrictions=_READER_SETTINGS, first_answer_seconds=_READER_SECONDS, answer_seconds=_READER_SECONDS)


def connect_asker(settings: WarehouseSettings, output: Mapping[str, Any]) -> Warehouse:
    """Connects for statements that a person wrote: the engine reads, and refuses everything else (WarehouseReadOnly).

    `output` are settings that shape answers. ClickHouse's `readonly` is 1 here: 2 lets `insert into function file(…)` write
    files and tables elsewhere. So a statement must not bring settings either, nor read by file, url, s3 or remote. Under POST
    one request may set `readonly` beside other settings (ClickHouse: tests/queries, 00305_http_and_readonly). An account
    that may only read anyway keeps its own level.
    """
    settings = where_to_read(settings)
    level = 0
    if settings.path is None:
        with closing(connect(settings)) as plain:
            level = int(plain.query("select getSetting('readonly')")[0][0])
    if level == 1:
        return connect(settings)
    return connect(settings, restrictions=dict(output) if level else {**output, "readonly": 1})


def connect(
    settings: WarehouseSettings,
    *,
    database: str | None = None,
    restrictions: Mapping[str, Any] | None = None,
    first_answer_seconds: int = 60,
    answer_seconds: int = _ANSWER_SECONDS,
    creates: bool = False,
    until: "StopRequest | None" = None,
) -> Warehouse:
    """Connects to the server, or opens the embedded engine's folder (one process at a time may hold it).

    `database` overrides the default one, for the statement that creates it; `restrictions` are ClickHouse's settings of
    every statement of this connection. WarehouseUnavailable where a server has not answered within `first_answer_seconds`:
    long enough for a service that wakes up. Later it may be silent for `answer_seconds`, and each answer has an hour.
    The engine's folder is made if this `creates` it; else UsageError names who makes it. Once `until` is set somebody may
    kill statements of this connection: what they answer from then on does not count, it is WarehouseRefused.
    """
    name = settings.database if database is None else database
    with clickhouse_errors(in_folder=settings.path is not None):
        if settings.path is not None:
            if not creates:
                check_engine_folder(settings.path)
            return Warehouse(open_engine(settings.path, name, restrictions), until)
        client = clickhouse_connect.get_client(
            host=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            database=name,
            autogenerate_session_id=False,
            settings=dict(restrictions or {}),
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=first_answer_seconds,
            pool_mgr=timed_pools(settings.host, settings.port),
        )
        assert isinstance(client, HttpClient), "no other interface was asked for"
        client.timeout = Timeout(connect=_CONNECT_SECONDS, read=answer_seconds)
    return Warehouse(client, until)


def _never_a_repeat() -> dict[str, Any]:
    """Settings of an insert that no table takes for one it had: those that replicate compare rows where there is no token.

    A token of its own does that in every version of ClickHouse. `insert_deduplicate = 0` does not since 26.9 (measured), and
    its new name (`deduplicate_insert`) is unknown before.
    """
    return {"insert_deduplication_token": uuid4().hex}


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for key in keys:
        if part and size + len(key.encode()) > _KEY_BYTES_PER_QUERY:
            yield part
            part, size = [], 0
        part.append(key)
        size += len(key.encode())
    if part:
        yield part

"""The SQL door over real sockets: ClickHouse's HTTP interface for those who read, and nothing for anybody else."""

import asyncio
import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import clickhouse_connect
import httpx
import lz4.block
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from starlette.requests import Request
from starlette.types import Message
from tests.waiting import patience, wait_until

from tickhouse_core.folder_holder import DOOR_HEADER, OWN_ID
from tickhouse_core.http_server import ABORT, CLOSE
from tickhouse_core.settings import SqlSettings, WarehouseSettings
from tickhouse_core.sql_door.app import SqlDoor
from tickhouse_core.sql_door.city_hash import city_hash_128
from tickhouse_core.sql_door.requests import ask_of
from tickhouse_core.sql_door.serving import listen_for_sql, serving_sql
from tickhouse_core.sql_door.wire import refusal
from tickhouse_core.warehouse import connect

ENDLESS = "select sum(sipHash64(number)) from numbers(1000000000000)"
RUNS = "select count() from system.processes where query like 'select sum(sip%' or query like 'select number%'"
RUNNING = "select count() from system.processes where startsWith(query, 'select sum(sip')"


@pytest.fixture
def door(warehouse_settings: WarehouseSettings) -> Iterator[httpx.Client]:
    with (
        serving_sql(warehouse_settings, listener=listen_for_sql(SqlSettings(port=0))) as door,
        httpx.Client(base_url=door.url, timeout=patience(30)) as client,
    ):
        yield client


def ask(door: httpx.Client, sql: str, **parameters: str) -> httpx.Response:
    return door.post("/", params=parameters, content=sql)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("select 1 format Nope", "UNKNOWN_FORMAT"),
        ("select nope", "UNKNOWN_IDENTIFIER"),
        ("select throwIf(number = 70000) from numbers(100000)", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("select * from file('no such file')", "READONLY"),
        ("select", "SYNTAX_ERROR"),
    ],
)
def test_an_error_is_said_once(door: httpx.Client, sql: str, name: str) -> None:
    said = ask(door, sql).text
    assert [said.count(words) for words in ("Code: ", "DB::Exception: ", f"({name})", "(version ")] == [1, 1, 1, 1], said


def test_a_select_has_clickhouse_s_headers(door: httpx.Client) -> None:
    answer = door.get("/", params={"query": "select 1 as a, 'x' as b", "query_id": "mine", "default_format": "JSONCompact"})
    assert (answer.status_code, answer.json()["data"]) == (200, [[1, "x"]])
    told = {name.removeprefix("x-clickhouse-"): value for name, value in answer.headers.items() if "clickhouse" in name}
    assert (told["query-id"], told["format"], told["server-display-name"]) == ("mine", "JSONCompact", "tickhouse")
    assert answer.headers[DOOR_HEADER] == OWN_ID
    assert '"result_rows":"1"' in told["summary"]
    assert told["timezone"]
    assert ask(door, "+ 1", query="select 1").text == "2\n"
    assert ask(door, "select 2 format CSVWithNames").headers["x-clickhouse-format"] == "CSVWithNames"
    assert [door.get(path).text for path in ("/", "/ping", "/replicas_status")] == ["Ok.\n"] * 3
    assert door.post("/", content=gzip.compress(b"select 3"), headers={"Content-Encoding": "gzip"}).text == "3\n"
    unzipped = door.get("/", params={"query": "select 4"}, headers={"Accept-Encoding": "gzip"})
    assert (unzipped.headers["content-encoding"], unzipped.text) == ("gzip", "4\n")


def test_parameters_settings_and_the_database_are_the_request_s(
    door: httpx.Client, warehouse_settings: WarehouseSettings
) -> None:
    bound = ask(door, "select {n:UInt8}, {t:String}", param_n="7", param_t="x y")
    assert bound.text == "7\tx y\n"
    assert ask(door, "select getSetting('join_use_nulls') from numbers(1)", join_use_nulls="1").text == "true\n"
    assert ask(door, "select getSetting('join_use_nulls') from numbers(1) settings join_use_nulls = 1").text == "true\n"
    assert ask(door, "select currentDatabase()").text == f"{warehouse_settings.database}\n"
    assert ask(door, "select count() > 9 from settings", database="system").text == "1\n"


def test_a_format_is_what_the_statement_names_and_no_table_or_database(
    door: httpx.Client, warehouse_settings: WarehouseSettings
) -> None:
    """Grafana's driver asks for the tables of a database, and reads every answer as Native."""
    name = warehouse_settings.database
    about_tables = ["show tables", f"show tables from {name}", f"show tables from {name} like 'tr%'", "exists table trades"]
    for sql in (*about_tables, "show create table trades", "describe table trades", "explain select 1"):
        answer = ask(door, sql, default_format="Native", client_protocol_version="54460")
        assert (answer.headers["x-clickhouse-format"], answer.content[:1]) == ("Native", b"\x01"), sql
        answer = ask(door, f"{sql} format JSONCompact", default_format="Native", client_protocol_version="54460")
        assert (answer.headers["x-clickhouse-format"], "meta" in answer.json()) == ("JSONCompact", True), sql


def test_limits_are_lowered_and_never_lifted(door: httpx.Client) -> None:
    sql = "select getSetting('max_memory_usage') from numbers(1)"
    assert ask(door, sql, max_memory_usage="5000000").text == "5000000\n"
    assert ask(door, sql, max_memory_usage="0").text == ask(door, sql).text == "1000000000\n"
    assert "Code: 164." in ask(door, f"{sql} settings max_memory_usage = 0").text
    assert ask(door, sql, log_comment="x").text == "1000000000\n"


def test_what_writes_or_reaches_out_is_refused_and_does_nothing(door: httpx.Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("secret\n")
    refused = [
        "drop table silver_trades",
        "insert into silver_trades (symbol) values ('x')",
        "create table t (a Int8) engine = Memory",
        "create temporary table t (a Int8)",
        "system stop merges",
        "kill query where 1",
        "set readonly = 0",
        "select 1 settings readonly = 0",
        f"select 1 into outfile '{tmp_path}/written'",
        f"insert into function file('{tmp_path}/written', 'CSV') select 1",
        f"select file('{outside}')",
        f"select arrayMap(file, ['{outside}'])",
        f"select * apply(file) from (select '{outside}' as a)",
        f"with (x -> file(x)) as f select f('{outside}')",
        f"select * from view(select file('{outside}'))",
        f"select * from file('{outside}', 'CSV')",
        f"select * from default.`{outside}`",
        f"select 'secret' in default.`{outside}`",
        f"describe file('{outside}')",
        f"describe sqlite('{tmp_path}/written', 't')",
        "select * from url('http://127.0.0.1:9/x', 'CSV')",
        "describe url('http://127.0.0.1:9/x', 'CSV')",
        "select * from s3('http://127.0.0.1:9/x', 'CSV')",
        "select * from remote('127.0.0.1:9', system.one)",
        "select * from executable('ls', 'TSV', 'a String')",
        "select * from python(door)",
        "select * from eval('select 1')",
        "select aiGenerate('x')",
        "select dummy from system.one settings additional_result_filter = 'dummy + 1'",
        "select dummy from system.one settings additional_table_filters = {'system.one': 'dummy = 1'}",
        "select count() from (select number from numbers(1000000000000) settings max_execution_time = 0)",
        "with a as (select 1 settings readonly = 0) select * from a",
        "select 1 union all select 2 settings max_threads = 64",
        "select (select 1 settings max_memory_usage = 0)",
        f"select file('{outside}') settings output_format = 'JSON'",
        f"select file('{outside}') settings `format` = 'Null'",
        f"select file('{outside}') settings/**/limit/**/=/**/1",
        f"select file('{outside}') settings max_threads = 1, offset = 3",
        f"select file('{outside}') settings max_result_rows = 1, result_overflow_mode = 'break'",
        f"select 1 as `a\n   Set`, file('{outside}')",
    ]
    said = {sql: ask(door, sql) for sql in refused}
    assert {sql: answer.text for sql, answer in said.items() if not answer.text.startswith("Code: 164. DB::Exception: ")} == {}
    assert {answer.headers["x-clickhouse-exception-code"] for answer in said.values()} == {"164"}
    assert "READONLY" in ask(door, "select 1", format_template_resultset=str(outside)).text
    assert "READONLY" in ask(door, "select 1", readonly="0").text
    assert "READONLY" in ask(door, "select 1", additional_result_filter="1").text
    assert list(tmp_path.iterdir()) == [outside]
    assert ask(door, "select count() from silver_trades").text == "0\n"
    allowed = "settings date_time_output_format = 'iso', max_threads = 1, join_use_nulls = 1"
    assert ask(door, f"select toDateTime64(0, 3, 'UTC') {allowed}").text == "1970-01-01T00:00:00.000Z\n"


def test_half_of_a_body_is_no_statement_and_no_query_id_breaks_the_header(door: httpx.Client) -> None:
    half = gzip.compress(b"select 1 where 0 = 1")[:-9]
    cut = door.post("/", content=half, headers={"Content-Encoding": "gzip"})
    assert (cut.status_code, "ends too early" in cut.text) == (501, True)
    odd = ask(door, "select 1", query_id="a\r\nX-Mine: 1")
    assert (odd.text, odd.headers["x-clickhouse-query-id"], "x-mine" in odd.headers) == ("1\n", "a??X-Mine: 1", False)


def test_errors_have_clickhouse_s_code_and_status(door: httpx.Client) -> None:
    cases = {
        "selec 1": (400, "62"),
        "select 1; select 2": (400, "62"),
        "": (400, "62"),
        "select nonsense": (404, "47"),
        "select * from nothing": (404, "60"),
        "select throwIf(1)": (500, "395"),
        "select 1 format Nonsense": (404, "73"),
    }
    said = {sql: ask(door, sql) for sql in cases}
    assert {sql: (one.status_code, one.headers["x-clickhouse-exception-code"]) for sql, one in said.items()} == cases
    assert all("DB::Exception" in one.text and "(version " in one.text for one in said.values())
    assert ask(door, "select 1", no_such_setting="1").status_code == 404
    assert ask(door, "x" * (1024 * 1024 + 1)).status_code == 413
    assert ask(door, "select sleepEachRow(1) from numbers(3)", max_execution_time="1").status_code == 408


def test_only_this_machine_by_its_own_names_is_answered(door: httpx.Client) -> None:
    sql = {"query": "select 1"}
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1].evil.example"},
        {"Host": "localhost:80@evil.example"},
    ):
        assert door.get("/", params=sql, headers=headers).status_code == 403, headers
        assert door.get("/ping", headers=headers).status_code == 403, headers
    assert door.get("/", params=sql, headers={"Host": "localhost:8123", "Origin": "http://localhost:3000"}).text == "1\n"
    assert (door.put("/").status_code, door.get("/nothing").status_code) == (405, 404)


def test_a_driver_reads_blocks_of_any_size_and_hears_of_an_error_in_the_middle(door: httpx.Client) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=door.base_url.port)
    with client.query_column_block_stream("select number from numbers(1000000)") as blocks:
        assert sum(len(columns[0]) for columns in blocks) == 1_000_000
    assert client.query_arrow("select number, toString(number) as s from numbers(200000)").num_rows == 200_000
    assert client.query("select {a:Array(String)}", parameters={"a": ["x'", "y"]}).result_rows == [(["x'", "y"],)]
    assert client.query("select 1 from numbers(1)", settings={"max_threads": 1}).result_rows == [(1,)]
    with pytest.raises((DatabaseError, StreamFailureError), match="395"):
        client.query("select throwIf(number = 900000) from numbers(1000000)")
    with pytest.raises(DatabaseError, match="READONLY"):
        client.command("truncate table silver_trades")
    client.close()


def test_native_blocks_are_checked_and_compressed_as_clickhouse_s_drivers_want_them(door: httpx.Client) -> None:
    body = ask(door, "select number from numbers(300000) format RowBinary", compress="1").content
    plain = b""
    while body:
        checksum, rest = body[:16], body[16:]
        size, unpacked = int.from_bytes(rest[1:5], "little"), int.from_bytes(rest[5:9], "little")
        assert (rest[0], city_hash_128(rest[:size])) == (0x82, checksum)
        plain += lz4.block.decompress(rest[9:size], uncompressed_size=unpacked)
        body = rest[size:]
    assert plain == b"".join(number.to_bytes(8, "little") for number in range(300_000))


def test_blocks_have_the_form_of_the_revision_that_a_driver_names(door: httpx.Client) -> None:
    columns = [
        "1.5::Decimal(76, 18)", "toLowCardinality('x')", "[1, 2]", "[[1], []]", "map('a', [1])", "tuple(1, 'b')", "true",
        "cast(null as Nullable(String))", "fromUnixTimestamp64Micro(1::Int64)", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
        "cast('b' as Enum8('a,(' = 1, 'b' = 2))", "toNullable(5)", "toFixedString('ab', 3)", "cast([] as Array(String))",
        "cast([('a', 1)] as Array(Tuple(`n m` LowCardinality(Nullable(String)), k UInt8)))", "interval 1 day",
        "cast(map('a', 'b') as Map(LowCardinality(String), Nullable(String)))",
        "cast(1 as SimpleAggregateFunction(sum, UInt64))",
    ]  # fmt: skip
    description = b"\x01\x00\x02\xff\xff\xff\xff\x00"

    def in_both(what: str) -> tuple[bytes, bytes]:
        sql = f"select {what} from numbers(3) format Native"
        oldest, later = (ask(door, sql, client_protocol_version=revision).content for revision in ("54405", "54460"))
        return oldest, later

    for column in columns:
        oldest, later = in_both(f"{column} as c")
        head = oldest[: 5 + oldest[4]]  # columns, rows, the name c, the type after its length
        assert later == description + head + b"\x00" + oldest[len(head) :], column
    oldest, later = in_both(", ".join(f"{column} as c{number}" for number, column in enumerate(columns)))
    assert len(later) == len(oldest) + len(description) + len(columns)
    refused = ask(door, "select cast(1 as Variant(UInt8, String)) format Native", client_protocol_version="54460")
    assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (501, "48")


def test_a_format_that_cannot_leave_in_pieces_is_limited(door: httpx.Client) -> None:
    answer = ask(door, "select number from numbers(50000000) format JSON")
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (500, "396")
    whole = ask(door, "select number % 2 as a, count() from numbers(4) group by a with totals order by a format TSV")
    assert whole.text == "0\t2\n1\t2\n\n0\t4\n"
    assert ask(door, "select 1 as a where 0 format TSVWithNames").text == "a\n"


def test_a_driver_that_wants_no_extremes_reads_as_far_as_it_likes(door: httpx.Client) -> None:
    """ClickHouse's JDBC driver sends `extremes=0`, and DBeaver leaves after its first 200 rows."""
    asked = {"query": "select number from numbers(50000000) format RowBinary", "extremes": "0"}
    with door.stream("GET", "/", params=asked) as answer:
        assert len(next(answer.iter_bytes(1_600))) == 1_600
        assert answer.status_code == 200
    wanted = ask(door, "select number from numbers(3) format TSV", extremes="1").text
    assert wanted == "0\n1\n2\n\n0\n2\n"


def test_a_client_that_leaves_ends_its_query(door: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        door.post("/", content=ENDLESS, timeout=0.5)
    wait_until(lambda: ask(door, RUNNING).text == "0\n", "the query to end")


def test_a_closing_door_refuses_what_waits_at_once_and_ends_what_runs(
    warehouse_settings: WarehouseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Also for a client that takes nothing, and one whose statement does not come."""
    with ExitStack() as parts:
        with serving_sql(warehouse_settings, listener=listen_for_sql(SqlSettings(port=0))) as door:
            warehouse = parts.enter_context(closing(connect(warehouse_settings)))

            def sent(head: str, body: str = "") -> socket.socket:
                client = parts.enter_context(socket.create_connection(("127.0.0.1", httpx.URL(door.url).port or 0)))
                client.settimeout(patience(30))
                client.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\n\r\n{body}".encode())
                return client

            sent("GET /?query=select+number+from+numbers(1000000000000)")  # nobody reads the answer
            ends = [sent(f"GET /?query={quote(ENDLESS)}") for _ in range(2)]
            wait_until(lambda: warehouse.query(RUNS)[0][0] == 3, "the queries to run")
            waits = [sent("GET /?query=select+1") for _ in range(5)]
            sent("POST /?query=select+1 HTTP/1.1\r\nContent-Length: 9\r\nX:", "s")
            for _ in range(2):
                assert httpx.get(f"{door.url}/ping", timeout=patience(10)).text == "Ok.\n"  # the others were heard before
            began = time.monotonic()
            door.close()
            took = time.monotonic() - began
        refused = [client.makefile("rb").read() for client in waits]
        ended = [client.makefile("rb").read() for client in ends]
    heads, bodies = {one.partition(b"\r\n")[0] for one in refused}, {one.partition(b"\r\n\r\n")[2] for one in refused}
    assert heads == {b"HTTP/1.1 503 Service Unavailable"}
    (body,) = bodies
    assert (b"is stopping: ask again when it has ended. (ABORTED)" in body, body.count(b"\n")) == (True, 1)
    assert all(b"QUERY_WAS_CANCELLED" in one or b"ABORTED" in one for one in ended)
    assert took < patience(4)
    assert "ASGI" not in caplog.text


@pytest.mark.parametrize("seconds", [30.0, 0.05])
async def test_a_client_that_takes_nothing_is_left_also_while_its_error_is_told(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door closes between two pieces of an answer, or another error comes there."""
    monkeypatch.setattr("tickhouse_core.sql_door.app.SEND_SECONDS", seconds)
    gone = asyncio.Event()

    class Pieces:
        output_format, counts = "TSV", dict[str, int]()
        left = iter([bytes(2_000_000)])

        def next_piece(self) -> bytes:
            if (piece := next(self.left, None)) is None:
                raise refusal(241, "MEMORY_LIMIT_EXCEEDED", "too much")
            return piece

        def close(self) -> None:
            return None

    reader = SimpleNamespace(begin=lambda *_: Pieces(), kill=lambda _: None, kill_all=lambda: None, version="1", timezone="UTC")
    door = SqlDoor(reader)  # type: ignore[arg-type]

    async def send(message: Message) -> None:
        if bodies and message["type"] == "http.response.body":
            await gone.wait()  # nothing more is taken
        elif message["type"] == "http.response.body":
            bodies.append(message["body"])
            if seconds > 1:
                await asyncio.to_thread(door.close)

    async def receive() -> Message:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    bodies, asked = list[bytes](), list[bool]()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"query=select+1",
        "headers": [(b"host", b"localhost")],
    }
    async with asyncio.timeout(patience(5)):
        await door(scope | {ABORT: gone.set, CLOSE: lambda: None}, receive, send)
    assert gone.is_set()
    assert len(bodies) == 1


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def dripping() -> dict[str, object]:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"s", "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    with pytest.raises(TimeoutError):
        await ask_of(Request(scope, dripping), body_seconds=0.05)

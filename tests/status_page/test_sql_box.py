"""The page's SQL over real HTTP: exact values, bounded answers, and nothing but reading."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from status_page.server import running_page
from status_page.sql_box import MOST_ROWS
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import StatusSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

REFUSED = (
    "insert into trades values (1)",
    "drop table trades",
    "select 1; select 2",
    "select * from file('/etc/passwd', 'LineAsString')",
    "select * from url('http://127.0.0.1:1/', 'LineAsString')",
    "select 1 into outfile 'x.tsv'",
    "selct 1",
    "select * from no_such_table",
    "select 1 format JSON",
    "select 1 settings output_format = 'JSON'",
    "select 1 settings format = 'Null'",
    "select dummy from system.one settings additional_result_filter = 'dummy + 1'",
    "select count() from (select number from numbers(1000000000000) settings max_execution_time = 0)",
    " ; ",
)


@pytest.fixture
def url(moto_lake: "Lake", warehouse: Warehouse) -> Iterator[str]:
    with running_page(StatusSettings(port=0)) as url:
        yield url


def asked(url: str, sql: str, answer_format: str = "table", kind: str = "application/sql") -> httpx.Response:
    where = f"{url}/api/sql?format={answer_format}"
    return httpx.post(where, content=sql, headers={"Content-Type": kind}, timeout=60)


def table(url: str, sql: str) -> dict[str, Any]:
    answer = asked(url, sql)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_values_are_exact_and_texts_are_whole(url: str) -> None:
    sql = "select toDecimal256('12345678901234567890.000000000000000001', 18) as price, 18446744073709551615 as id, null as none;"
    found = table(url, sql)
    assert found["columns"] == [["price", "Decimal(76, 18)"], ["id", "UInt64"], ["none", "Nullable(Nothing)"]]
    assert found["rows"] == [["12345678901234567890.000000000000000001", "18446744073709551615", None]]
    assert found["is_whole"]
    assert table(url, r"select 'a\tb\nc\\N' as text, '' as nothing")["rows"] == [["a\tb\nc\\N", ""]]
    assert table(url, "select 1 as one where false") | {"seconds": 0} == {
        "columns": [["one", "UInt8"]],
        "rows": [],
        "is_whole": True,
        "seconds": 0,
    }


def test_a_long_answer_is_cut_and_says_so(url: str) -> None:
    found = table(url, f"select number from numbers({MOST_ROWS + 1})")
    assert (len(found["rows"]), found["is_whole"]) == (MOST_ROWS, False)
    wide = table(url, "select repeat('x', 100000) from numbers(1000)")
    assert 1 <= len(wide["rows"]) < MOST_ROWS
    assert not wide["is_whole"]
    csv = asked(url, f"select number from numbers({MOST_ROWS * 2})", "csv")
    assert csv.text.count("\n") == MOST_ROWS * 2 + 1
    assert csv.headers["content-type"].startswith("text/csv")
    assert "64 MB" in asked(url, "select repeat('x', 100000) from numbers(1000)", "csv").text


@pytest.mark.parametrize("sql", REFUSED)
def test_whatever_does_more_than_read_the_warehouse_is_refused_in_words(url: str, sql: str) -> None:
    answer = asked(url, sql)
    assert answer.status_code == 400
    assert answer.text
    assert "Traceback" not in answer.text


def test_another_sites_page_and_a_page_without_a_token_cannot_ask(url: str, moto_lake: "Lake", warehouse: Warehouse) -> None:
    assert asked(url, "select 1", kind="text/plain").status_code == 415
    assert httpx.get(f"{url}/api/sql").status_code == 405
    assert asked(url, "select " + "1," * 60_000 + "1").status_code == 413
    with running_page(StatusSettings(port=0, host="0.0.0.0", without_token=True)) as shared:
        assert asked(shared, "select 1").status_code == 403


def test_a_statement_that_takes_too_much_ends_by_itself(url: str) -> None:
    refused = asked(url, "select groupArray(number) from numbers(1000000000)")
    assert refused.status_code == 400
    assert "MEMORY_LIMIT_EXCEEDED" in refused.text
    assert table(url, "select 1 as one")["rows"] == [["1"]]


def test_half_a_statement_costs_no_place_and_no_trace(url: str, caplog: pytest.LogCaptureFixture) -> None:
    host, port = url.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), 10) as client:
            head = "POST /api/sql HTTP/1.1", f"Host: {host}", "Content-Type: application/sql", "Content-Length: 100", "", "select"
            client.sendall("\r\n".join(head).encode())
    assert table(url, "select 1 as one")["rows"] == [["1"]]
    assert [record for record in caplog.records if record.exc_info] == []


def test_every_example_runs(url: str) -> None:
    examples = httpx.get(f"{url}/api/examples").text.strip().split("\n\n")[1:]
    assert len(examples) >= 5
    assert examples == (SQL_ROOT / "examples.sql").read_text(encoding="utf-8").strip().split("\n\n")[1:]
    for example in examples:
        title, sql = example.split("\n", 1)
        assert title.startswith("-- ")
        table(url, sql)

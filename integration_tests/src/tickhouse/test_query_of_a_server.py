"""`tickhouse query` over ClickHouse's HTTP interface: what only reads, for an account that may write and for readers."""

from typing import TYPE_CHECKING

import pytest

from tickhouse.answers import JSON_FORMAT, JSON_SETTINGS, TABLE_FORMAT
from tickhouse_core.errors import WarehouseReadOnly
from tickhouse_core.warehouse import connect, connect_asker

from ..load_process.conftest import clickhouse_server

if TYPE_CHECKING:
    from ..load_process.conftest import ClickHouseServer

__all__ = ["clickhouse_server"]


def test_a_server_is_asked_under_readonly(clickhouse_server: "ClickHouseServer", monkeypatch: pytest.MonkeyPatch) -> None:
    settings = clickhouse_server.settings
    asker = connect_asker(settings, JSON_SETTINGS)
    for statement in (
        "drop table ops_load_errors",
        "select 1 settings readonly = 0",
        "insert into ops_load_errors (bucket) values ('x')",
        "insert into function file('out.csv', 'CSV', 'a Int8') select 1",
        "select * from url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
    ):
        with pytest.raises(WarehouseReadOnly):
            asker.query_as(JSON_FORMAT, statement)
    assert asker.query_as(JSON_FORMAT, "select toDecimal64('1.50', 3) as d, toUInt64(1) as n") == b'{"d":"1.5","n":1}\n'
    asker.close()
    writer = connect(settings)
    assert writer.query("select count() from ops_load_errors") == [(0,)]
    writer.close()
    for level in (1, 2):  # an account that may only read keeps its own level
        clickhouse_server.stop()
        monkeypatch.setenv("CHDB_HTTP_SETTINGS", f"readonly={level}")
        clickhouse_server.start()
        asker = connect_asker(settings, JSON_SETTINGS)
        assert asker.query_as(TABLE_FORMAT, "select getSetting('readonly')").endswith(f"\n{level}\n".encode())
        with pytest.raises(WarehouseReadOnly):
            asker.query_as(TABLE_FORMAT, "drop table ops_load_errors")
        asker.close()

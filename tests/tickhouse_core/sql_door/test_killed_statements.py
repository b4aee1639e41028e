"""A statement that is killed ends with an error, or had all its rows before: the engine alone answers fewer, now and then."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from tests.waiting import patience

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.sql_door.reader import Ask, Reader, SqlError, new_mark
from tickhouse_core.warehouse import connect

TRIES = 300
ROWS = 20
SQL = f"select number, (select count() from numbers(1000)) from numbers({ROWS})"


@contextmanager
def killing(reader: Reader) -> Iterator[None]:
    ends = threading.Event()

    def kill() -> None:
        while not ends.is_set():
            reader.kill_all()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ends.set()
        killer.join(patience(10))


def rows_of(reader: Reader) -> int | None:
    """None where it was cancelled."""
    rows = 0
    try:
        with closing(reader.begin(Ask(SQL), new_mark())) as running:
            while (piece := running.next_piece()) is not None:
                rows += piece.count(b"\n")
    except SqlError as error:
        if "QUERY_WAS_CANCELLED" not in error.text:
            raise
        return None
    return rows


def test_a_reader_s_statement_has_all_its_rows_or_says_that_it_was_cancelled(warehouse_settings: WarehouseSettings) -> None:
    assert warehouse_settings.path is not None
    with closing(Reader(warehouse_settings.path, warehouse_settings.database)) as reader, killing(reader):
        answers = Counter(rows_of(reader) for _ in range(TRIES))
    assert answers[None]
    assert set(answers) <= {ROWS, None}, answers


def test_no_answer_counts_once_statements_may_be_killed(warehouse_settings: WarehouseSettings) -> None:
    stop = StopRequest()
    with closing(connect(warehouse_settings, until=stop)) as warehouse:
        assert warehouse.query("select 1") == [(1,)]
        stop.set()
        with pytest.raises(WarehouseRefused, match="QUERY_WAS_CANCELLED"):
            warehouse.query("select 1")
        with pytest.raises(WarehouseRefused, match="QUERY_WAS_CANCELLED"):
            warehouse.command("select 1")

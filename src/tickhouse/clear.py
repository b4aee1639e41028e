"""`tickhouse clear`: empties layers of the warehouse, after asking. The lake and the ledger are kept: all can be loaded again."""

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import typer

from tickhouse_core.command_line import print_table, with_data_folder
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect
from tickhouse_core.writer_fence import WriterFence

_PREFIXES = {"bronze": "bronze", "silver": "silver", "gold": "stored"}
"""First words of the tables of each layer: what begins with gold are views."""


def tables_of(warehouse: Warehouse, layers: Sequence[str], symbol: str | None) -> list[tuple[str, int]]:
    """The tables of the layers that have anything to lose, with their rows; with a symbol those that know symbols."""
    tables = [
        str(name)
        for (name,) in warehouse.query(
            "select name from system.tables where database = currentDatabase() and engine like '%MergeTree' "
            "and splitByChar('_', name)[1] in {layers:Array(String)} and ({symbol:String} = '' or (database, name) in "
            "(select (database, table) from system.columns where name = 'symbol')) order by name",
            {"layers": [_PREFIXES[layer] for layer in layers], "symbol": symbol or ""},
        )
    ]
    counted = [(table, _count(warehouse, table, symbol)) for table in tables]
    return [(table, rows) for table, rows in counted if rows]


def clear_tables(warehouse: Warehouse, tables: Sequence[str], symbol: str | None) -> None:
    """Safe to repeat. Every row, or every row of the symbol, is gone for the next query."""
    for table in tables:
        if symbol is None:
            warehouse.command(f"truncate table {table}")
        else:
            warehouse.command(f"delete from {table} where symbol = {{symbol:String}}", {"symbol": symbol})  # noqa: S608


def _count(warehouse: Warehouse, table: str, symbol: str | None) -> int:
    condition = "" if symbol is None else " where symbol = {symbol:String}"
    parameters = {} if symbol is None else {"symbol": symbol}
    ((rows,),) = warehouse.query(f"select count() from {table}{condition}", parameters)  # noqa: S608
    return int(rows)


def _ask(rows: int, where: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"this would clear {rows:,} rows in {where}: refusing to delete without confirmation: pass --yes")
    if not typer.confirm(f"Clear {rows:,} rows in {where}?"):
        raise TickhouseError("nothing was cleared")


@with_data_folder(reads=True)
def main(
    bronze: Annotated[bool, typer.Option("--bronze", help="Rows as loaded from the lake.")] = False,
    silver: Annotated[bool, typer.Option("--silver", help="Rows without duplicates, which the views show.")] = False,
    gold: Annotated[bool, typer.Option("--gold", help="Tables built from silver.")] = False,
    symbol: Annotated[str | None, typer.Option(help="Only the rows of this market.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Empty layers of the warehouse; the lake and the ledger are kept, so that everything can be loaded again."""

    def work() -> None:
        layers = [name for name, chosen in zip(_PREFIXES, (bronze, silver, gold), strict=True) if chosen]
        if not layers:
            raise UsageError("choose what to clear: --bronze, --silver, --gold")
        settings = read(WarehouseSettings)
        with closing(connect(settings)) as warehouse:
            tables = tables_of(warehouse, layers, symbol)
            if not tables:
                print("nothing to clear")
                return
            print_table(("table", "rows"), tables, title=f"to be cleared in {settings.database}")
            if not yes:
                _ask(sum(rows for _, rows in tables), f"{len(tables)} tables of {settings.database}")
            WriterFence(warehouse).check()
            clear_tables(warehouse, [table for table, _ in tables], symbol)
        print("cleared; the ledger is kept. To load everything again: tickhouse redrive --prefix data_sources/ --again")

    run_command(work)

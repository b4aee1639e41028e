"""A data folder is moved, copied while nothing has it open, and opened by another version: nothing in it knows where it is."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from tests.commands import run_here

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import connect
from transform_process.migrate import migrate, read_schema

pytestmark = pytest.mark.slow

TRADE = {"venue": "binance", "symbol": "BTCUSDT", "trade_id": 7, "price": 1, "quantity": 2, "is_buyer_maker": True}
LAST = [one for one in read_schema() if all("create table if not exists" in statement for statement in one.statements)][-1]
"""The newest with nothing but tables."""


def warehouse_of(folder: Path) -> WarehouseSettings:
    return WarehouseSettings.model_validate({"path": folder / "warehouse"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CLICKHOUSE_PATH", raising=False)
    made = tmp_path / "made"
    FolderStore(made / "lake").write("data_sources/x.parquet", b"1")
    migrate(warehouse_of(made))
    with closing(connect(warehouse_of(made))) as warehouse:
        warehouse.insert_rows("bronze_trades", [TRADE])
    return made


def trades(folder: Path) -> str:
    said = run_here("tickhouse.cli", "query", "--data", str(folder), "select count() from trades")
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()[-1]


def names_itself(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and str(folder).encode() in path.read_bytes()]


def test_it_is_moved_and_copied(folder: Path, tmp_path: Path) -> None:
    assert names_itself(folder) == [], "no file in it says where it is"
    moved, copied = tmp_path / "elsewhere" / "moved", tmp_path / "copied"
    moved.parent.mkdir()
    folder.rename(moved)
    shutil.copytree(moved, copied, symlinks=True)
    with closing(connect(warehouse_of(copied))) as warehouse:
        warehouse.insert_rows("bronze_trades", [TRADE | {"trade_id": 8}])
    assert (trades(moved), trades(copied)) == ("1", "2")
    assert FolderStore(moved / "lake").read("data_sources/x.parquet").body == b"1"
    assert migrate(warehouse_of(moved)) == 0
    assert not folder.exists()


def test_an_older_folder_gets_what_is_new(folder: Path) -> None:
    with closing(connect(warehouse_of(folder))) as warehouse:
        warehouse.command(f"delete from ops_schema_migrations where name = '{LAST.name}'")
        for statement in LAST.statements:
            name = statement.partition("if not exists ")[2].split()[0]
            warehouse.command(f"drop table {name}")
    assert migrate(warehouse_of(folder)) == 1
    assert trades(folder) == "1"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("9999_tomorrow.sql", r"was made by a newer tickhouse \(9999_tomorrow.sql\): use that one, or move \S+/warehouse away"),
        (
            LAST.name,
            r"are not those of this version \(.* was edited .*: use the version that made them, or move \S+/warehouse away",
        ),
    ],
)
def test_a_folder_of_another_version_is_refused_in_one_line(folder: Path, name: str, says: str) -> None:
    with closing(connect(warehouse_of(folder))) as warehouse:
        row = {"version": int(name[:4]), "name": name, "checksum": "another"}
        warehouse.insert_rows("ops_schema_migrations", [row])
    with pytest.raises(WarehouseRefused, match=says) as refused:
        migrate(warehouse_of(folder))
    assert "\n" not in str(refused.value)
    assert trades(folder) == "1", "what is there can be read all the same"

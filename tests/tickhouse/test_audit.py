from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.load_process.conftest import FOLDER, klines, parquet
from tests.load_process.operating import key_of, land, purge, rows_number
from tests.load_process.test_every_dataset import body_of

from load_process.redrive import Selection, run_redrive
from tickhouse.audit import FooterAudit, run_audit
from tickhouse_core.aws import s3_client
from tickhouse_core.datasets import DATASETS, HEARTBEATS, KLINES, TRADES, Dataset
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SYMBOL = "币安人生USDT"
LONG_AGO = "now64(6) - toIntervalDay(40)"


@pytest.fixture
def _loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    """Two objects of trades and one of klines."""
    land(moto_lake, 1, 2)
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1, 2)))
    run_redrive(Selection(prefix="data_sources/"), StopRequest())
    purge()


def audit(
    *datasets: Dataset, symbol: str | None = None, by: tuple[str, ...] = (), footers: bool = False, samples: int = 10
) -> None:
    run_audit(datasets or DATASETS, symbol=symbol, by=by, footers=footers, samples=samples)


def tables(capsys: pytest.CaptureFixture[str]) -> list[list[list[str]]]:
    """What was printed since, table by table."""
    out = capsys.readouterr().out
    out = out[out.index("dataset\t") :]
    return [[line.split("\t") for line in table.splitlines()] for table in out.split("\n\n")]


@pytest.mark.usefixtures("_loaded")
def test_totals_and_verdicts_of_a_sound_warehouse(capsys: pytest.CaptureFixture[str]) -> None:
    audit()
    totals, verdicts = tables(capsys)
    assert totals[0] == ["dataset", "objects", "footer rows", "bronze rows", "rows", "bytes on disk", "first", "last"]
    by_name = {line[0]: line[1:] for line in totals[1:]}
    assert list(by_name) == [dataset.name for dataset in DATASETS]
    assert by_name["klines"][:4] == ["1", "3", "3", "3"]
    assert int(by_name["klines"][4]) > 0
    assert by_name["klines"][5:] == ["2024-01-01 00:00:00.000000", "2024-01-01 02:00:00.000000"]
    assert by_name["trades"][:4] == ["2", "4", "4", "4"]
    assert by_name["heartbeats"] == ["0", "0", "0", "0", "0", "", ""]
    assert verdicts[1:] == [["klines", "ok", "1"], ["trades", "ok", "2"]]


@pytest.mark.slow
@pytest.mark.usefixtures("_loaded")
def test_what_is_not_ok_is_named_and_an_error(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.command("delete from bronze_trades where object_key = {key:String}", {"key": key_of(2)})
    warehouse.command("delete from bronze_klines where toHour(open_time) = 2")
    with pytest.raises(TickhouseError, match=r"^2 findings: `tickhouse redrive --key KEY --again`"):
        audit()
    _, verdicts, findings = tables(capsys)
    assert verdicts[1:] == [["klines", "missing rows", "1"], ["trades", "ok", "1"], ["trades", "gone from bronze", "1"]]
    assert findings[0] == ["dataset", "verdict", "key", "footer rows", "bronze rows", "loaded at"]
    assert [line[:5] for line in findings[1:]] == [
        ["klines", "missing rows", f"{FOLDER}/2024-01.parquet", "3", "2"],
        ["trades", "gone from bronze", key_of(2), "2", "0"],
    ]
    run_redrive(Selection(keys=[key_of(2), f"{FOLDER}/2024-01.parquet"]), StopRequest(), again=True)
    audit()


@pytest.mark.slow
@pytest.mark.usefixtures("_loaded")
def test_rows_that_only_an_older_version_has_and_rows_that_nobody_sees_are_named(
    moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"{FOLDER}/2024-01.parquet"
    moto_lake.store.write(key, parquet(klines(0, 1)))
    run_redrive(Selection(keys=[key]), StopRequest())
    audit()
    names = "venue, symbol, interval, open_time, object_key, object_etag, load_time"
    older = "(select key, etag from ops_loaded_objects final where status = 'superseded')"
    from_bronze = f"select {names} from bronze_klines where (object_key, object_etag) in {older} and toHour(open_time) = 2"
    warehouse.command(f"insert into silver_klines ({names}) {from_bronze}")
    warehouse.command("delete from silver_trades where object_key = {key:String}", {"key": key_of(2)})
    capsys.readouterr()
    with pytest.raises(TickhouseError, match=r"^2 findings"):
        audit()
    _, _, findings = tables(capsys)
    assert [line[:5] for line in findings[1:]] == [
        ["klines", "older version seen", key, "0", "1"],
        ["trades", "not seen", key_of(2), "0", "2"],
    ]
    run_redrive(Selection(keys=[key, key_of(2)]), StopRequest(), again=True)
    audit()


@pytest.mark.usefixtures("_loaded")
def test_no_more_samples_than_asked_for_and_all_of_them_counted(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.command("truncate table bronze_trades")
    for samples, shown in ((1, 1), (10, 2)):
        with pytest.raises(TickhouseError, match=r"^2 findings"):
            audit(TRADES, samples=samples)
        assert len(tables(capsys)[2]) == 1 + shown
    with pytest.raises(TickhouseError, match=r"^2 findings"):
        audit(TRADES, samples=0)
    assert len(tables(capsys)) == 2


@pytest.mark.usefixtures("_loaded")
def test_by_symbol_and_day(capsys: pytest.CaptureFixture[str]) -> None:
    audit(KLINES, TRADES, by=("symbol", "day"))
    header, *lines = tables(capsys)[1]
    assert header == ["dataset", "symbol", "day", "bronze rows", "rows", "first", "last"]
    assert lines[0] == [
        *("klines", "BTCUSDT", "2024-01-01", "3", "3"),
        *("2024-01-01 00:00:00.000000", "2024-01-01 02:00:00.000000"),
    ]
    assert [line[:5] for line in lines[1:]] == [["trades", SYMBOL, "2026-11-21", "4", "4"]]
    audit(HEARTBEATS, by=("day",))
    assert tables(capsys)[1] == [["dataset", "day", "bronze rows", "rows", "first", "last"]]


@pytest.mark.usefixtures("_loaded")
def test_one_symbol_is_about_its_rows_and_the_objects_that_hold_them(
    moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [row | {"symbol": "ETHUSDT"} for row in rows_number(7)]
    moto_lake.store.write(key_of(7), body_of(other, TRADES))
    run_redrive(Selection(keys=[key_of(7)]), StopRequest())
    capsys.readouterr()
    audit(TRADES, symbol="ETHUSDT")
    totals, verdicts = tables(capsys)
    assert totals[1][:6] == ["trades", "1", "2", "2", "2", ""]
    assert verdicts[1:] == [["trades", "ok", "1"]]
    warehouse.command("truncate table bronze_klines")
    audit(TRADES, KLINES, symbol="ETHUSDT")
    with pytest.raises(TickhouseError, match=r"^1 findings"):
        audit(KLINES, symbol="BTCUSDT")  # nothing of it is in bronze; the key says whose it was


@pytest.mark.slow
@pytest.mark.usefixtures("_loaded")
def test_what_the_retention_let_go_and_what_is_just_being_loaded_is_no_finding(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = "bucket, key, etag, dataset, rows, checksum, status, attempts"
    rows = warehouse.query(f"select {columns} from ops_loaded_objects where dataset = 'klines'")
    warehouse.command("truncate table ops_loaded_objects")
    warehouse.command("truncate table bronze_klines")
    ((bucket, key, etag, dataset, count, checksum, status, attempts),) = rows
    warehouse.command(
        f"insert into ops_loaded_objects ({columns}, load_time) select {{b:String}}, {{k:String}}, {{e:String}}, {{d:String}}, "
        f"{{n:UInt64}}, {{c:UInt64}}, {{s:String}}, {{a:UInt32}}, {LONG_AGO}",
        {"b": bucket, "k": key, "e": etag, "d": dataset, "n": count, "c": checksum, "s": status, "a": attempts},
    )
    with pytest.raises(TickhouseError, match=r"^1 findings"):
        audit()
    monkeypatch.setenv("RETENTION_BRONZE_DAYS", "30")
    capsys.readouterr()
    audit()
    assert tables(capsys)[1][1:] == [["klines", "expired", "1"], ["trades", "under way", "2"]]
    warehouse.command("insert into bronze_trades select * replace (addHours(load_time, -1) as load_time) from bronze_trades")
    warehouse.command("delete from bronze_trades where load_time > now64(6) - toIntervalMinute(30)")
    with pytest.raises(TickhouseError, match=r"^2 findings"):
        audit()


@pytest.mark.usefixtures("_loaded")
def test_what_is_in_quarantine_as_it_is_now_is_named(moto_lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the lake knows which version is current: a repaired object and one that is gone are no finding."""
    repaired, refused, gone, back = (key_of(number) for number in (8, 9, 10, 11))
    for key in (repaired, refused, gone, back):
        moto_lake.store.write(key, b"a text file")
    run_redrive(Selection(keys=[repaired, refused, gone, back]), StopRequest())
    for number, key in ((8, repaired), (11, back)):
        moto_lake.store.write(key, body_of(rows_number(number), TRADES))
    run_redrive(Selection(keys=[repaired, back]), StopRequest())
    moto_lake.store.write(back, b"a text file")  # the version that was refused, again
    s3_client().delete_object(Bucket=moto_lake.store.bucket, Key=gone)
    capsys.readouterr()
    with pytest.raises(TickhouseError, match=r"^2 findings: .* loads when a repaired object is written under its key$"):
        audit(TRADES, KLINES)
    header, *lines = tables(capsys)[2]
    assert header == ["dataset", "key", "reason", "detail"]
    assert [line[:3] for line in lines] == [["trades", key, "not_parquet"] for key in (refused, back)]
    assert "not a Parquet file of 11 bytes" in lines[0][3]
    moto_lake.store.write(back, body_of(rows_number(11), TRADES))
    moto_lake.store.write(refused, body_of(rows_number(9), TRADES))
    run_redrive(Selection(keys=[refused]), StopRequest())
    audit(TRADES, KLINES)


# FooterAudit


@pytest.mark.usefixtures("_loaded")
def test_footers_agree_with_ledger_and_bronze(moto_lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    moto_lake.store.write(key_of(8), b"a text file")
    run_redrive(Selection(keys=[key_of(8)]), StopRequest())
    land(moto_lake, 9)  # so young that its message may be on the way
    capsys.readouterr()
    with pytest.raises(TickhouseError, match=r"^1 findings"):  # the one in quarantine
        audit(TRADES, KLINES, footers=True)
    assert tables(capsys)[3] == [
        ["dataset", "objects in the lake", "footer rows", "ledger rows", "bronze rows", "quarantined", "findings"],
        ["trades", "4", "4", "4", "4", "1", "0"],
        ["klines", "1", "3", "3", "3", "0", "0"],
    ]


@pytest.mark.usefixtures("_loaded")
def test_footers_that_differ_are_found(moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.command(
        "insert into ops_loaded_objects (bucket, key, etag, dataset, rows, checksum, status, attempts) select bucket, key, etag, "
        "dataset, 5, checksum, status, attempts from ops_loaded_objects where key = {key:String}",
        {"key": key_of(1)},
    )
    warehouse.command("delete from bronze_trades where object_key = {key:String}", {"key": key_of(2)})
    land(moto_lake, 3)
    moto_lake.store.write(key_of(4), b"a text file")
    found = FooterAudit(moto_lake.store, warehouse, min_age_seconds=0).compare(TRADES, None)
    unreadable = found.findings.pop()
    assert found.findings == [
        (key_of(1), "2 rows by the footer, 5 in the ledger"),
        (key_of(1), "5 rows in the ledger, 2 in bronze"),
        (key_of(2), "2 rows in the ledger, 0 in bronze"),
        (key_of(3), "2 rows by the footer, not loaded"),
    ]
    assert unreadable[0] == key_of(4)
    assert unreadable[1].startswith("no readable footer: ")
    with pytest.raises(TickhouseError, match=r"^6 findings"):  # two by the views, four of these: one is young, as above
        audit(TRADES, footers=True)
    assert len(tables(capsys)[-1]) == 1 + 4


@pytest.mark.usefixtures("_loaded")
def test_an_object_with_several_versions_in_bronze_agrees(moto_lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1, 2, 3)))
    run_redrive(Selection(prefix=KLINES.prefix), StopRequest())
    capsys.readouterr()
    audit(KLINES, footers=True)
    assert tables(capsys)[2][1] == ["klines", "1", "4", "4", "7", "0", "0"]

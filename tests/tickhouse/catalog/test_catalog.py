"""A lake that is compacted and registered again and again: each snapshot has its rows once, for as long as it is kept."""

import itertools
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from tests.commands import run_here
from tests.tickhouse.catalog.catalogues import MONTH, newest_id, register, table_of, trades_at
from tests.tickhouse.compact.lakes import (
    DAY,
    DAY_US,
    HOUR,
    LONG_AFTER,
    SYMBOLS,
    InterruptedStore,
    Killed,
    mortal,
    objects,
    options,
    record_all,
    run,
    seen,
    trades_seen,
    with_doubles,
)
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import depth_diff, stream_event, trades

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse.catalog.gaps import gaps_known_until
from tickhouse.catalog.registration import Registration, TableCounts
from tickhouse.catalog.update import update
from tickhouse_core.datasets import DEPTH_DIFFS, STREAM_EVENTS, TRADES
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.iceberg.catalogue import Catalogue, open_catalogue
from tickhouse_core.iceberg.snapshots import BESIDE, files_of, is_one_lake, newest_of
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import now_us

SPAN = (DAY, DAY + DAY_US)
MINUTE = HOUR // 60


def gap_at(started_us: int) -> pa.Table:
    return stream_event("gap", "trades", 900, 901, started_us=started_us, ended_us=started_us + 1, instance="x")


def late(store: FolderStore, first: int = 500) -> None:
    """An object of a compacted hour."""
    write(
        store, TRADES, trades(range(first, first + 5), times_us=[DAY + HOUR + first + one for one in range(5)]), "c", DAY + HOUR
    )


def test_a_table_has_the_compacted_rows_each_once(folder: Path, store: FolderStore) -> None:
    done = register(store)
    rows = table_of(folder, TRADES).scan().to_arrow()
    by_key = itemgetter("symbol", "trade_id")
    assert sorted(rows.to_pylist(), key=by_key) == sorted(trades_seen(folder), key=by_key)
    assert done["trades"].files == done["trades"].added == len(SYMBOLS)
    assert done["trades"].rows == rows.num_rows > 0
    assert table_of(folder, DEPTH_DIFFS).scan().to_arrow().num_rows == done["depth_diffs"].rows > 0
    assert pc.sum(rows["price"]).type.scale == 18, "decimals are exact"


def test_a_second_run_commits_nothing(folder: Path, store: FolderStore) -> None:
    register(store)
    before = newest_id(folder)
    assert all((one.commits, one.added, one.removed) == (0, 0, 0) for one in register(store).values())
    assert newest_id(folder) == before


def test_a_replaced_object_goes_in_the_commit_that_adds_its_successor(folder: Path, store: FolderStore) -> None:
    register(store)
    late(store)
    run(store)
    done = register(store)["trades"]
    assert (done.added, done.removed, done.commits) == (2, 2, 1)
    table = table_of(folder, TRADES)
    assert [len(list(files_of(table, one))) for one in table.snapshots()] == [2, 2]
    assert table.scan().to_arrow().num_rows == len(trades_seen(folder))


def test_an_old_snapshot_gives_the_old_rows_after_compactions_and_deletions(folder: Path, store: FolderStore) -> None:
    register(store)
    old, before = newest_id(folder), trades_seen(folder)
    known = seen(th.open(folder, snapshot=old), SYMBOLS, *SPAN)
    for number, at in enumerate((LONG_AFTER, LONG_AFTER + 2 * DAY_US, LONG_AFTER + 4 * DAY_US)):
        late(store, 500 + 10 * number)
        run(store, options(at=at))
        register(store)
    assert trades_at(folder, old) == before
    assert seen(th.open(folder, snapshot=old), SYMBOLS, *SPAN) == known
    assert trades_at(folder, newest_id(folder)) == trades_seen(folder) != before


def test_a_snapshot_that_expired_frees_the_objects_that_it_held(folder: Path, store: FolderStore) -> None:
    register(store)
    old = newest_id(folder)
    late(store)
    run(store)
    register(store)
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert len(objects(store, compacted=True)) == 4, "both versions"

    register(store, at=now_us() + MONTH + DAY_US)
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert len(objects(store, compacted=True)) == 2
    assert [one.snapshot_id for one in table_of(folder, TRADES).snapshots()] == [newest_id(folder)]
    assert trades_at(folder, newest_id(folder)) == trades_seen(folder)
    with pytest.raises(UsageError, match=f"snapshot {old}: it goes with snapshot .* of trades, which expired"):
        th.open(folder, snapshot=old)
    metadata = {one.name for one in (folder / "iceberg" / "trades" / "metadata").glob("*.avro")}
    assert len([name for name in metadata if name.startswith("snap-")]) == 1, "those of the old one are deleted"


def test_a_snapshot_of_which_an_object_is_gone_is_refused_and_never_smaller(folder: Path, store: FolderStore) -> None:
    register(store)
    old = newest_id(folder)
    Path(store.where(objects(store, compacted=True)[0].key)).unlink()
    with pytest.raises(TickhouseError, match="the snapshot has it, and it is not there any more as it was"):
        trades_at(folder, old)


def test_certainty_ends_where_a_gap_may_not_be_in_the_snapshot_yet(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    """Trades of two hours are compacted, events of the second one are not: what they say of the first hour's rows is unknown."""
    late(store)
    run(store, options(), TRADES)
    write(store, STREAM_EVENTS, gap_at(DAY + 2 * HOUR), "a", DAY + 2 * HOUR)
    register(store)
    span = (DAY + HOUR - 10 * MINUTE, DAY + HOUR)
    certain = th.open(folder, snapshot=newest_id(folder)).trades("BTCUSDT", *span)
    now = th.open(folder).trades("BTCUSDT", *span)
    assert certain.arrow() == now.arrow()
    assert certain.coverage.to_pylist() == now.coverage.to_pylist()

    write(store, STREAM_EVENTS, gap_at(DAY + HOUR - 5 * MINUTE), "b", DAY + HOUR - 5 * MINUTE)
    late(store, 700)
    run(store, options(), TRADES)
    register(store)
    doubtful = th.open(folder, snapshot=newest_id(folder)).trades("BTCUSDT", *span)
    assert doubtful.arrow() == now.arrow()
    (line,) = doubtful.coverage.to_pylist()
    assert line["rows"] == now.coverage["rows"][0].as_py()
    assert line["recorded_until"] is None, "gaps are known until ten minutes before the first event that is left out"
    assert not doubtful.is_complete
    assert (
        "; gaps are known until 2024-08-09T00:45:00Z in this snapshot: ask for an earlier end, or run" in doubtful.why_incomplete
    )
    asked = ("--symbol", "BTCUSDT", "--from", "2024-08-09T00:50", "--to", "2024-08-09T01:00", "--channel", "trades")
    where = ("--snapshot", str(newest_id(folder)), "--data", str(folder.parent), "--out", str(tmp_path / "out"))
    done = run_here("tickhouse.cli", "export", "parquet", *asked, *where)
    assert f"not complete: trades ({doubtful.why_incomplete})" in done.stdout


def test_gaps_are_known_until_the_first_event_left_out_or_the_hour_of_a_name_without_an_instant(store: FolderStore) -> None:
    late = DAY + 2 * HOUR + 40 * MINUTE
    key = write(store, STREAM_EVENTS, gap_at(late), "a", late)
    assert gaps_known_until(store, DAY + 3 * HOUR) == {"binance": late - 10 * MINUTE}
    for name in ("other.parquet", "1234567890123456-other.parquet"):
        store.write(f"{key.rpartition('/')[0]}/{name}", store.read(key).body)
        assert gaps_known_until(store, DAY + 3 * HOUR) == {"binance": DAY + 2 * HOUR - 10 * MINUTE}


def test_an_export_of_a_snapshot_says_so_and_stays_the_same(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    register(store)
    old = newest_id(folder)
    asked = ("parquet", "--symbol", "BTCUSDT", "--from", "2024-08-09", "--to", "2024-08-10", "--channel", "trades")
    command = ("export", *asked, "--snapshot", str(old), "--data", str(folder.parent), "--out")
    done = run_here("tickhouse.cli", *command, str(tmp_path / "one"))
    assert done.returncode == 0, done.stderr
    late(store)
    run(store, options(at=LONG_AFTER))
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    register(store)
    done = run_here("tickhouse.cli", *command, str(tmp_path / "other"))
    assert done.returncode == 0, done.stderr
    one, other = (orjson.loads((tmp_path / name / "certificate.json").read_bytes()) for name in ("one", "other"))
    assert one == other
    assert one["export"]["snapshot"] == old
    refused = run_here("tickhouse.cli", *command[:-1], "--channel", "klines", "--out", str(tmp_path / "third"))
    assert (refused.returncode, "no snapshot has klines" in refused.stderr) == (2, True)


def test_rows_of_a_replaced_object_leave_the_table_with_the_compaction_that_had_them(folder: Path, store: FolderStore) -> None:
    late(store)
    run(store)
    register(store)
    replaced = next(one for one in objects(store, compacted=False) if "-c-" in one.key)
    store.write(replaced.key, parquet_bytes(trades([500], times_us=[DAY + HOUR + 500]), TRADES))
    run(store)
    register(store)
    assert trades_at(folder, newest_id(folder)) == trades_seen(folder)
    assert table_of(folder, TRADES).scan().to_arrow().num_rows == len(trades_seen(folder)) == 125


def test_a_large_lake_is_registered_in_several_commits_of_whole_days(folder: Path, store: FolderStore) -> None:
    for day in (1, 2):
        batch = pa.concat_tables([trades(range(1_000 * day, 1_000 * day + 5), symbol=symbol) for symbol in SYMBOLS])
        write(store, TRADES, batch, "a", DAY + day * DAY_US)
    run(store)
    counts = TableCounts(TRADES)
    Registration(store, open_catalogue(store), StopRequest(), {}, files_a_commit=1).run(TRADES, counts)
    assert (counts.commits, counts.added, counts.files) == (3, 6, 6)
    table = table_of(folder, TRADES)
    assert [len(list(files_of(table, one))) for one in table.snapshots()] == [2, 4, 6]


def midnight_trades(store: FolderStore, ids: range, instance: str, at: int, latency_us: int = 5_000) -> str:
    rows = trades(ids, times_us=[DAY + DAY_US - 2 + number - 900 for number in ids], latency_us=latency_us)
    return write(store, TRADES, rows, instance, at)


def by_id(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=itemgetter("symbol", "trade_id"))


def around_midnight(folder: Path) -> list[dict[str, Any]]:
    """As our reader has it."""
    return by_id(th.open(folder).trades(SYMBOLS, DAY, DAY + DAY_US + HOUR, exact=True).arrow())


def test_of_rows_that_two_instances_filed_under_two_days_the_first_received_counts(folder: Path, store: FolderStore) -> None:
    """Also after one of both objects was replaced by a later version, and by an old snapshot."""
    assert register(store)["trades"].doubles == 0
    midnight = DAY + DAY_US
    midnight_trades(store, range(900, 905), "a", midnight - 1)
    midnight_trades(store, range(902, 908), "b", midnight + 1, latency_us=4_000)
    midnight_trades(store, range(904, 905), "c", midnight + 2, latency_us=9_000)
    run(store)
    done = register(store)["trades"]
    assert (done.doubles, done.rows, done.commits) == (3, 124 + 8, 1)
    old, before = newest_id(folder), around_midnight(folder)
    assert by_id(table_of(folder, TRADES).scan().to_arrow()) == before
    late(store)
    midnight_trades(store, range(901, 904), "d", midnight + 3, latency_us=1_000)
    run(store, options(at=LONG_AFTER))
    assert register(store)["trades"].doubles == 4
    table = table_of(folder, TRADES)
    assert by_id(table.scan().to_arrow()) == around_midnight(folder) != before
    assert by_id(table.scan(snapshot_id=old).to_arrow()) == before
    assert register(store)["trades"].commits == 0


def test_positions_go_with_the_double_and_with_the_last_snapshot_that_has_them(folder: Path, store: FolderStore) -> None:
    midnight = DAY + DAY_US
    midnight_trades(store, range(900, 905), "a", midnight - 1)
    key = midnight_trades(store, range(902, 908), "b", midnight + 1, latency_us=4_000)
    run(store)
    register(store)
    store.write(key, parquet_bytes(trades([950], times_us=[midnight + 10]), TRADES))
    run(store)
    assert register(store)["trades"].doubles == 0
    assert by_id(table_of(folder, TRADES).scan().to_arrow()) == around_midnight(folder)
    assert len(list((folder / "iceberg" / "trades" / "data").iterdir())) == 1
    register(store, at=now_us() + MONTH + DAY_US)
    assert list((folder / "iceberg" / "trades" / "data").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_before", [True, False])
def test_a_kill_at_any_effect_in_the_lake_is_made_good_by_the_next_run(tmp_path: Path, is_before: bool) -> None:
    survived = 0
    for nth in range(1, 30):
        folder = tmp_path / str(nth) / "lake"
        store = FolderStore(folder)
        record_all(store, with_doubles())
        run(store)
        register(store)
        late(store)
        run(store)
        with suppress(Killed):
            register(mortal(folder, nth, is_before=is_before))
            survived = nth
        register(store)
        assert trades_at(folder, newest_id(folder)) == trades_seen(folder)
        if survived:
            break
    assert survived > 2, "it was killed at every effect before"


def test_a_compaction_beside_a_registration_is_registered_by_the_next(folder: Path, store: FolderStore) -> None:
    """Before its first records of what is held a late object is compacted and replaced objects are deleted at once."""
    numbers = itertools.count()

    def meanwhile() -> None:
        if (number := next(numbers)) > 2:
            return
        late(store, 600 + 10 * number)
        run(store, options(keep_us=0))
        run(store, options(keep_us=0))

    register(InterruptedStore(folder, meanwhile))
    for one in table_of(folder, TRADES).snapshots():
        assert trades_at(folder, one.snapshot_id)
    register(store)
    assert trades_at(folder, newest_id(folder)) == trades_seen(folder)


def test_of_two_runs_at_once_one_commits_and_the_other_finds_nothing_left(folder: Path, store: FolderStore) -> None:
    rivals = iter([True])

    def meanwhile() -> None:
        if next(rivals, False):
            register(store)

    register(InterruptedStore(folder, meanwhile))
    table = table_of(folder, TRADES)
    assert len(list(table.snapshots())) == 1
    assert table.scan().to_arrow().num_rows == len(trades_seen(folder))


class StopAsked(StopRequest):
    """Does something else when it is asked for the nth time, as a process beside it would."""

    def __init__(self, nth: int, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._left, self._meanwhile = nth, meanwhile

    def is_set(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self._meanwhile()
        return super().is_set()


def test_the_newest_snapshot_is_the_newest_of_every_table_also_after_runs_that_overlap(folder: Path, store: FolderStore) -> None:
    """One commits diffs between another's look at the tables and its commit of trades."""
    register(store)
    late(store)
    event = DAY + HOUR + 900
    write(store, DEPTH_DIFFS, depth_diff(900, 900, event_us=event, bids=[("100", "1")]), "c", event)
    run(store)
    rival = TableCounts(DEPTH_DIFFS)
    meanwhile = Registration(store, open_catalogue(store), StopRequest(), {}).run
    done: list[TableCounts] = []
    update(store, open_catalogue(store), StopAsked(2, lambda: meanwhile(DEPTH_DIFFS, rival)), now_us(), MONTH, done)
    assert (rival.commits, rival.added) == (1, 2)
    span = (SYMBOLS, *SPAN)
    at_newest, now = th.open(folder, snapshot=newest_id(folder)), th.open(folder)
    assert at_newest.trades(*span).arrow() == now.trades(*span).arrow()
    assert at_newest.depth_diffs(*span).arrow() == now.depth_diffs(*span).arrow()
    before = newest_id(folder)
    assert all(one.commits == 0 for one in register(store).values())
    assert newest_id(folder) == before


def snapshot(number: int, at_ms: int, beside: dict[str, int]) -> Snapshot:
    summary = Summary(Operation.APPEND, **{BESIDE: orjson.dumps(beside).decode()})
    return Snapshot(snapshot_id=number, sequence_number=1, timestamp_ms=at_ms, manifest_list="", summary=summary)


def test_which_snapshot_is_the_newest_is_no_question_of_clocks() -> None:
    """Trades were committed after events, by a machine whose clock is behind."""
    current = {"stream_events": snapshot(1, 2_000, {}), "trades": snapshot(2, 1_000, {"stream_events": 1})}
    assert newest_of(current) is current["trades"]
    assert is_one_lake(current)
    current["stream_events"] = snapshot(3, 2_000, {"trades": 7})
    assert not is_one_lake(current)


def test_of_two_catalogues_over_a_lake_each_keeps_its_snapshots(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    other = open_catalogue(store, f"sqlite:///{tmp_path}/other.db")
    register(store)
    register(store, other)
    old = next(iter(list(other_table(other).snapshots()))).snapshot_id
    late(store)
    run(store)
    register(store)
    register(store, other)
    register(store, at=now_us() + MONTH + DAY_US)
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert other_table(other).scan(snapshot_id=old).to_arrow().num_rows == 124
    register(store, other, at=now_us() + MONTH + DAY_US)
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert len(objects(store, compacted=True)) == 2


def other_table(catalogue: Catalogue) -> Table:
    table = catalogue.table(TRADES)
    assert table is not None
    return table


def test_marks_are_renewed_and_end_with_the_catalogue_that_nobody_has_any_more(folder: Path, store: FolderStore) -> None:
    register(store)
    late(store)
    run(store)
    register(store)
    for mark in (folder / "compactions").rglob("*.held"):
        os.utime(mark, (time.time() - 8 * 86_400,) * 2)
    register(store)
    marks = list((folder / "compactions").rglob("*.held"))
    assert all(one.stat().st_mtime > time.time() - 86_400 for one in marks)
    shutil.rmtree(folder / "iceberg")
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert len(objects(store, compacted=True)) == 4
    for mark in marks:
        os.utime(mark, (time.time() - 91 * 86_400,) * 2)
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    assert len(objects(store, compacted=True)) == 2


def test_the_command_prints_the_tables_and_the_id_of_the_lake(folder: Path, store: FolderStore) -> None:
    data = ("--data", str(folder.parent))
    preview = run_here("tickhouse.cli", "catalog", *data, "--dry-run")
    assert "trades\t\t0\t0\t2\t0\t0\t0\t0" in preview.stdout
    assert not (folder / "iceberg").exists(), "it only counts"
    done = run_here("tickhouse.cli", "catalog", *data)
    lines = {line.split("\t")[0]: line.split("\t") for line in done.stdout.splitlines()}
    assert lines["trades"][2:] == ["2", "124", "2", "0", "1", "0", "0"]
    assert f"snapshot {newest_id(folder)}; gaps known until: binance 20" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("catalog", "--expire-after", "soon"), "--expire-after 'soon' is no length of time"),
        (("catalog", "--catalog-uri", "nonsense"), "the catalogue: "),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run_here("tickhouse.cli", *arguments, "--data", str(folder.parent))
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_lake_without_a_catalogue_and_a_moved_one_say_what_to_do(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no catalogue of this lake yet: `tickhouse catalog` makes it"):
        th.open(folder, snapshot=1)
    register(store)
    folder.parent.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="for a data folder that was moved delete its lake/iceberg, snapshots end with it"):
        th.open(tmp_path / "moved", snapshot=1)


def test_a_folder_whose_name_is_no_address_is_refused(tmp_path: Path) -> None:
    for name in ("a%20b", "a#b", "a?b"):
        (tmp_path / name).mkdir()
        with pytest.raises(UsageError, match="addresses cannot have"):
            open_catalogue(FolderStore(tmp_path / name / "lake"))
        assert not (tmp_path / name / "lake").exists()


def test_klines_are_in_no_snapshot(folder: Path, store: FolderStore) -> None:
    register(store)
    klines = th.open(folder, snapshot=newest_id(folder))
    with pytest.raises(UsageError, match="no snapshot has klines"):
        klines.klines("BTCUSDT", "1m", *SPAN).arrow()

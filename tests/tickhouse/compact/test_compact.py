"""A lake before, during and after its compaction: every reader has the same rows, and no kill, late object or rival loses one."""

from __future__ import annotations

import io
import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.commands import run_here
from tests.tickhouse.compact.lakes import (
    DAY,
    DAY_US,
    HOUR,
    LONG_AFTER,
    SECOND,
    SYMBOLS,
    InterruptedStore,
    Killed,
    mortal,
    objects,
    options,
    record_all,
    run,
    run_and_retire,
    seen,
    trades_seen,
    with_doubles,
)
from tests.tickhouse.test_read_api import land_session, session, write  # noqa: F401
from tests.transform_process.warehouse_rows import stream_event, trades, us

import tickhouse as th
from load_process.value_checksum import value_checksum
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.compaction_records import Compactions
from tickhouse_core.datasets import STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_check import read_checked

if TYPE_CHECKING:
    from conftest import Lake

SPAN = (DAY, DAY + DAY_US)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "lake" / "data_sources").mkdir(parents=True)
    return tmp_path / "data" / "lake"


@pytest.mark.slow
def test_a_session_of_two_instances_reads_the_same_raw_mixed_and_compacted(
    folder: Path,
    session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table],  # noqa: F811
) -> None:
    """Over midnight, with gaps; any span of it, and the book at an instant."""
    store = FolderStore(folder)
    land_session(store, session)
    before = [one for dataset in BY_DAY for one in objects(store, dataset)]

    def everything() -> list[object]:
        lake = th.open(folder)
        spans = [
            ("2024-08-08T23:00", "2024-08-09T01:00"),
            ("2024-08-08T23:57:30", "2024-08-08T23:58"),
            ("2024-08-09T00:00", "2024-08-09T00:01"),
        ]
        books = [lake.book("BTCUSDT", at, exact=True).arrow().to_pylist() for at in ("2024-08-08T23:59:59.9", "2024-08-09T00:02")]
        return [seen(lake, ["BTCUSDT"], us(start), us(end)) for start, end in spans] + books

    raw = everything()
    run(store)
    assert everything() == raw
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    after = [one for dataset in BY_DAY for one in objects(store, dataset)]
    assert all(compacted_name(one.key) for one in after)
    assert len(after) <= 8 < len(before) / 10
    assert sum(one.size for one in after) < sum(one.size for one in before) / 2
    assert everything() == raw


def test_the_first_received_of_each_key_is_in_one_object_a_symbol_whose_footer_says_from_what(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    sources = objects(store)
    done = {one.dataset.name: one.counts for one in run(store)}
    assert (done["trades"].sources, done["trades"].rows, done["trades"].doubles) == (12, 124, 164)
    found = objects(store, compacted=True)
    assert [one.key.split("/")[2:5] for one in found] == [
        ["venue=binance", f"symbol={symbol}", "date=2024-08-09"] for symbol in SYMBOLS
    ]
    for one in found:
        body = store.read(one.key).body
        rows = read_checked(body, TRADES, one.key)
        assert rows.column("trade_id").to_pylist() == list(range(62))
        assert {row["receipt_time"] - row["trade_time"] for row in rows.to_pylist()} == {
            rows.to_pylist()[0]["receipt_time"] - rows.to_pylist()[0]["trade_time"]
        }
        said = pq.read_schema(io.BytesIO(body)).metadata
        assert int(said[b"tickhouse.value_checksum"]) == value_checksum(rows)
        behind = Compactions(store).behind(one.key)
        assert behind is not None
        assert behind.plan.id == said[b"tickhouse.plan"].decode()
        assert list(behind.plan.sources) == [(source.key, source.etag) for source in sources]
    assert len(objects(store, STREAM_EVENTS, compacted=True)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_compactors_that_are_killed_between_any_two_effects_lose_and_double_nothing(seed: int, tmp_path: Path) -> None:
    """50 of each seed."""
    killed_at_random(tmp_path / "lake", FolderStore(tmp_path / "lake"), tmp_path / "twin", random.Random(seed), deaths=50)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))])
def test_compactors_of_a_bucket_that_are_killed_lose_and_double_nothing(seed: int, moto_lake: Lake, tmp_path: Path) -> None:
    """25 of each seed."""
    killed_at_random(moto_lake.store.bucket, moto_lake.store, tmp_path / "twin", random.Random(seed), deaths=25)


def killed_at_random(lake: Path | str, store: ObjectStore, twin: Path, chance: random.Random, deaths: int) -> None:
    """Compactors until so many have died, with objects that come meanwhile; some delete sources at once."""
    address = lake if isinstance(lake, Path) else f"s3://{lake}"
    coming = [one for one in with_doubles() if one[0] is TRADES]
    chance.shuffle(coming)
    died = lives = 0
    wanted: list[dict[str, Any]] = []
    while died < deaths:
        lives += 1
        if coming and (not wanted or chance.random() < 0.2):
            more = [coming.pop() for _ in range(min(len(coming), chance.randint(1, 4)))]
            record_all(store, more)
            record_all(FolderStore(twin), more)
            wanted = trades_seen(twin)
        elif not coming:  # again, as another instance
            coming = [
                (dataset, rows, f"{instance}{lives}", at) for dataset, rows, instance, at in with_doubles() if dataset is TRADES
            ]
        keep, at = chance.choice([0, 0, DAY_US]), LONG_AFTER + lives * HOUR
        try:
            run(mortal(lake, chance.randint(1, 9), is_before=chance.random() < 0.5), options(at=at, keep_us=keep), TRADES)
        except Killed:
            died += 1
        assert trades_seen(address) == wanted
    for days in range(2, 6, 2):
        run(store, options(at=LONG_AFTER + lives * HOUR + days * DAY_US), TRADES)
    assert trades_seen(address) == wanted
    assert len(objects(store)) == 2


@pytest.mark.slow
def test_every_single_effect_can_be_the_last_one(tmp_path: Path) -> None:
    """From the plan to the last deletion: killed before and after each, then run again."""
    batches = [one for one in with_doubles() if one[0] is TRADES][:3]
    effects = 0
    for is_before, nth in itertools.product((True, False), range(1, 40)):
        folder = tmp_path / f"{nth}-{is_before}"
        store = FolderStore(folder)
        record_all(store, batches)
        whole = trades_seen(folder)
        dying = mortal(folder, nth, is_before=is_before)
        try:
            for days in (0, 2, 4):
                run(dying, options(at=LONG_AFTER + days * DAY_US), TRADES)
        except Killed:
            effects += 1
            assert trades_seen(folder) == whole
            for days in (5, 7, 9):
                run(store, options(at=LONG_AFTER + days * DAY_US), TRADES)
            assert trades_seen(folder) == whole
            assert len(objects(store)) == 2
    assert effects == 2 * (1 + 2 + 1 + 1 + 3 + 1)  # plan, objects, commit, fate, deletions, settled


def test_what_a_killed_compactor_wrote_is_written_again_under_the_same_keys(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    with pytest.raises(Killed):
        run(mortal(folder, 3, is_before=False), options(), TRADES)  # the plan, an object of two, and the other one
    left = objects(store, compacted=True)
    assert len(left) == 2
    run(store)
    assert [(one.key, one.etag) for one in objects(store, compacted=True)] == [(one.key, one.etag) for one in left]


def test_a_second_run_does_nothing_and_a_late_object_is_merged_in_a_new_version(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    run_and_retire(store)
    first = objects(store)
    assert run(store, options(at=LONG_AFTER + 3 * DAY_US)) == []
    assert objects(store) == first
    write(store, TRADES, trades([100], times_us=[DAY + 2 * HOUR]), "late", DAY + 2 * HOUR)
    write(store, TRADES, trades([5], times_us=[DAY + 50 * 60 * SECOND + 45], latency_us=1), "late", DAY + 2 * HOUR + 1)
    run_and_retire(store, LONG_AFTER + 4 * DAY_US)
    second = objects(store)
    assert len(second) == 2
    assert {one.key for one in first}.isdisjoint({one.key for one in second})
    rows = th.open(folder).trades("BTCUSDT", *SPAN, exact=True).arrow().to_pylist()
    assert [row["trade_id"] for row in rows] == [*range(62), 100]
    assert (rows[5]["receipt_time"] - rows[5]["trade_time"]).microseconds == 1  # received first, though it came last


def test_two_compactors_at_once_are_harmless(folder: Path) -> None:
    """The other one runs whole between any two writes of the first, once with an object that came meanwhile."""
    store = FolderStore(folder)
    record_all(store, with_doubles())
    whole = seen(th.open(folder), SYMBOLS, *SPAN)
    came: list[str] = []

    def meanwhile() -> None:
        if not came:
            came.append(write(store, TRADES, trades([11], times_us=[DAY + 50 * 60 * SECOND + 99]), "late", DAY + 2 * HOUR))
        run(FolderStore(folder), options(keep_us=DAY_US))

    run(InterruptedStore(folder, meanwhile), options())
    assert seen(th.open(folder), SYMBOLS, *SPAN) == whole
    run_and_retire(store)
    assert seen(th.open(folder), SYMBOLS, *SPAN) == whole
    assert len(objects(store)) == 2


def test_no_source_goes_while_an_object_with_its_rows_is_not_there_as_it_was_verified(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    whole = seen(th.open(folder), SYMBOLS, *SPAN)
    run(store, options(), TRADES)
    gone = objects(store, compacted=True)[0]
    store.delete(gone.key)
    run(store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    assert len(objects(store, compacted=False)) == 12
    assert seen(th.open(folder), SYMBOLS, *SPAN) == whole


def test_open_hours_and_young_commits_are_left_alone(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    assert run(store, options(at=DAY + 3 * HOUR - 1), TRADES) == []
    (done,) = run(store, options(at=DAY + 3 * HOUR), TRADES)
    assert done.counts.sources == 6  # the first of two hours
    (done,) = run(store, options(at=DAY + 3 * HOUR + DAY_US - 1), TRADES)
    assert (done.counts.deleted, done.counts.sources) == (0, 8)
    (done,) = run(store, options(at=DAY + 3 * HOUR + DAY_US), TRADES)
    assert (done.counts.deleted, done.counts.sources) == (6, 0)


def test_an_object_that_a_loader_refuses_stays_and_is_named(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    broken = objects(store)[3]
    store.write(broken.key, store.read(broken.key).body[:-100])
    counts = run(store, options(), TRADES)[0].counts
    assert (counts.refused, counts.sources) == ([broken.key], 11)
    run(store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    assert [one.key for one in objects(store, compacted=False)] == [broken.key]


def test_a_large_day_is_several_objects_of_disjoint_ids(folder: Path) -> None:
    store = FolderStore(folder)
    record_all(store, with_doubles())
    whole = seen(th.open(folder), SYMBOLS, *SPAN)
    run(store, replace(options(), run_bytes=4_000, part_bytes=2_000))
    run(store, options(at=LONG_AFTER + 2 * DAY_US))
    found = objects(store)
    assert len(found) > 6
    ids = [read_checked(store.read(one.key).body, TRADES, one.key).column("trade_id").to_pylist() for one in found]
    assert sorted(itertools.chain(*ids)) == sorted([*range(62), *range(62)])
    assert seen(th.open(folder), SYMBOLS, *SPAN) == whole


def test_the_command_counts_what_it_would_do_and_what_it_did(folder: Path) -> None:
    record_all(FolderStore(folder), with_doubles())
    command = ("tickhouse.compact.command", "--data", str(folder.parent), "--dataset", "trades")
    before = objects(FolderStore(folder))
    size = sum(one.size for one in before)
    header, line = run_here(*command, "--dry-run").stdout.splitlines()
    assert line.split("\t") == ["trades", "binance", "1", "12", str(size), "0", "0", "0", "0", "0", "0"]
    assert objects(FolderStore(folder)) == before
    header, line = run_here(*command, "--keep-sources", "0s").stdout.splitlines()
    assert dict(zip(header.split("\t"), line.split("\t"), strict=True)) == {
        "dataset": "trades", "venue": "binance", "days": "1", "objects before": "12", "bytes before": str(size),
        "objects after": "2", "bytes after": str(sum(one.size for one in objects(FolderStore(folder), compacted=True))),
        "rows": "124", "doubles left out": "164", "deleted": "0", "refused": "0",
    }  # fmt: skip
    header, line = run_here(*command, "--keep-sources", "0s").stdout.splitlines()
    assert line.split("\t")[-2] == "12"
    assert len(objects(FolderStore(folder))) == 2


def test_a_run_with_nothing_to_do_says_why_in_one_line(folder: Path) -> None:
    command = ("tickhouse.compact.command", "--data", str(folder.parent), "--dataset", "trades")

    def said(*more: str) -> str:
        (line,) = run_here(*command, *more).stdout.splitlines()
        return line.removeprefix("nothing to compact: ")

    assert said() == "the lake has no objects of trades"
    record_all(FolderStore(folder), with_doubles())
    young = "12 objects are of hours that ended less than 9999d ago (--older-than)"
    assert said("--older-than", "9999d") == said("--older-than", "9999d", "--dry-run") == young
    assert said("--since", "2024-08-10") == "all objects of trades, days since 2024-08-10 are merged already"
    run_here(*command)
    assert said("--keep-sources", "1d") == "12 objects are merged, and deleted 1d after that (--keep-sources)"
    run_here(*command, "--keep-sources", "0s")
    assert said() == "all objects of trades are merged already"


def test_a_symbol_of_many_chinese_letters_has_a_folder_too(folder: Path) -> None:
    """Percent-encoded it would be longer than a file's name may be."""
    symbols = ("BTCUSDT", f"{'币' * 60}USDT")
    record_all(FolderStore(folder), with_doubles(symbols))
    (done, *_) = run(FolderStore(folder), options(), TRADES)
    assert (done.counts.outputs, done.counts.rows) == (2, 124)
    run(FolderStore(folder), options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    assert th.open(folder).trades(symbols[1], *SPAN).arrow().num_rows == 62


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--older-than", "2"), "--older-than '2' is no length of time: write a number and s, m, h or d, such as 2h"),
        (("--keep-sources", "-1h"), "--keep-sources '-1h' is no length of time"),
        (("--dataset", "klines"), "--dataset klines: an object of klines holds a month already"),
        (("--dataset", "candles"), "unknown dataset 'candles'"),
        (("--dataset", "trade"), "unknown dataset 'trade': did you mean trades?"),
        (("--venue", "nope"), "venue 'nope': this lake has binance"),
        (("--venue", "Binanse", "--every", "1h"), "venue 'Binanse': this lake has binance: did you mean binance?"),
        (("--since", "yesterday"), "--since 'yesterday' is no instant"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: tuple[str, ...], says: str, folder: Path) -> None:
    write(FolderStore(folder), TRADES, trades([1]), "a", DAY)
    done = run_here("tickhouse.compact.command", "--data", str(folder.parent), *arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_what_was_told_last_counts_though_what_was_told_before_is_compacted_already(folder: Path) -> None:
    """Also for a lake that was open all the time."""
    store, lake = FolderStore(folder), th.open(folder)
    trades_told = trades(range(100, 105), times_us=[DAY + number * 5 * HOUR for number in range(5)])
    write(store, TRADES, trades_told, "a", DAY + 30 * DAY_US)
    for hour, last in ((1, 107), (3, 106), (5, 104)):  # of three files of one day
        event = stream_event("backfilled", "trades", 100, last, started_us=DAY, ended_us=DAY + 20 * HOUR)
        write(store, STREAM_EVENTS, event, "a", LONG_AFTER + hour * HOUR)
        for found in (lake, th.open(folder)):
            assert found.trades("BTCUSDT", *SPAN).is_complete == (last == 104)
        for later in (HOUR, 2 * DAY_US):  # merged; and its sources deleted
            run(store, options(at=LONG_AFTER + (hour + 2) * HOUR + later))
            for found in (lake, th.open(folder)):
                assert found.trades("BTCUSDT", *SPAN).is_complete == (last == 104), (hour, later)

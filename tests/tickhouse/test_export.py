"""Exports of a small lake with a gap, and the parts that decide; the tools themselves read exports in integration_tests."""

import gzip
import itertools
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from conftest import Lake as Bucket
from hypothesis import given, settings
from hypothesis import strategies as st
from integration_tests.src.docs.shell import commands_of
from tests.commands import run_here
from tests.tickhouse.test_python_page import small_lake
from tests.transform_process.warehouse_rows import depth_diff, depth_snapshot, klines, stream_event, trades, us

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse.export.book_runs import BookRuns, Mark
from tickhouse.export.command import Export
from tickhouse.export.hftbacktest_files import EVENT, EventMerger, in_both_orders
from tickhouse.export.numbers_as_text import Steps, as_raw, as_text
from tickhouse.export.receipt_times import ReceiptTimes
from tickhouse.export.spans import SpanCollector, is_inside, outside, shared
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.errors import Interrupted
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key, klines_month_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.reading.ranges import request
from tickhouse_core.timestamps import format_instant, now_us, parse_instant

DAY = us("2024-08-09")
START = DAY - 1_000_000
STEP = 100_000
LATENCY = 4_000
_sequences = itertools.count(1)
Book = dict[str, dict[Decimal, Decimal]]
Made = tuple[Path, dict[int, Book]]


def numbers(*values: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    return np.array(values, dtype=np.int64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A data folder of two seconds around midnight, and the book after every update at which it is known.

    Update 21 to 23 are missing; the snapshots are of update 4 and of update 27. The book before update 5 is not known.
    """
    data = tmp_path_factory.mktemp("export") / "data"
    store, dice = FolderStore(data / "lake"), random.Random(3)

    def write(dataset: Dataset, table: pa.Table, at: int) -> None:
        store.write(hourly_key(dataset, "binance", at, "a", next(_sequences)), parquet_bytes(table, dataset))

    book: Book = {"bids": {}, "asks": {}}
    books: dict[int, Book] = {}
    parts, snapshots = [], {}
    for number in range(1, 61):
        at = START + number * STEP // 3
        changes = {side: _changes(dice, sign) for side, sign in (("bids", -1), ("asks", 1))}
        for side, levels in changes.items():
            for price, quantity in levels:
                book[side][Decimal(price)] = Decimal(quantity)
            book[side] = {price: quantity for price, quantity in book[side].items() if quantity}
        books[number] = {side: dict(levels) for side, levels in book.items()}
        if number in (4, 27):
            bids, asks = ([[str(price), str(quantity)] for price, quantity in book[side].items()] for side in ("bids", "asks"))
            snapshots[number] = depth_snapshot(number, receipt_us=at + 50_000, bids=bids, asks=asks)
        if number not in (21, 22, 23):
            parts.append(depth_diff(number, number, event_us=at, latency_us=LATENCY, bids=changes["bids"], asks=changes["asks"]))
    write(DEPTH_DIFFS, pa.concat_tables(parts[:30]), START)
    write(DEPTH_DIFFS, pa.concat_tables(parts[30:]), START + STEP)
    for number, snapshot in snapshots.items():
        write(DEPTH_SNAPSHOTS, snapshot, START + number * STEP // 3)
    ids = range(101, 161)
    prices = [f"{100 + number % 3}.5" for number in ids]
    deals = trades(ids, times_us=[START + (number - 100) * STEP // 3 for number in ids], prices=prices, latency_us=LATENCY)
    write(TRADES, deals, START)
    gap = stream_event(
        "gap", "depth", 21, 23, started_us=START + 20 * STEP // 3, ended_us=START + 24 * STEP // 3, cause="sequence"
    )
    write(STREAM_EVENTS, gap, START + STEP)
    write(STREAM_EVENTS, stream_event("proven", "depth", 50, 50, started_us=START + 50 * STEP // 3), START + 2 * STEP)
    bars = pa.concat_tables([klines([DAY - 60_000_000], close="100.25"), klines([DAY], close="100.25", closed=False)])
    store.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(bars, KLINES))
    known = {number: found for number, found in books.items() if number >= 5 and number not in range(21, 28)}
    return data, known


def _changes(dice: random.Random, sign: int) -> list[list[str]]:
    places = dice.sample(range(1, 9), 3)
    return [[f"{100 + sign * away}.{away}", dice.choice(["0", "1", "2.5", "0.00012"])] for away in places]


FROM, TO = "2024-08-08T23:59:00", "2024-08-09T00:00:05"


def export(made: Made, out: Path, form: str, *more: str, code: int = 0, symbol: str = "BTCUSDT") -> Any:
    """The certificate, or what was said on stderr."""
    where = ("--data", str(made[0]), "--symbol", symbol, "--from", FROM, "--to", TO, "--out", str(out))
    done = run_here("tickhouse.cli", "export", form, *where, *more)
    assert done.returncode == code, done.stderr
    return done.stderr if code else orjson.loads((out / "certificate.json").read_bytes())


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def csv_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    return header.split(","), [row.split(",") for row in rows]


def test_tardis_csv_gives_the_book_after_every_update(made: Made, tmp_path: Path) -> None:
    """By the reader's rules in tardis.dev's documentation: a first snapshot row after other ones empties the book."""
    export(made, tmp_path / "out", "tardis-csv")
    book: Book = {"bids": {}, "asks": {}}
    found: dict[int, Book] = {}
    was_snapshot = False
    for day in ("2024-08-08", "2024-08-09"):
        header, rows = csv_rows(tmp_path / "out" / f"binance_incremental_book_L2_{day}_BTCUSDT.csv.gz")
        assert header == ["exchange", "symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount"]
        assert {row[0] for row in rows} == {"binance"}
        assert [int(row[3]) for row in rows] == sorted(int(row[3]) for row in rows)
        if day == "2024-08-09":
            assert rows[0][4] == "true"
        for _, _, timestamp, _, is_snapshot, side, price, amount in rows:
            if is_snapshot == "true" and not was_snapshot:
                book = {"bids": {}, "asks": {}}
            was_snapshot = is_snapshot == "true"
            book[f"{side}s"][Decimal(price)] = Decimal(amount)
            number = round((int(timestamp) - START) * 3 / STEP)
            found[number] = {name: {p: q for p, q in levels.items() if q} for name, levels in book.items()}
    assert {number: found[number] for number in made[1]} == made[1]


def test_a_range_begins_with_the_book_as_it_is_then(made: Made, tmp_path: Path) -> None:
    """The snapshot it stands on was received before the range; it is among the sources."""
    found = export(made, tmp_path / "out", "tardis-csv", "--type", "incremental_book_L2", "--from", "2024-08-09T00:00:00.4")
    _, rows = csv_rows(tmp_path / "out" / "binance_incremental_book_L2_2024-08-09_BTCUSDT.csv.gz")
    whole = [row for row in rows if row[4] == "true"]
    assert rows[: len(whole)] == whole
    book = {
        side: {Decimal(price): Decimal(amount) for *_, one, price, amount in whole if f"{one}s" == side} for side in made[1][41]
    }
    assert book == made[1][41]
    assert found["symbols"]["BTCUSDT"]["channels"]["depth"]["proven"] == [
        ["2024-08-09T00:00:00.400000Z", "2024-08-09T00:00:01.000001Z"]
    ]
    assert len([source for source in found["sources"] if "depth_snapshots" in source["key"]]) >= 1


@pytest.mark.slow  # moto
def test_a_bucket_gives_the_same_files_as_a_folder(
    made: Made, tmp_path: Path, moto_lake: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(made, tmp_path / "folder", "hftbacktest")
    for summary in FolderStore(made[0] / "lake").list_keys(""):
        moto_lake.store.write(summary.key, FolderStore(made[0] / "lake").read(summary.key).body)
    monkeypatch.setenv("S3_BUCKET", moto_lake.store.bucket)

    where = ("--symbol", "BTCUSDT", "--from", FROM, "--to", TO, "--out", str(tmp_path / "bucket"))
    done = run_here("tickhouse.cli", "export", "hftbacktest", *where)

    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "bucket") == bytes_of(tmp_path / "folder")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_book_is_exact_wherever_it_is_known(seed: int, tmp_path: Path) -> None:
    """Missing updates, snapshots of any update that arrive late, clocks that are wrong, healed rows, any beginning."""
    dice = random.Random(seed)
    store, at, last, missing = FolderStore(tmp_path / "data" / "lake"), START - 200 * STEP, 0, set(dice.sample(range(2_500), 4))
    clock = dice.choice([0, -2_000_000, 3_000_000])
    book: Book = {"bids": {}, "asks": {}}
    books, parts, snapshots, known, base = {}, [], [], set(), 10**9
    for number in range(2_500):
        at += dice.choice([1_000, 50_000, 100_000])
        first, last = last + 1, last + dice.randrange(1, 4)
        bids, asks = _changes(dice, -1), _changes(dice, 1)
        for side, levels in (("bids", bids), ("asks", asks)):
            book[side] |= {Decimal(price): Decimal(quantity) for price, quantity in levels}
            book[side] = {price: quantity for price, quantity in book[side].items() if quantity}
        books[at] = {side: dict(levels) for side, levels in book.items()}
        if number in missing:
            base = 10**9
            continue
        if last > base:
            known.add(at)
        latency = 3_600_000_000 if dice.random() < 0.002 else dice.randrange(300_000)
        parts.append(depth_diff(first, last, event_us=at, latency_us=latency + clock, bids=bids, asks=asks))
        if dice.random() < 0.01 or number == 1:
            bids, asks = ([[str(price), str(quantity)] for price, quantity in book[side].items()] for side in ("bids", "asks"))
            snapshots.append(depth_snapshot(last, receipt_us=at + dice.randrange(2_000_000) + clock, bids=bids, asks=asks))
            base = min(base, last)
    for dataset, tables in ((DEPTH_DIFFS, parts), (DEPTH_SNAPSHOTS, snapshots)):
        for begin in range(0, len(tables), 600):
            table = pa.concat_tables(tables[begin : begin + 600])
            received = min(table.column("receipt_time").cast(pa.int64()).to_pylist())
            store.write(hourly_key(dataset, "binance", received, "a", next(_sequences)), parquet_bytes(table, dataset))
    begin = dice.choice(list(books)[:1_000])
    instants = ["--from", format_instant(begin), "--to", format_instant(at + 1)]

    export((tmp_path / "data", {}), tmp_path / "out", "hftbacktest", "--channel", "depth", "--only-proven", *instants)

    found: dict[int, Book] = {}
    now: Book = {"bids": {}, "asks": {}}
    for path in sorted((tmp_path / "out").glob("*.npz")):
        for event in np.load(path)["data"]:
            side, kind = "bids" if event["ev"] & (1 << 29) else "asks", int(event["ev"]) & 0xFF
            if kind == 3:
                now[side] = {}
            else:
                now[side][Decimal(str(event["px"]))] = Decimal(str(event["qty"]))
            found[int(event["exch_ts"]) // 1_000] = {name: {p: q for p, q in one.items() if q} for name, one in now.items()}
    assert found == {moment: books[moment] for moment in known if moment >= begin}
    assert len(found) > 1_000


def test_tardis_csv_has_trades_quotes_and_best_levels(made: Made, tmp_path: Path) -> None:
    certificate = export(made, tmp_path / "out", "tardis-csv")
    header, deals = csv_rows(tmp_path / "out" / "binance_trades_2024-08-08_BTCUSDT.csv.gz")
    assert header == ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]
    at = START + STEP // 3
    assert deals[0] == ["binance", "BTCUSDT", str(at), str(at + LATENCY), "101", "buy", "102.5", "0.5"]
    header, quotes = csv_rows(tmp_path / "out" / "binance_quotes_2024-08-09_BTCUSDT.csv.gz")
    assert header[4:] == ["ask_amount", "ask_price", "bid_price", "bid_amount"]
    header, tops = csv_rows(tmp_path / "out" / "binance_book_snapshot_5_2024-08-09_BTCUSDT.csv.gz")
    assert header[4:9] == ["asks[0].price", "asks[0].amount", "bids[0].price", "bids[0].amount", "asks[1].price"]
    for _, _, timestamp, _, *values in tops:
        number = round((int(timestamp) - START) * 3 / STEP)
        asks, bids = sorted(made[1][number]["asks"].items()), sorted(made[1][number]["bids"].items(), reverse=True)
        wanted = [
            one for place in range(5) for side in (asks, bids) for one in (side[place] if place < len(side) else (None, None))
        ]
        assert [Decimal(value) if value else None for value in values] == wanted
    assert len(quotes) <= len(tops) <= sum(number >= 30 for number in made[1])
    assert {file["name"].split("_2024")[0] for file in certificate["files"]} == {
        *("binance_trades", "binance_incremental_book_L2", "binance_quotes"),
        *("binance_book_snapshot_5", "binance_book_snapshot_25"),
    }


def test_hftbacktest_events_give_the_book_after_every_update(made: Made, tmp_path: Path) -> None:
    export(made, tmp_path / "out", "hftbacktest")
    books: Book = {"bids": {}, "asks": {}}
    found: dict[int, Book] = {}
    deals = []
    for day in ("20240808", "20240809"):
        events = np.load(tmp_path / "out" / f"BTCUSDT_{day}.npz")["data"]
        assert events.dtype == EVENT
        for flag, column in ((1 << 31, "exch_ts"), (1 << 30, "local_ts")):
            seen = events[(events["ev"] & flag) > 0]
            assert (np.diff(seen[column]) >= 0).all()
        assert (events["local_ts"] - events["exch_ts"] >= LATENCY * 1_000).all()
        for event in events[(events["ev"] & (1 << 30)) > 0]:
            kind, side = int(event["ev"]) & 0xFF, "bids" if event["ev"] & (1 << 29) else "asks"
            if kind == 2:
                deals.append((event["px"], "buy" if side == "bids" else "sell"))
                continue
            if kind == 3:
                books[side] = {}
                continue
            assert kind in (1, 4)
            books[side][Decimal(str(event["px"]))] = Decimal(str(event["qty"]))
            number = round((event["exch_ts"] / 1_000 - START) * 3 / STEP)
            found[number] = {name: {p: q for p, q in levels.items() if q} for name, levels in books.items()}
    assert {number: found[number] for number in made[1]} == made[1]
    rows = th.open(made[0]).trades("BTCUSDT", FROM, TO).arrow().to_pylist()
    assert deals == [(row["price"], "sell" if row["is_buyer_maker"] else "buy") for row in rows]


def test_a_nautilus_catalog_is_written_as_the_package_reads_it(made: Made, tmp_path: Path) -> None:
    certificate = export(
        made, tmp_path / "out", "nautilus", *(word for name in ("trades", "depth", "klines") for word in ("--channel", name))
    )
    tables = {Path(file["name"]).parts[1]: pq.read_table(tmp_path / "out" / file["name"]) for file in certificate["files"]}
    assert set(tables) == {"trade_tick", "order_book_deltas", "bar", "currency_pair"}
    metadata = {b"instrument_id": b"BTCUSDT.BINANCE", b"price_precision": b"2", b"size_precision": b"5"}
    assert tables["trade_tick"].schema.metadata == metadata
    deals = tables["trade_tick"].to_pylist()
    assert [deal["trade_id"] for deal in deals] == [str(number) for number in range(101, 161)]
    assert Decimal(int.from_bytes(deals[0]["price"], "little", signed=True)).scaleb(-16) == Decimal("102.5")
    assert [deal["aggressor_side"] for deal in deals[:2]] == [1, 2]
    assert deals[0]["ts_init"] - deals[0]["ts_event"] == LATENCY * 1_000
    deltas = tables["order_book_deltas"].to_pylist()
    assert [delta["action"] for delta in deltas].count(4) == 2
    book: dict[int, dict[int, int]] = {1: {}, 2: {}}
    for delta in deltas:
        price, size = (int.from_bytes(delta[name], "little", signed=True) for name in ("price", "size"))
        if delta["action"] == 4:
            book = {1: {}, 2: {}}
        elif delta["action"] == 3:
            book[delta["side"]].pop(price, None)
        else:
            book[delta["side"]][price] = size
    last = made[1][60]
    for side, number in (("bids", 1), ("asks", 2)):
        assert {Decimal(p).scaleb(-16): Decimal(q).scaleb(-16) for p, q in book[number].items()} == last[side]
    assert [delta["flags"] for delta in deltas[-1:]] == [128]
    (name,) = [file["name"] for file in certificate["files"] if "trade_tick" in file["name"]]
    assert name.startswith("data/trade_tick/BTCUSDT.BINANCE/2024-08-08T23-59-59-037333000Z_2024-08-09T00-00-01-004000000Z")
    assert tables["bar"].num_rows == 1
    (pair,) = tables["currency_pair"].to_pylist()
    assert (pair["base_currency"], pair["quote_currency"], pair["price_increment"]) == ("BTC", "USDT", "0.01")


def test_only_proven_leaves_out_what_the_certificate_names(made: Made, tmp_path: Path) -> None:
    whole = export(made, tmp_path / "whole", "parquet")["symbols"]["BTCUSDT"]
    assert whole["channels"]["depth"]["gaps_in_words"] == [
        "depth: ids 21 to 23 missing, 2024-08-08T23:59:59.666666Z to 2024-08-08T23:59:59.800000Z (sequence)"
    ]
    assert not whole["channels"]["depth"]["is_complete"]
    assert [one["update_id"] for one in whole["channels"]["depth"]["proofs"]] == [50]
    assert (whole["left_out"], whole["rows_left_out"]["trades"]) == ([], 0)

    proven = export(made, tmp_path / "proven", "parquet", "--only-proven")["symbols"]["BTCUSDT"]

    spans = [
        ["2024-08-08T23:59:59.166666Z", "2024-08-08T23:59:59.666667Z"],
        ["2024-08-08T23:59:59.933333Z", "2024-08-09T00:00:01.000001Z"],
    ]
    assert proven["channels"]["depth"]["proven"] == spans
    assert proven["left_out"] == [[FROM + "Z", spans[0][0]], [spans[0][1], spans[1][0]], [spans[1][1], TO + "Z"]]
    for name, ids in (("trades", "trade_id"), ("depth_diffs", "last_update_id")):
        found = pq.read_table(tmp_path / "proven" / f"BTCUSDT_{name}.parquet").column(ids).to_pylist()
        assert [one % 100 for one in found] == [*range(5, 21), *range(28, 61)]
    assert proven["rows_left_out"]["trades"] == 60 - 49
    assert pq.read_table(tmp_path / "whole" / "BTCUSDT_trades.parquet") == (
        th.open(made[0]).trades("BTCUSDT", FROM, TO, exact=True).arrow()
    )


def test_a_gap_that_was_healed_in_part_is_missing_for_the_rest(tmp_path: Path) -> None:
    """KuCoin's ids have holes of their own, so that a gap alone says what is missing; its healed rows are one span."""
    store, symbol, latest = FolderStore(tmp_path / "data" / "lake"), ("kucoin", "BTC-USDT"), DAY + 59 * STEP
    ids = [*range(100, 200, 10), *range(250, 301, 10), *range(310, 400, 10)]
    deals = trades(ids, times_us=[DAY + (one - 100) // 10 * STEP for one in ids], venue=symbol[0], symbol=symbol[1])
    gap = stream_event("gap", "trades", 200, 305, started_us=DAY + 9 * STEP, ended_us=DAY + 21 * STEP)
    told = pa.concat_tables([gap, stream_event("healed", "trades", 245, 305, started_us=latest)])
    for place, name in enumerate(symbol):
        told = told.set_column(place, told.schema.field(place), pa.array([name] * 2).cast(told.schema.field(place).type))
    for dataset, table in ((TRADES, deals), (STREAM_EVENTS, told)):
        store.write(hourly_key(dataset, "kucoin", DAY, "a", next(_sequences)), parquet_bytes(table, dataset))

    arguments = ("--channel", "trades", "--only-proven", "--venue", symbol[0])
    found = export((tmp_path / "data", {}), tmp_path / "out", "parquet", *arguments, symbol=symbol[1])["symbols"][symbol[1]]

    (known,) = found["channels"]["trades"]["gaps"]
    assert (known["is_open"], known["missing"]) == (True, [[200, 244]])
    (words,) = found["channels"]["trades"]["gaps_in_words"]
    assert words.startswith("trades: ids 200 to 244 (of ids 200 to 305, whose rest is here) missing, ")
    spans = [(instant - DAY) // STEP for span in found["channels"]["trades"]["proven"] for instant in map(parse_instant, span)]
    assert spans == [0, 9, 15, 29]
    assert (found["rows_written"], found["rows_left_out"]) == ({"trades": len(ids)}, {"trades": 0})


def test_what_the_venue_does_not_have_is_not_said_to_be_here(tmp_path: Path) -> None:
    """A halt of three minutes, of which the venue had one later; and a live gap that was half healed."""
    store, minute, name = FolderStore(tmp_path / "data" / "lake"), 60_000_000, "backfill-1-1m"
    store.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(klines([DAY - minute, DAY]), KLINES))
    halt = {"cause": "venue_has_no_data", "instance": name}
    told = [
        stream_event("gap", "klines", DAY + 2 * minute, DAY + 4 * minute, started_us=DAY, ended_us=DAY + 5 * minute, **halt),
        stream_event("gap", "klines", DAY + minute, DAY + 4 * minute, started_us=DAY, ended_us=DAY + 5 * minute, instance=name),
        stream_event("healed", "klines", DAY + minute, DAY + minute, started_us=DAY, ended_us=DAY + 2 * minute, instance=name),
    ]
    body = parquet_bytes(pa.concat_tables(told), STREAM_EVENTS)
    store.write(hourly_key(STREAM_EVENTS, "binance", DAY, "a", next(_sequences)), body)

    found = export((tmp_path / "data", {}), tmp_path / "out", "parquet", "--channel", "klines", "--to", "2024-08-09T00:05:00")

    mended, gone = found["symbols"]["BTCUSDT"]["channels"]["klines"]["gaps_in_words"]
    assert " missed by one recorder, but here, or not available from the venue, " in mended
    assert " not available from the venue, " in gone
    assert "here" not in gone


def test_rows_of_another_recorder_in_a_gap_are_one_span(tmp_path: Path) -> None:
    """At Binance the ids themselves say what is missing."""
    store = FolderStore(tmp_path / "data" / "lake")
    for instance, ids in (("a", [*range(1, 11), *range(21, 31)]), ("b", range(15, 26))):
        table = trades(ids, times_us=[DAY + one * STEP for one in ids])
        store.write(hourly_key(TRADES, "binance", DAY, instance, next(_sequences)), parquet_bytes(table, TRADES))
    gap = stream_event("gap", "trades", 11, 20, started_us=DAY + 10 * STEP, ended_us=DAY + 21 * STEP)
    store.write(hourly_key(STREAM_EVENTS, "binance", DAY, "a", next(_sequences)), parquet_bytes(gap, STREAM_EVENTS))

    found = export((tmp_path / "data", {}), tmp_path / "out", "parquet", "--channel", "trades", "--only-proven")

    proven = found["symbols"]["BTCUSDT"]["channels"]["trades"]["proven"]
    assert [(parse_instant(one) - DAY) // STEP for span in proven for one in span] == [1, 10, 15, 30]


def test_ids_of_futures_that_are_no_trades_end_no_span_and_missing_ones_do(tmp_path: Path) -> None:
    """Ids are counted up by one there too: no gap is needed to miss one."""
    store, venue = FolderStore(tmp_path / "data" / "lake"), "binance-usdm"
    ids = [one for one in range(1, 41) if one not in (5, 6, 14, 15, 25, 26)]
    deals = trades(ids, times_us=[DAY + one * STEP for one in ids], venue=venue)
    told = [
        ("no_trade", 5, 6),
        ("no_trade", 14, 14),
        ("gap", 26, 26),
        ("healed", 26, 26),
        ("no_trade", 26, 26),
        ("no_trade", 25, 25),
    ]
    events = pa.concat_tables(
        stream_event(event, "trades", first, last, started_us=DAY + (first - 1) * STEP) for event, first, last in told
    )
    field = events.schema.field("venue")
    events = events.set_column(0, field, pa.array([venue] * len(events)).cast(field.type))
    for dataset, table in ((TRADES, deals), (STREAM_EVENTS, events)):
        store.write(hourly_key(dataset, venue, DAY, "a", next(_sequences)), parquet_bytes(table, dataset))

    arguments = ("--channel", "trades", "--only-proven", "--venue", venue)
    found = export((tmp_path / "data", {}), tmp_path / "out", "parquet", *arguments)

    proven = found["symbols"]["BTCUSDT"]["channels"]["trades"]["proven"]
    assert [(parse_instant(one) - DAY) // STEP for span in proven for one in span] == [1, 13, 16, 40]


def test_what_a_mismatch_put_into_doubt_is_not_proven(tmp_path: Path) -> None:
    """From the last update that was verified to the snapshot that put the book right."""
    store = FolderStore(tmp_path / "data" / "lake")
    bids, asks = [["99", "1"]], [["101", "1"]]
    tables = [
        (DEPTH_DIFFS, depth_diff(number, number, event_us=DAY + number * STEP, bids=bids, asks=asks)) for number in range(1, 13)
    ]
    for number, reason in ((0, "start"), (8, "mismatch")):
        snapshot = depth_snapshot(number, receipt_us=DAY + number * STEP + 1, bids=bids, asks=asks)
        place = snapshot.schema.get_field_index("reason")
        reasons = pa.array([reason]).cast(snapshot.schema.field(place).type)
        tables.append((DEPTH_SNAPSHOTS, snapshot.set_column(place, snapshot.schema.field(place), reasons)))
    for event, number in (("proven", 3), ("mismatch", 6)):
        tables.append((STREAM_EVENTS, stream_event(event, "depth", number, number, started_us=DAY + number * STEP)))
    for dataset, table in tables:
        store.write(hourly_key(dataset, "binance", DAY, "a", next(_sequences)), parquet_bytes(table, dataset))

    found = export((tmp_path / "data", {}), tmp_path / "out", "nautilus", "--channel", "depth", "--only-proven")

    known = found["symbols"]["BTCUSDT"]
    assert [one["update_id"] for one in known["channels"]["depth"]["mismatches"]] == [6]
    (name,) = [file["name"] for file in found["files"] if "deltas" in file["name"]]
    deltas = pq.read_table(tmp_path / "out" / name).to_pylist()
    assert sorted({delta["sequence"] for delta in deltas if not delta["flags"] & 32}) == [1, 2, 3, 9, 10, 11, 12]
    assert known["whole_books"] == 2
    export((tmp_path / "data", {}), tmp_path / "plain", "parquet", "--channel", "depth", "--only-proven")
    snapshots = pq.read_table(tmp_path / "plain" / "BTCUSDT_depth_snapshots.parquet").column("last_update_id").to_pylist()
    assert snapshots == [0, 8], "each span has the snapshot it stands on, though that was received before its first update"


@pytest.mark.parametrize("form", ["hftbacktest", "nautilus", "tardis-csv"])
def test_only_proven_begins_each_span_with_the_whole_book(made: Made, tmp_path: Path, form: str) -> None:
    certificate = export(made, tmp_path / "out", form, "--only-proven")["symbols"]["BTCUSDT"]

    assert certificate["rows_written"] == {"depth_diffs": 49, "trades": 49}
    assert certificate["whole_books"] == (2 if form == "nautilus" else 3)


@pytest.mark.parametrize("form", ["hftbacktest", "nautilus", "tardis-csv", "parquet"])
def test_a_second_run_gives_the_same_bytes(made: Made, tmp_path: Path, form: str) -> None:
    for name in ("one", "other"):
        export(made, tmp_path / name, form)

    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}


def test_another_export_or_folder_is_never_overwritten(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(made, out, "parquet")
    before = bytes_of(out)
    (out / "my_notes.txt").write_text("mine")
    export(made, out, "parquet")
    assert bytes_of(out) == (before := before | {"my_notes.txt": b"mine"})
    assert "holds another export" in export(made, out, "parquet", "--only-proven", code=2)
    assert bytes_of(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "is not empty, and no export" in export(made, tmp_path / "mine", "parquet", code=2)
    assert "is a file" in export(made, tmp_path / "mine" / "notes.txt", "parquet", code=2)


def test_a_range_that_is_still_recorded_is_one_view_of_the_lake(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is landed between the survey and the files is in neither."""
    store = FolderStore(tmp_path / "data" / "lake")
    now = now_us()

    def land(first: int) -> None:
        ids = range(first, first + 5)
        table = trades(ids, times_us=[now - 60_000_000 + number * STEP for number in ids])
        store.write(hourly_key(TRADES, "binance", now - 60_000_000, "a", next(_sequences)), parquet_bytes(table, TRADES))

    def plan(export: Export, *given: Any) -> Any:
        land(20)
        return made_plan(export, *given)

    made_plan = Export._plan  # between the two
    monkeypatch.setattr(Export, "_plan", plan)
    land(10)
    span = [f"--from={format_instant(now - 3_600_000_000)}", f"--to={format_instant(now + 3_600_000_000)}"]
    found = export((tmp_path / "data", {}), tmp_path / "out", "parquet", "--channel", "trades", *span)
    said = found["symbols"]["BTCUSDT"]
    (file,) = [file for file in found["files"] if "trades" in file["name"]]
    assert said["channels"]["trades"]["rows"] == file["rows"] == 5


def test_an_interrupted_export_leaves_nothing(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKHOUSE_DATA", str(made[0]))
    stop = StopRequest()
    stop.set()
    run = Export("parquet", ("trades",), (), request("binance", "BTCUSDT", FROM, TO), False, stop)
    with pytest.raises(Interrupted):
        run.write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["csv"], "FORMAT 'csv': choose from hftbacktest, nautilus, tardis-csv, parquet"),
        (["hftbacktest", "--channel", "klines"], "--channel 'klines': choose from trades, depth"),
        (["hftbacktest", "--type", "quotes"], "--type is for tardis-csv"),
        (["tardis-csv", "--type", "options_chain"], "--type 'options_chain': choose from trades"),
        (["parquet", "--to", "2024-08-08"], "is not before"),
        (["parquet", "--from", "yesterday"], "--from 'yesterday' is no instant"),
        (["parquet", "--from", "1969-11-30"], "--from '1969-11-30' is before 1970"),
        (["parquet", "--from", "1970-01-02", "--to", "1970-01-03"], "no trades and depth of BTCUSDT at binance from 1970-01-02"),
        (["parquet", "--from", "2150-01-01", "--to", "2151-01-01"], "no trades and depth of BTCUSDT at binance from 2150-01-01"),
        (
            ["tardis-csv", "--type", "derivative_ticker"],
            "--type derivative_ticker: no market of binance has it: choose from trades, inc",
        ),
        (["tardis-csv", "--type", "trades", "--type", "liquidations"], "--type liquidations: no market of binance has it"),
        (
            ["parquet", "--channel", "mark_prices"],
            "--channel mark_prices: no market of binance has it: choose from klines, trades, depth",
        ),
        (
            ["parquet", "--channel", "trades", "--channel", "open_interest"],
            "--channel open_interest: no market of binance has it",
        ),
        (["parquet", "--symbol", "BTCUSD"], "symbol 'BTCUSD': this lake has BTCUSDT"),
        (["parquet", "--from", "2024-08-01", "--to", "2024-08-02"], "no trades and depth of BTCUSDT at binance"),
        (["parquet", "--channel", "klines", "--interval", "1min"], "interval '1min': this lake has 1m of BTCUSDT"),
        (["parquet", "--venue", "nasdaq"], "venue 'nasdaq': this lake has binance"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(made: Made, tmp_path: Path, arguments: list[str], says: str) -> None:
    said = export(made, tmp_path / "out", *arguments, code=2)

    assert says in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "x", "x/y"])
def test_a_file_in_the_way_of_the_folder_is_one_line(made: Made, tmp_path: Path, below: str) -> None:
    (tmp_path / "afile").write_bytes(b"mine")
    said = export(made, tmp_path / "afile" / below, "parquet", code=2)
    assert f"{tmp_path / 'afile'} is a file: name a folder" in said
    assert said.count("\n") == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_times_ascend_and_a_healed_row_gets_the_latency_of_its_neighbour() -> None:
    times = ReceiptTimes(3)
    venue, local = times.ascending(numbers(10, 20, 30, 29), numbers(15, 25 + 10**9, 33, 34))
    assert venue.tolist() == [10, 20, 30, 30]
    assert local.tolist() == [15, 25, 33, 34]
    assert times.late == 1
    assert [part.tolist() for part in times.ascending(numbers(28), numbers(29))] == [[30], [34]]


def test_a_book_is_known_from_a_snapshot_to_a_missing_update() -> None:
    runs = BookRuns([(1, "start"), (12, "start"), (15, "proof"), (16, "refresh"), (17, "mismatch"), (30, "gap")], None)
    first, last = numbers(11, 13, 15, 17, 19, 25, 29), numbers(12, 14, 16, 18, 20, 28, 32)
    assert runs.marks(first[:2], last[:2]) == [Mark(0, "broken"), Mark(1, "reset", 12)]
    assert runs.marks(first[2:], last[2:]) == [
        Mark(1, "reset", 17),
        Mark(3, "broken"),
        Mark(4, "reset", 30),
    ]
    assert runs.is_known
    assert not BookRuns([], 5).marks(numbers(6), numbers(9))
    assert BookRuns([], 5).marks(numbers(7), numbers(9)) == [Mark(0, "broken")]


def test_spans_end_where_a_row_is_bad_or_something_is_missing() -> None:
    found = SpanCollector()
    found.take(numbers(1, 2, 3, 4), np.array([False, True, True, True]), np.array([False, False, False, True]))
    found.take(numbers(5, 6, 7), np.array([True, False, True]), np.array([False, False, False]))
    assert found.spans == [(2, 4), (4, 6), (7, 8)]
    assert shared(found.spans, [(0, 3), (5, 100)]) == [(2, 3), (5, 6), (7, 8)]
    assert outside([(2, 4), (4, 6)], 0, 8) == [(0, 2), (6, 8)]
    assert is_inside(numbers(1, 2, 3, 4, 5), [(2, 4)]).tolist() == [False, True, True, False, False]


@given(st.lists(st.decimals(-(10**19), 10**19, allow_nan=False, places=18), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_decimals_as_text_and_as_whole_numbers_are_exact(values: list[Decimal]) -> None:
    array = pa.array(values, pa.decimal128(38, 18))
    assert [Decimal(text) for text in as_text(array).to_pylist()] == values
    for text in as_text(array).to_pylist():
        assert "E" not in text
        assert text == (text.rstrip("0").rstrip(".") if "." in text else text)
    raw = as_raw(array, 18).to_pylist()
    assert [int.from_bytes(one, "little", signed=True) for one in raw] == [int(Fraction(value) * 10**18) for value in values]
    steps = Steps()
    steps.see(array)
    assert all(Fraction(value) % Fraction(steps.step) == 0 for value in values) if steps.step else not any(values)


def events(latencies: list[tuple[int, int]], source: int) -> "np.ndarray[Any, Any]":
    """Steps of the venue's clock and latencies; by both clocks in order, as a story gives them."""
    found = np.zeros(len(latencies), EVENT)
    found["exch_ts"] = np.cumsum([step for step, _ in latencies])
    found["local_ts"] = np.maximum.accumulate(found["exch_ts"] + [latency for _, latency in latencies]) if latencies else 0
    found["order_id"] = np.arange(len(latencies)) * 2 + source
    return found


_latencies = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=25)


@given(_latencies, _latencies, st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_every_event_is_once_in_order_for_exchange_and_strategy(
    deals: list[tuple[int, int]], updates: list[tuple[int, int]], cut: int
) -> None:
    """However the stream is cut. Trades come first where times are equal."""
    merger = EventMerger()
    sources = {"trades": events(deals, 0), "book": events(updates, 1)}
    out = []
    for since, until in ((0, cut), (cut, 2 * cut), (2 * cut, 10**6)):
        for name, found in sources.items():
            merger.add(name, found[(found["exch_ts"] >= since) & (found["exch_ts"] < until)])
        out.append(merger.ready(until, is_end=until == 10**6))
    result = np.concatenate(out)
    both = np.concatenate(list(sources.values()))
    for flag, column in ((1 << 31, "exch_ts"), (1 << 30, "local_ts")):
        seen = result[(result["ev"] & np.uint64(flag)) > 0]
        assert (np.diff(seen[column]) >= 0).all()
        assert sorted(seen["order_id"].tolist()) == sorted(both["order_id"].tolist())
        for name, source in (("trades", 0), ("book", 1)):
            assert seen["order_id"][seen["order_id"] % 2 == source].tolist() == sources[name]["order_id"].tolist()
    assert len(result) <= 2 * len(both)


def test_a_row_that_was_overtaken_is_two_events() -> None:
    found = in_both_orders(np.array([(0, 1, 9, 0, 0, 0, 0, 0), (0, 2, 3, 0, 0, 1, 0, 0), (0, 4, 9, 0, 0, 2, 0, 0)], EVENT))
    flags = [(int(event["order_id"]), int(event["ev"]) >> 30) for event in found]
    assert flags == [(0, 2), (1, 3), (0, 1), (2, 3)]


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_lake(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    commands = list(commands_of(ROOT / "docs" / "export.md"))

    for command in commands:
        assert run_here("tickhouse.cli", *command[1:]).returncode == 0, command

    assert len(commands) == 4
    assert {path.parent.name for path in tmp_path.glob("exports/*/certificate.json")} == {
        *("hftbacktest", "nautilus", "tardis", "parquet"),
    }

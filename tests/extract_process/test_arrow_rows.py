"""Records to columns: exact against Decimal, whatever is wrong with one of them."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract_process.level_text import LevelText
from extract_process.parquet import parquet_bytes
from extract_process.records import DATASET_OF, DepthDiff, DepthSnapshot, Kline, Ticker, Trade
from extract_process.spool.row_buffer import CHUNK_RECORDS, ArrowRows, KlineRows
from extract_process.venues.binance.ws import parse_frame
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, TICKERS, TRADES, Dataset

NOON = 1_704_110_400_000_000


def trade(number: int, price: Any = "1.5") -> Trade:
    return Trade("BTCUSDT", number, price, "0.1", True, NOON, NOON + 1)


def filled(batch: ArrowRows, *records: Any) -> ArrowRows:
    for number, record in enumerate(records):
        batch.append(record, NOON + number)
    return batch


def test_each_kind_of_record_is_a_row_of_its_dataset() -> None:
    level = [["1", "2.50"]]
    pairs: list[tuple[ArrowRows, Any]] = [
        (ArrowRows(TRADES, "binance"), trade(1)),
        (ArrowRows(DEPTH_DIFFS, "binance"), DepthDiff("BTCUSDT", 1, 2, level, [], NOON)),
        (ArrowRows(DEPTH_SNAPSHOTS, "binance"), DepthSnapshot("BTCUSDT", 2, level, level, "start")),
        (ArrowRows(TICKERS, "binance"), Ticker("BTCUSDT", NOON, None, None, None, "1", None, None)),
        (KlineRows("binance"), Kline("BTCUSDT", "1m", NOON, NOON, "1", "1", "1", "1", "1", "1", 5, "1", "1", True)),
    ]
    for batch, record in pairs:
        table = filled(batch, record).table()
        assert table.schema.equals(batch.dataset.schema)
        table.validate(full=True)
        (row,) = table.to_pylist()
        assert (row["venue"], row["symbol"]) == ("binance", "BTCUSDT")
    assert row["source"] == "stream"


@pytest.mark.parametrize("dataset", DATASET_OF.values(), ids=lambda dataset: dataset.name)
def test_nothing_is_an_empty_table(dataset: Dataset) -> None:
    assert ArrowRows(dataset, "binance").table().equals(dataset.schema.empty_table())


_number = st.decimals(min_value=0, max_value=Decimal("99999999999999999999"), places=8, allow_nan=False).map("{:f}".format)
_side = st.lists(st.lists(_number, min_size=2, max_size=2), max_size=5)


@given(st.lists(st.tuples(_side, _side), max_size=20))
def test_levels_are_exact_and_stay_with_their_message(sides: list[tuple[list[list[str]], list[list[str]]]]) -> None:
    diffs = [DepthDiff("BTCUSDT", n, n, bids, asks, NOON) for n, (bids, asks) in enumerate(sides, 1)]
    rows = filled(ArrowRows(DEPTH_DIFFS, "binance"), *diffs).table().to_pylist()
    for row, (bids, asks) in zip(rows, sides, strict=True):
        for name, side in (("bids", bids), ("asks", asks)):
            assert [(level["price"], level["quantity"]) for level in row[name]] == [(Decimal(p), Decimal(q)) for p, q in side]


@settings(max_examples=40)
@given(st.lists(st.tuples(_side, _side, st.booleans(), st.booleans()), max_size=20))
def test_levels_in_text_are_the_same_rows_as_levels_in_lists(sides: list[tuple[Any, Any, bool, bool]]) -> None:
    in_lists = [DepthDiff("BTCUSDT", n, n, bids, asks, NOON) for n, (bids, asks, _, _) in enumerate(sides, 1)]
    in_texts = [
        diff._replace(bids=as_text(diff.bids) if bids_too else diff.bids, asks=as_text(diff.asks) if asks_too else diff.asks)
        for diff, (_, _, bids_too, asks_too) in zip(in_lists, sides, strict=True)
    ]
    tables = [filled(ArrowRows(DEPTH_DIFFS, "binance"), *diffs).table() for diffs in (in_lists, in_texts)]
    assert tables[0].equals(tables[1])
    assert parquet_bytes(tables[0], DEPTH_DIFFS) == parquet_bytes(tables[1], DEPTH_DIFFS)


def as_text(levels: Any) -> LevelText:
    return LevelText(orjson.dumps(levels)[1:-1])


BAD = ["", "abc", "NaN", "Infinity", "1e30", "1.0000000000000000001", "123456789012345678901", None, 5, 1.5]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_bad_number_is_refused_and_spoils_no_other_row(bad: Any) -> None:
    good = [trade(number) for number in range(1, CHUNK_RECORDS)]
    batch = filled(ArrowRows(TRADES, "binance"), *good[:100], trade(0, bad), *good[100:])
    assert batch.table()["trade_id"].to_pylist() == [record.trade_id for record in good]
    ((record, receipt_time, reason),) = batch.take_refused()
    assert (record.trade_id, receipt_time) == (0, NOON + 100)
    assert reason
    assert batch.take_refused() == []

    diffs = [DepthDiff("X", 1, 1, [["1", "1"]], [], NOON), DepthDiff("X", 2, 2, [["1", bad]], [], NOON)]
    levels = filled(ArrowRows(DEPTH_DIFFS, "binance"), *diffs)
    assert levels.table()["last_update_id"].to_pylist() == [1]
    assert [refused[0] for refused in levels.take_refused()] == diffs[1:]


@given(st.lists(st.booleans(), max_size=700))
def test_the_bytes_follow_from_the_records_alone(asks: list[bool]) -> None:
    plain = filled(ArrowRows(TRADES, "binance"), *(trade(number) for number in range(len(asks))))
    disturbed = ArrowRows(TRADES, "binance")
    for number, ask in enumerate(asks):
        disturbed.append(trade(number), NOON + number)
        if ask:
            assert disturbed.take_refused() == []
    assert parquet_bytes(plain.table(), TRADES) == parquet_bytes(disturbed.table(), TRADES)


@pytest.mark.slow
def test_real_diffs_come_back_from_parquet_as_they_were_sent(shared_data: Path, tmp_path: Path) -> None:
    batch, sent = ArrowRows(DEPTH_DIFFS, "binance"), []
    with gzip.open(shared_data / "binance_session_BTCUSDT_20240808.jsonl.gz") as lines:
        for line in map(orjson.loads, lines):
            if line["src"] == "ws" and line["raw"]["stream"].endswith("@depth@100ms"):
                for record in parse_frame(orjson.dumps(line["raw"])):
                    batch.append(record, line["recv_ns"] // 1_000)
                    sent.append(record)
    path = tmp_path / "diffs.parquet"
    path.write_bytes(parquet_bytes(batch.table(), DEPTH_DIFFS))
    file = pq.ParquetFile(path)
    rows = file.read().to_pylist()

    assert len(rows) == len(sent) == 6_495
    for row, diff in zip(rows, sent, strict=True):
        assert isinstance(diff, DepthDiff)
        assert (row["first_update_id"], row["last_update_id"]) == (diff.first_update_id, diff.last_update_id)
        for name in ("bids", "asks"):
            assert [(level["price"], level["quantity"]) for level in row[name]] == [
                (Decimal(price), Decimal(quantity)) for price, quantity in getattr(diff, name)
            ]
    footer = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items() if b"tickhouse" in key}
    assert footer["tickhouse.first_id"] == str(sent[0].last_update_id)  # type: ignore[union-attr]
    assert footer["tickhouse.row_count"] == "6495"

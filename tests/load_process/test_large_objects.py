"""Objects that are too large for memory as a whole, and several that are too large for it together."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.load_process.conftest import FOLDER, START, errors, klines, land, parquet, statuses
from tests.waiting import patience, wait_until

from load_process.batch_insert import BatchInsert
from load_process.ledger import Ledger
from load_process.limits import LoadLimits, MemoryBudget, Room
from load_process.object_reader import ObjectReader, Reading
from load_process.objects import LargeTable, LoadStatus
from load_process.value_checksum import value_checksum
from tickhouse_core.columns import LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, TICKERS, TRADES
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import CheckedFile, read_checked
from tickhouse_core.parquet_sizes import MOST_ROW_GROUPS, check_footer, check_row_groups
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lake

SMALL = LoadLimits(reading_bytes=8 * 1024**2, insert_bytes=100_000)
"""An object of more than a mebibyte is large; a piece of one has about 560 klines."""

ROWS = 6_500


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def test_an_object_that_is_larger_than_its_share_is_loaded_in_pieces_to_the_last_value(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    table = klines(*range(ROWS))
    created = land(moto_lake, parquet(table))
    memory = MemoryBudget(SMALL.reading_bytes)
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), SMALL, threads, memory)
    with reader.read([created]) as reading:
        (item,) = reading.objects
        assert isinstance(item.table, LargeTable)
        assert (item.table.num_rows, item.checksum) == (ROWS, value_checksum(table))
        assert max(piece.nbytes for piece in item.table.pieces()) <= SMALL.insert_bytes
        assert list(BatchInsert([warehouse], reader, SMALL, 0).insert(reading.objects).values()) == [LoadStatus.DONE]
    assert memory.take(SMALL.reading_bytes)  # all of it was given back
    assert warehouse.query("select count(), uniqExact(open_time) from klines") == [(ROWS, ROWS)]
    assert warehouse.query("select verdict from ops_accounting_klines") == [("ok",)]


def test_a_window_for_which_memory_has_no_room_is_read_in_parts(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    body = parquet(klines(*range(4_000)))
    requests = [land(moto_lake, body, f"{FOLDER}/{number}.parquet") for number in range(6)]
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), SMALL, threads)
    left, seen, parts = requests, [], 0
    while left:
        with reader.read(left) as reading:
            seen += [item.version for item in reading.objects]
            left, parts = reading.left, parts + 1
    assert sorted(seen) == sorted(item.version for item in requests)
    assert 1 < parts <= 6
    assert errors(warehouse) == []


def test_a_reader_waits_for_what_another_one_of_the_process_has(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    created = land(moto_lake, parquet(klines(0)))
    memory, found = MemoryBudget(SMALL.reading_bytes), list[Reading]()
    other = Room(memory)
    other.take(SMALL.reading_bytes)
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), SMALL, threads, memory)
    impatient = reader.read([created], waits=False)
    assert (impatient.objects, impatient.left) == ([], [created])
    thread = Thread(target=lambda: found.append(reader.read([created])))
    thread.start()
    wait_until(lambda: bool(memory._waiting), "the reader")
    other.close()
    thread.join(patience(30))
    assert [item.table.num_rows for item in found[0].objects] == [1]


def test_what_can_never_be_there_is_refused_with_the_remedy(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    """Waiting for it would hold up the queue for good."""
    limits = replace(SMALL, reading_bytes=3 * 1024**2, insert_bytes=1_000_000)
    created = land(moto_lake, parquet(klines(*range(ROWS))))
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), limits, threads)
    with reader.read([created]) as reading:
        assert (reading.objects, list(statuses(reading).values())) == ([], [LoadStatus.DONE])
    ((reason, detail),) = warehouse.query("select reason, detail from ops_load_errors")
    assert reason == "too_large"
    assert detail.endswith("are there for reading: write row groups of fewer rows, or raise LOADER_MEMORY_MB")


def test_what_a_notification_says_of_the_size_is_not_believed(
    moto_lake: Lake, warehouse: Warehouse, threads: ThreadPoolExecutor
) -> None:
    table = klines(0)
    body = parquet(table.replace_schema_metadata({"a": "x" * (1024**2 + 1)}))
    created = land(moto_lake, body)
    reader = ObjectReader(moto_lake.store, Ledger(warehouse), LoadLimits(), threads)
    for said in (0, 10**15):
        with reader.read([replace(created, size=said)]) as reading:
            assert [item.table.num_rows for item in reading.objects] == [1]


def test_columns_that_the_file_lacks_or_has_in_another_type_count() -> None:
    required = [field for field in TICKERS.schema if not field.nullable]
    values = {"close": 1}
    rows = 1_000
    columns = [
        pa.array([values.get(field.name, "x" if pa.types.is_dictionary(field.type) else START)] * rows) for field in required
    ]
    table = pa.table(
        [column.cast(field.type) for column, field in zip(columns, required, strict=True)], names=[f.name for f in required]
    )
    lean = CheckedFile(parquet(table), TICKERS).sizes.decoded
    nullable = sum(16 for field in TICKERS.schema if field.nullable)
    assert lean >= rows * (2 * 4 + 2 * 8 + 16 + nullable)
    narrow = table.set_column(table.schema.names.index("close"), "close", table.column("close").cast(pa.decimal128(38, 2)))
    assert CheckedFile(parquet(narrow), TICKERS).sizes.decoded == lean + 16 * rows  # once more while it is cast


def test_a_row_with_more_levels_than_a_piece_holds_is_refused_and_others_are_cut_between_rows() -> None:
    def diffs(*levels: int) -> bytes:
        side = [[{"price": 1, "quantity": 2}] * count for count in levels]
        values = {"bids": pa.array(side, LEVELS), "asks": pa.array([[]] * len(levels), LEVELS)}
        columns = [
            values.get(field.name, pa.array([START if field.name.endswith("_time") else 1] * len(levels)))
            for field in DEPTH_DIFFS.schema
            if field.name not in ("venue", "symbol")
        ]
        names = [field.name for field in DEPTH_DIFFS.schema if field.name not in ("venue", "symbol")]
        table = pa.table(columns, names=names)
        times = [field for field in DEPTH_DIFFS.schema if field.name.endswith("_time")]
        for field in times:
            table = table.set_column(names.index(field.name), field.name, table.column(field.name).cast(field.type))
        return parquet(table)

    key = f"{DEPTH_DIFFS.prefix}venue=binance/symbol=BTCUSDT/x.parquet"
    body = diffs(10, 1_000, 900, 5, 5)
    pieces = list(CheckedFile(body, DEPTH_DIFFS, key).pieces(40_000))
    assert [piece.num_rows for piece in pieces] == [2, 3]
    assert (
        pa.concat_tables(pieces)
        .unify_dictionaries()
        .combine_chunks()
        .equals(read_checked(body, DEPTH_DIFFS, key).combine_chunks())
    )
    with pytest.raises(ObjectRefused, match="one row has 32,0") as refused:
        list(CheckedFile(body, DEPTH_DIFFS, key).pieces(30_000))
    assert refused.value.reason == "too_large"


def test_a_file_of_more_row_groups_than_parquet_numbers_is_refused() -> None:
    """Its metadata alone, doubled again and again: writing that many takes a minute."""
    body = parquet(pa.table({"a": [1]}))
    metadata = pq.ParquetFile(pa.BufferReader(body)).metadata
    for _ in range(15):
        metadata.append_row_groups(metadata)
    assert metadata.num_row_groups == MOST_ROW_GROUPS + 1
    with pytest.raises(ObjectRefused, match="32,768 row groups, 32,767 are allowed: write larger ones"):
        check_row_groups(metadata)


def test_a_footer_that_is_larger_than_any_is_refused_before_it_is_opened() -> None:
    body = bytes(33 * 1024**2) + (33 * 1024**2).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ObjectRefused, match="write fewer and larger row groups"):
        check_footer(body)
    assert check_footer(b"PAR1") == 0


PEAK = """
import sys
from load_process.limits import LoadLimits, MemoryBudget, Room
from load_process.object_decoder import ObjectDecoder
from tickhouse_core.datasets import TRADES
from tickhouse_core.object_store import StoredObject

class Store:
    bucket = "b"
    def read(self, key, *, most_bytes):
        return StoredObject(key, "e", open(sys.argv[1], "rb").read())

limits = LoadLimits.within(256 * 1024**2)
decoder = ObjectDecoder(Store(), limits, limits.reading_bytes)
read = decoder.decode(Room(MemoryBudget(limits.reading_bytes)), "k", 0, TRADES, 1)
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss is our parent's
print(read.table.num_rows, int(peak) // 1024)
"""


@pytest.mark.slow
def test_memory_of_a_process_stays_under_its_limit_though_a_few_kilobytes_are_millions_of_rows(tmp_path: Path) -> None:
    """Three million equal trades are 216 MB once decoded; the process may use 256 MB, its code included."""
    rows, file = 3_000_000, tmp_path / "trades.parquet"
    values: dict[str, object] = {"price": Decimal(1), "quantity": Decimal(2), "is_buyer_maker": True, "trade_id": 7}
    columns = []
    for field in TRADES.schema:
        if pa.types.is_dictionary(field.type):
            columns.append(pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), ["x"]))
        else:
            columns.append(pa.repeat(pa.scalar(values.get(field.name, START), field.type), rows))
    pq.write_table(pa.table(columns, schema=TRADES.schema), file, row_group_size=rows)
    assert file.stat().st_size < 1_000_000
    done = subprocess.run([sys.executable, "-c", PEAK, file], capture_output=True, text=True, check=True, timeout=patience(60))
    read, peak_mb = map(int, done.stdout.split())
    assert read == rows
    assert peak_mb < 256

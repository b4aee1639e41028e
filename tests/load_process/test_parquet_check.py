import base64
import io
import random
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.load_process.conftest import beyond_precision, klines, parquet

from extract_process.lake_writer import parquet_bytes
from load_process.parquet_check import read_checked
from tickhouse_core.datasets import DECIMAL, KLINES, STREAM_EVENTS, TICKERS, Dataset
from tickhouse_core.errors import ObjectRefused

SOUND = parquet(klines(*range(24)))
CHECKSUMMED = parquet_bytes(klines(*range(24)), KLINES, "open_time")


def replaced(name: str, array: pa.Array) -> bytes:
    table = klines(0, 1)
    return parquet(table.set_column(table.schema.names.index(name), name, array))


def with_version(table: pa.Table, version: str | bytes) -> bytes:
    return parquet(table.replace_schema_metadata({"tickhouse.schema_version": version}))


def refusal(body: bytes, dataset: Dataset = KLINES, **limits: int) -> ObjectRefused:
    with pytest.raises(ObjectRefused) as caught:
        read_checked(body, dataset, **limits)
    return caught.value


@pytest.mark.parametrize("hours", [(), (0,), (0, 1, 2)])
def test_a_sound_file_is_read_as_it_was_written(hours: tuple[int, ...]) -> None:
    assert read_checked(parquet(klines(*hours)), KLINES).equals(klines(*hours))


@pytest.mark.parametrize("body", [b"", b"hello, I am a text file", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_no_parquet_is_refused_as_such(body: bytes) -> None:
    error = refusal(body)
    assert error.reason == "not_parquet"
    assert f"not a Parquet file of {len(body)} bytes" in str(error)


def test_a_file_cut_in_the_middle_is_no_parquet() -> None:
    body = parquet(klines(0, 1))
    assert refusal(body[: len(body) // 2]).reason == "not_parquet"


def test_a_missing_column_is_named() -> None:
    error = refusal(parquet(klines(0).drop_columns(["trade_count", "close"])))
    assert (error.reason, str(error)) == ("missing_column", "no column close, trade_count, which klines needs")


def test_an_unknown_column_is_named() -> None:
    error = refusal(parquet(klines(0).append_column("mood", pa.array(["good"]))))
    assert (error.reason, str(error)) == ("unknown_column", "column mood is not in the schema of klines")


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("open", pa.array([1.5, 2.5]), "column open is double, klines needs decimal128(38, 18)"),
        ("open", pa.array(["1", "2"]).cast(pa.decimal128(38, 8)), "column open is decimal128(38, 8)"),
        ("open", pa.array(["1", "2"]), "column open is string"),
        ("trade_count", pa.array([1, 2], pa.int32()), "column trade_count is int32, klines needs int64"),
        ("is_closed", pa.array([1, 0]), "column is_closed is int64, klines needs bool"),
        ("open_time", pa.array([1, 2], pa.timestamp("ms", "UTC")), "column open_time is timestamp[ms, tz=UTC]"),
        ("open_time", pa.array([1, 2], pa.timestamp("us")), "column open_time is timestamp[us]"),
        ("venue", pa.array([1, 2]), "column venue is int64, klines needs string"),
    ],
    ids=lambda value: "" if isinstance(value, pa.Array) else str(value),
)
def test_a_wrong_type_is_named_with_the_right_one(name: str, array: pa.Array, said: str) -> None:
    error = refusal(replaced(name, array))
    assert error.reason == "wrong_type"
    assert str(error).startswith(said)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("venue", pa.array(["binance"] * 2)),
        ("venue", pa.array(["binance"] * 2, pa.large_string())),
        ("venue", pa.array(["binance"] * 2).dictionary_encode()),
        ("open_time", pa.array([1, 2], pa.timestamp("us", "+00:00"))),
        ("open_time", pa.array([1, 2], pa.timestamp("us", "Etc/UTC"))),
    ],
    ids=["plain", "large", "dictionary", "+00:00", "Etc/UTC"],
)
def test_the_same_values_in_another_encoding_are_loadable(name: str, array: pa.Array) -> None:
    table = read_checked(replaced(name, array), KLINES)
    assert table.schema == KLINES.schema
    assert table.column(name).to_pylist() == array.cast(KLINES.schema.field(name).type).to_pylist()


@pytest.mark.parametrize("store_schema", [True, False], ids=["names were dictionaries", "names are strings"])
def test_objects_of_both_generations_are_the_same_rows(store_schema: bool) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(klines(*range(24)), sink, store_schema=store_schema)
    assert read_checked(sink.getvalue().to_pybytes(), KLINES).equals(klines(*range(24)))


def test_the_order_of_the_columns_does_not_matter() -> None:
    table = klines(0, 1)
    assert read_checked(parquet(table.select(table.schema.names[::-1])), KLINES).equals(table)


def test_a_null_is_found_where_none_is_allowed() -> None:
    error = refusal(replaced("trade_count", pa.array([1, None], pa.int64())))
    assert error.reason == "null_value"
    assert "column trade_count has nulls" in str(error)


def test_broken_pages_are_found() -> None:
    sink = io.BytesIO()
    pq.write_table(klines(*range(24)), sink, compression="zstd", use_dictionary=False)
    body = bytearray(sink.getvalue())
    middle = pq.ParquetFile(io.BytesIO(bytes(body))).metadata.row_group(0).column(5).data_page_offset
    body[middle : middle + 60] = bytes(60)
    assert pq.ParquetFile(io.BytesIO(bytes(body))).metadata.num_rows == 24  # the footer is sound
    assert refusal(bytes(body)).reason == "broken_pages"


@pytest.mark.parametrize("dataset", [TICKERS, STREAM_EVENTS], ids=lambda dataset: dataset.name)
def test_a_file_of_before_a_nullable_column_was_added_has_nulls_there(dataset: Dataset) -> None:
    required = [field.name for field in dataset.schema if not field.nullable]
    added = [field.name for field in dataset.schema if field.nullable]
    newer = pa.table([pa.nulls(2, field.type) if field.nullable else _two_of(field) for field in dataset.schema], dataset.schema)
    older = read_checked(parquet(newer.select(required)), dataset)
    assert added
    assert older.equals(read_checked(parquet(newer), dataset))  # so that both fit into one insert
    assert older.schema == dataset.schema


def _two_of(field: pa.Field) -> pa.Array:
    """Two values of a type that has no nulls."""
    return pa.array([1, 2]).cast(pa.string() if pa.types.is_dictionary(field.type) else field.type).cast(field.type)


def test_the_version_this_loader_knows_is_loaded_and_so_is_a_file_that_does_not_say() -> None:
    assert read_checked(with_version(klines(0), "1"), KLINES).num_rows == 1
    assert read_checked(parquet(klines(0)), KLINES).num_rows == 1


@pytest.mark.parametrize("version", ["2", "0", "", "1.0", b"\xff"])
def test_an_unknown_schema_version_is_refused_whatever_the_columns_are(version: str | bytes) -> None:
    error = refusal(with_version(klines(0).append_column("mood", pa.array(["good"])), version))
    assert error.reason == "unknown_schema_version"
    assert "this loader knows 1; update it, then redrive the object" in str(error)


def test_a_footer_with_fewer_rows_than_were_landed_is_refused() -> None:
    error = refusal(parquet(klines(0, 1).replace_schema_metadata({"tickhouse.row_count": "3"})))
    assert (error.reason, str(error)) == ("wrong_row_count", "2 rows were read, the writer landed 3")


def test_a_time_zone_that_is_no_text_is_refused_like_any_broken_footer() -> None:
    """The footer has Arrow's own schema in Base64; nothing there is checked until somebody asks."""
    found = re.search(rb"ARROW:schema[^A-Za-z0-9+/]*([A-Za-z0-9+/]{100,}=*)", SOUND)
    assert found
    broken = base64.b64encode(base64.b64decode(found[1]).replace(b"UTC", b"U\xc3C"))
    assert refusal(SOUND.replace(found[1], broken)).reason == "not_parquet"


def test_a_column_that_is_there_twice_is_named() -> None:
    error = refusal(parquet(klines(0).append_column("open", klines(0)["open"])))
    assert (error.reason, str(error)) == ("duplicate_column", "column open is there more than once")


def test_a_decimal_with_more_digits_than_its_type_is_found() -> None:
    """38 digits fit; the 16 bytes of the type hold 39."""
    error = refusal(replaced("close", beyond_precision(2)))
    assert error.reason == "wrong_value"
    assert "more digits" in str(error)


def test_the_largest_decimals_are_no_overflow() -> None:
    largest = pa.array(["9" * 20 + "." + "9" * 18, "-" + "9" * 20 + "." + "9" * 18]).cast(DECIMAL)
    assert read_checked(replaced("close", largest), KLINES).column("close").to_pylist() == largest.to_pylist()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_price_that_is_no_number_cannot_come_in(value: float) -> None:
    """Decimals have no NaN: it can only be in a column of another type."""
    error = refusal(replaced("close", pa.array([1.5, value])))
    assert (error.reason, str(error)) == ("wrong_type", "column close is double, klines needs decimal128(38, 18)")


def test_what_is_too_large_in_memory_is_refused_however_small_it_is_in_the_file() -> None:
    """Pages of equal values are nothing but their number."""
    body = parquet(klines(*[0] * 50_000))
    in_memory = 8 * 16 + 4 * 8 + 1 + 4 * 4  # decimals, instants and a count, a flag, names
    assert len(body) < 50_000 < in_memory * 50_000 == 8_850_000
    assert read_checked(body, KLINES, most_bytes=8_850_000).num_rows == 50_000
    error = refusal(body, most_bytes=8_849_999)
    assert (error.reason, str(error)) == (
        "too_large",
        "8,850,000 bytes once decoded, 8,849,999 are allowed (--object-mb)",
    )


def test_what_is_too_large_for_its_names_is_refused_too() -> None:
    table = klines(0, 1)
    names = pa.array(["x" * 100_000, "y" * 100_000])
    body = parquet(table.set_column(table.schema.names.index("symbol"), "symbol", names))
    assert refusal(body, most_bytes=200_000).reason == "too_large"
    assert read_checked(body, KLINES, most_bytes=210_000).num_rows == 2


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SOUND) - 1))
def test_a_file_cut_anywhere_is_refused_for_a_reason_of_ours(length: int) -> None:
    assert refusal(SOUND[:length]).reason == "not_parquet"


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**64))
def test_no_damage_changes_a_value_of_a_file_with_page_checksums(seed: int) -> None:
    """What the lake writer makes is refused for a reason of ours, or what it says is what was written."""
    chance, body = random.Random(seed), bytearray(CHECKSUMMED)
    for _ in range(chance.randint(1, 8)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    try:
        table = read_checked(bytes(body), KLINES)
    except ObjectRefused:
        return
    assert table.equals(klines(*range(24)))

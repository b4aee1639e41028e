import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.load_process.conftest import klines, parquet

from load_process.parquet_check import check_every_value, count_loadable_rows
from pipeline.datasets import KLINES
from pipeline.errors import ObjectRefused


def replaced(name: str, array: pa.Array) -> bytes:
    table = klines(0, 1)
    return parquet(table.set_column(table.schema.names.index(name), name, array))


def refusal(body: bytes) -> ObjectRefused:
    with pytest.raises(ObjectRefused) as caught:
        count_loadable_rows(body, KLINES)
    return caught.value


def test_a_sound_file_has_as_many_rows_as_its_footer_says() -> None:
    assert count_loadable_rows(parquet(klines(0, 1, 2)), KLINES) == 3
    assert count_loadable_rows(parquet(klines()), KLINES) == 0


def test_a_sound_file_passes_the_check_of_every_value() -> None:
    check_every_value(parquet(klines(0, 1, 2)), KLINES)


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
    assert count_loadable_rows(replaced(name, array), KLINES) == 2


def test_the_order_of_the_columns_does_not_matter() -> None:
    table = klines(0, 1)
    assert count_loadable_rows(parquet(table.select(table.schema.names[::-1])), KLINES) == 2


def test_a_null_is_found_where_none_is_allowed() -> None:
    body = replaced("trade_count", pa.array([1, None], pa.int64()))
    assert count_loadable_rows(body, KLINES) == 2  # the footer is sound
    with pytest.raises(ObjectRefused, match=r"column trade_count has nulls") as caught:
        check_every_value(body, KLINES)
    assert caught.value.reason == "null_value"


def test_broken_pages_are_found() -> None:
    sink = io.BytesIO()
    pq.write_table(klines(*range(24)), sink, compression="zstd", use_dictionary=False)
    body = bytearray(sink.getvalue())
    middle = pq.ParquetFile(io.BytesIO(bytes(body))).metadata.row_group(0).column(5).data_page_offset
    body[middle : middle + 60] = bytes(60)
    assert count_loadable_rows(bytes(body), KLINES) == 24  # the footer is sound
    with pytest.raises(ObjectRefused) as caught:
        check_every_value(bytes(body), KLINES)
    assert caught.value.reason == "broken_pages"

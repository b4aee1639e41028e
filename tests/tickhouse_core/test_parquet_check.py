import base64
import contextlib
import io
import random
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.load_process.conftest import KEY, START, beyond_precision, klines, parquet

from extract_process.parquet import parquet_bytes
from tickhouse_core.columns import DECIMAL, INSTANT
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, STREAM_EVENTS, TICKERS, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import is_as_we_write, read_checked, refuse_unaskable
from tickhouse_core.parquet_footer import Leaf, Unaskable, check_chunks
from tickhouse_core.parquet_sums import footer_of, is_damaged

SOUND = parquet(klines(*range(24)))
CHECKSUMMED = parquet_bytes(klines(*range(24)), KLINES)


def thrift(fields: dict[int, Any]) -> bytes:
    """A struct in Thrift's compact protocol: integers and lists of integers below 64, short bytes, structs."""
    out, last = b"", 0
    for number, value in fields.items():
        kind, said = _thrift_value(value)
        out += bytes([(number - last) << 4 | kind]) + said
        last = number
    return out + b"\x00"


def _thrift_value(value: Any) -> tuple[int, bytes]:
    match value:
        case int():
            return 5, bytes([value << 1])
        case bytes():
            return 8, bytes([len(value)]) + value
        case list():
            return 9, bytes([len(value) << 4 | 6, *(item << 1 for item in value)])
        case _:
            return 12, thrift(value)


def replaced(name: str, array: pa.Array) -> bytes:
    table = klines(0, 1)
    return parquet(table.set_column(table.schema.names.index(name), name, array))


def with_version(table: pa.Table, version: str | bytes) -> bytes:
    return parquet(table.replace_schema_metadata({"tickhouse.schema_version": version}))


def refusal(body: bytes, dataset: Dataset = KLINES, most_bytes: int = 2**31) -> ObjectRefused:
    with pytest.raises(ObjectRefused) as caught:
        read_checked(body, dataset, most_bytes=most_bytes)
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
    assert (error.reason, str(error)) == (
        "unknown_column",
        "column mood is not in the schema of klines: write the file without it",
    )


NO_ZONE = "klines needs timestamp[us, tz=UTC]: without a time zone an hour may be anybody's; write it with one"


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("open", pa.array([1.5, 2.5]), "column open is double, klines needs decimal128(38, 18)"),
        ("open", pa.array([15, 25]), "column open is int64, klines needs decimal128(38, 18): an integer may be scaled"),
        ("open", pa.array(["1", "2"]), "column open is string"),
        ("trade_count", pa.array([1.0, 2.0]), "column trade_count is double, klines needs int64"),
        ("is_closed", pa.array([1, 0]), "column is_closed is int64, klines needs bool"),
        ("open_time", pa.array([1, 2]), "column open_time is int64, klines needs timestamp[us, tz=UTC]"),
        ("open_time", pa.array([1, 2], pa.timestamp("us")), f"column open_time is timestamp[us], {NO_ZONE}"),
        ("venue", pa.array([1, 2]), "column venue is int64, klines needs string"),
    ],
    ids=lambda value: "" if isinstance(value, pa.Array) else str(value),
)
def test_a_wrong_type_is_named_with_the_right_one(name: str, array: pa.Array, said: str) -> None:
    error = refusal(replaced(name, array))
    assert error.reason == "wrong_type"
    assert str(error).startswith(said)


def exact(*texts: str, as_: pa.DataType) -> pa.Array:
    return pa.array([Decimal(text) for text in texts], as_)


def instants(unit: str, zone: str, per_second: int) -> pa.Array:
    return pa.array([1_704_067_200 * per_second, 1_704_070_800 * per_second], pa.timestamp(unit, zone))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("venue", pa.array(["binance"] * 2)),
        ("venue", pa.array(["binance"] * 2, pa.large_string())),
        ("venue", pa.array(["binance"] * 2, pa.string_view())),
        ("venue", pa.array(["binance"] * 2).dictionary_encode()),
        ("venue", pa.array(["binance"] * 2).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.large_string()))),
        ("close", exact("1.5", "63215.12345678", as_=pa.decimal128(18, 8))),
        ("close", exact("1.5", "0.000000000000000001", as_=pa.decimal128(21, 18))),
        ("close", exact("1.5", "99999999999999999999.25", as_=pa.decimal256(76, 30))),
        ("close", exact("1.5", "42.1234", as_=pa.decimal32(9, 4))),
        ("close", exact("1.5", "63215.12345678", as_=pa.decimal64(18, 8))),
        ("open_time", instants("us", "+00:00", 1_000_000)),
        ("open_time", instants("us", "Etc/UTC", 1_000_000)),
        ("open_time", instants("us", "Europe/Berlin", 1_000_000)),
        ("open_time", instants("ns", "UTC", 1_000_000_000)),
        ("open_time", instants("ms", "UTC", 1_000)),
        ("open_time", instants("s", "+05:30", 1)),
        ("trade_count", pa.array([0, 32_767], pa.int16())),
        ("trade_count", pa.array([0, 2**31 - 1], pa.int32())),
        ("trade_count", pa.array([0, 2**63 - 1], pa.uint64())),
        ("trade_count", exact("0", "7", as_=pa.decimal128(20, 0))),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else str(value),
)
def test_the_same_values_in_another_type_are_loaded_to_the_last_digit(name: str, array: pa.Array) -> None:
    table = read_checked(replaced(name, array), KLINES)
    assert table.schema == KLINES.schema
    texts = pa.types.is_dictionary(array.type) or pa.types.is_string_view(array.type)
    assert table.column(name).to_pylist() == (array.cast(pa.string()) if texts else array).to_pylist()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("close", exact("1.5", "0.0000000000000000001", as_=pa.decimal128(38, 19))),
        ("close", exact("1.5", "1" + "0" * 20, as_=pa.decimal256(76, 18))),
        ("close", exact("1.5", "1" + "0" * 29, as_=pa.decimal128(38, 8))),
        ("open_time", pa.array([1_704_067_200_000_000_000, 1_704_067_200_000_000_001], pa.timestamp("ns", "UTC"))),
        ("open_time", pa.array([1_704_067_200, 2**62], pa.timestamp("ms", "UTC"))),
        ("trade_count", pa.array([1, 2**63], pa.uint64())),
        ("trade_count", exact("1", "1.5", as_=pa.decimal128(20, 1))),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else str(value),
)
def test_a_value_that_would_lose_something_is_refused_with_the_type_to_write(name: str, array: pa.Array) -> None:
    error = refusal(replaced(name, array))
    assert error.reason == "wrong_value"
    assert re.match(rf"column {name} is .*, klines needs .* does not fit without loss .*; write values of that type$", str(error))


@pytest.mark.parametrize("store_schema", [True, False], ids=["names were dictionaries", "names are strings"])
def test_objects_of_both_generations_are_the_same_rows(store_schema: bool) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(klines(*range(24)), sink, store_schema=store_schema)
    assert read_checked(sink.getvalue().to_pybytes(), KLINES).equals(klines(*range(24)))


@pytest.mark.parametrize("make_list", [pa.list_, pa.large_list])
def test_levels_of_other_decimals_in_another_order_are_the_same_levels(make_list: Callable[[pa.DataType], pa.DataType]) -> None:
    theirs = make_list(pa.struct([("quantity", pa.decimal128(30, 10)), ("price", pa.decimal64(18, 8))]))
    levels = [[{"price": Decimal("1.25"), "quantity": Decimal("7.5")}, {"price": Decimal("1.5"), "quantity": Decimal(0)}], []]
    instants = pa.array([1_704_067_200_000_000] * 2, INSTANT)
    names = {name: pa.array(["x"] * 2) for name in ("venue", "symbol")}
    ids = {name: pa.array([1, 2], pa.int64()) for name in ("first_update_id", "last_update_id")}
    sides = {name: pa.array(levels, theirs) for name in ("bids", "asks")}
    times = dict.fromkeys(("event_time", "receipt_time"), instants)
    table = read_checked(parquet(pa.table(names | ids | sides | times)), DEPTH_DIFFS)
    assert table.schema == DEPTH_DIFFS.schema
    assert table.column("bids").to_pylist() == table.column("asks").to_pylist() == levels
    missing = pa.array([[{"price": Decimal("1.25"), "quantity": None}], []], theirs)
    error = refusal(parquet(pa.table(names | ids | sides | {"asks": missing} | times)), DEPTH_DIFFS)
    assert (error.reason, str(error)) == (
        "null_value",
        "column asks.element.quantity has nulls where depth_diffs allows none",
    )


def test_what_pandas_and_hive_do_to_a_table_is_undone() -> None:
    table = klines(0, 1)
    indexed = table.append_column("__index_level_0__", pa.array([5, 6])).append_column("__index_level_1__", pa.array(["a", "b"]))
    assert read_checked(parquet(indexed), KLINES).equals(table)
    bare = parquet(table.drop_columns(["venue", "symbol", "interval"]))
    assert read_checked(bare, KLINES, KEY).equals(table)
    assert refusal(bare).reason == "missing_column"
    for place in ("symbol=", "symbol=__HIVE_DEFAULT_PARTITION__"):
        with pytest.raises(ObjectRefused, match=r"^no column symbol, which klines needs$"):
            read_checked(bare, KLINES, KEY.replace("symbol=BTCUSDT", place))
    encoded = read_checked(bare, KLINES, KEY.replace("BTCUSDT", "1000%2FX"))
    assert encoded.column("symbol").to_pylist() == ["1000/X"] * 2
    assert read_checked(parquet(table), KLINES, KEY.replace("BTCUSDT", "OTHER")).equals(table)  # columns go before the key


def test_a_column_of_nothing_but_nulls_may_be_there_where_nulls_may_be() -> None:
    nothing = pa.nulls(2)
    row = {"venue": "binance", "symbol": "X", "event_time": START, "receipt_time": START, "close": Decimal("1.5")}
    columns = {name: pa.array([value] * 2).cast(TICKERS.schema.field(name).type) for name, value in row.items()}
    table = read_checked(parquet(pa.table(columns | {"open": nothing, "volume": nothing})), TICKERS)
    assert (table.schema, table.column("open").null_count) == (TICKERS.schema, 2)
    assert refusal(replaced("trade_count", nothing)).reason == "null_value"


PLAUSIBLE = (1_230_940_800_000_000, 4_102_444_799_999_999)


@pytest.mark.parametrize("name", ["open_time", "close_time", "receipt_time"])
def test_an_instant_that_no_market_can_have_is_refused_with_its_number(name: str) -> None:
    assert read_checked(replaced(name, pa.array(PLAUSIBLE, INSTANT)), KLINES).column(name).cast("int64").to_pylist() == [
        *PLAUSIBLE
    ]
    for instant in (PLAUSIBLE[0] - 1, PLAUSIBLE[1] + 1, 0, -(2**63), 2**63 - 1, 253_402_300_799_999_999):
        error = refusal(replaced(name, pa.array([START, instant], INSTANT)))
        assert error.reason == "wrong_value"
        assert str(error).startswith(f"column {name} has an instant of {instant} us since 1970, which is not from 2009-01-03")
    error = refusal(replaced(name, pa.array([START * 1_000] * 2, INSTANT)))  # nanoseconds labelled microseconds
    assert error.reason == "wrong_value"


def test_a_name_or_a_detail_that_is_far_too_long_is_refused() -> None:
    assert read_checked(replaced("symbol", pa.array(["é" * 128] * 2)), KLINES).num_rows == 2
    error = refusal(replaced("symbol", pa.array(["BTCUSDT", "é" * 128 + "x"])))
    assert (error.reason, str(error)) == ("wrong_value", "column symbol has a text of 257 bytes, 256 are allowed")


def events(detail: str, rows: int) -> bytes:
    values = {"from_update_id": 1, "to_update_id": 2, "started_at": START, "ended_at": START, "detail": detail}
    columns = [pa.array([values.get(field.name, "x")] * rows).cast(field.type) for field in STREAM_EVENTS.schema]
    return parquet(pa.table(columns, schema=STREAM_EVENTS.schema))


def test_text_that_the_file_has_once_for_many_rows_counts_for_each_before_it_is_written_out() -> None:
    body = events("A" * 100_000, 600)
    assert len(body) < 20_000
    error = refusal(body, STREAM_EVENTS, most_bytes=50_000_000)
    assert error.reason == "too_large"
    assert re.match(r"60,\d\d\d,\d\d\d bytes once decoded", str(error))
    assert read_checked(body, STREAM_EVENTS, most_bytes=70_000_000).num_rows == 600
    assert refusal(events("A" * (1024**2 + 1), 1), STREAM_EVENTS).reason == "wrong_value"


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
    values = pa.array([START, START + 1])
    return values.cast(pa.string() if pa.types.is_dictionary(field.type) else field.type).cast(field.type)


def test_the_version_this_loader_knows_is_loaded_and_so_is_a_file_that_does_not_say() -> None:
    assert read_checked(with_version(klines(0), "1"), KLINES).num_rows == 1
    assert read_checked(parquet(klines(0)), KLINES).num_rows == 1


@pytest.mark.parametrize("version", ["2", "0", "", "1.0", b"\xff"])
def test_an_unknown_schema_version_is_refused_whatever_the_columns_are(version: str | bytes) -> None:
    error = refusal(with_version(klines(0).append_column("mood", pa.array(["good"])), version))
    assert error.reason == "unknown_schema_version"
    assert "this loader knows 1; update it, then redrive the object" in str(error)


def test_a_footer_with_fewer_rows_than_were_landed_is_refused() -> None:
    """No checksum covers the footer: every byte of it that makes 23 rows of 24, for the file or for its row group."""
    start = len(CHECKSUMMED) - 8 - int.from_bytes(CHECKSUMMED[-8:-4], "little")
    found = 0
    for place in [place for place in range(start, len(CHECKSUMMED) - 8) if CHECKSUMMED[place] == 24 << 1]:
        body = CHECKSUMMED[:place] + bytes([23 << 1]) + CHECKSUMMED[place + 1 :]
        with contextlib.suppress(pa.ArrowException, OSError):
            metadata = pq.ParquetFile(io.BytesIO(body)).metadata
            if metadata.num_rows == 23:
                found += 1
                error = refusal(body)
                assert error.reason == "wrong_row_count"
                assert "our writer landed 24: write the file again, without the metadata tickhouse.row_count" in str(error)
    assert found


def test_a_part_of_one_of_our_files_written_by_another_tool_is_loaded_although_it_kept_our_row_count() -> None:
    part = pq.read_table(io.BytesIO(CHECKSUMMED)).slice(3, 4)
    assert part.schema.metadata[b"tickhouse.row_count"] == b"24"
    assert read_checked(parquet(part), KLINES).equals(klines(3, 4, 5, 6))


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
    assert error.reason == "wrong_type"
    assert str(error).startswith("column close is double, klines needs decimal128(38, 18): a float has lost digits already")


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
    assert refusal(body, most_bytes=210_000).reason == "wrong_value"


@settings(max_examples=300)
@given(st.integers(0, len(SOUND) - 1))
def test_a_file_cut_anywhere_is_refused_for_a_reason_of_ours(length: int) -> None:
    assert refusal(SOUND[:length]).reason == "not_parquet"


@settings(max_examples=500)
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


def test_no_bit_of_the_footer_ends_the_process_or_changes_a_value() -> None:
    """pyarrow's answer to a question about a column chunk is std::terminate where its metadata contradict the schema."""
    whole, start = klines(*range(24)), len(CHECKSUMMED) - 8 - int.from_bytes(CHECKSUMMED[-8:-4], "little")
    for place in range(start, len(CHECKSUMMED), 3):
        body = bytearray(CHECKSUMMED)
        body[place] ^= 1 << random.Random(place).randrange(8)
        with contextlib.suppress(ObjectRefused):
            assert read_checked(bytes(body), KLINES).equals(whole), place
            file = pq.ParquetFile(pa.BufferReader(bytes(body)))
            refuse_unaskable(file, footer_of(bytes(body)))
            is_as_we_write(file, KLINES)


@pytest.mark.parametrize("body", [CHECKSUMMED, SOUND], ids=["of our writer", "with Arrow's own schema"])
def test_a_scale_that_the_footer_contradicts_is_refused(body: bytes) -> None:
    """One bit of the footer, and every price is a hundred times what it was."""
    scale_18, scale_16 = b"\x15\x24\x15\x4c", b"\x15\x20\x15\x4c"  # with precision 38, in Thrift
    assert scale_18 in body
    assert "the footer contradicts itself: " in str(refusal(body.replace(scale_18, scale_16)))


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (thrift({1: 6}), "a column chunk has type 6, the schema says INT64"),
        (thrift({1: 2, 12: {5: b"abc"}}), "a bound in the statistics has 3 bytes, a INT64 has 8"),
        (thrift({1: 2, 16: {2: [1, 2]}}), "a histogram of levels has 2 entries, the column 1 levels"),
        (thrift({1: 2, 16: {1: 9}}), "the size statistics count bytes of text, the values are INT64"),
    ],
)
def test_what_pyarrow_would_end_the_process_for_is_named(metadata: bytes, says: str) -> None:
    chunk = b"\x3c" + metadata + b"\x00"  # field 3 of a column chunk
    group = b"\x19\x1c" + chunk + b"\x00"  # field 1: a list of one struct
    footer = b"\x49\x1c" + group + b"\x00"  # field 4: a list of one struct
    with pytest.raises(Unaskable, match=f"^{re.escape(says)}$"):
        check_chunks(footer, [Leaf("INT64", 0, 0)])
    with pytest.raises(Unaskable, match=r"^a row group has 1 columns, the schema 2$"):
        check_chunks(footer, [Leaf("INT64", 0, 0)] * 2)


class Kms(pe.KmsClient):  # type: ignore[misc]  # pyarrow's class has no types
    """Keys that are not wrapped at all."""

    def wrap_key(self, key_bytes: bytes, _master: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped: str, _master: str) -> bytes:
        return base64.b64decode(wrapped)


def with_encrypted_columns(rows: pa.Table) -> bytes:
    wanted = pe.EncryptionConfiguration(footer_key="f", column_keys={"c": ["open"]}, plaintext_footer=True)
    factory, sink = pe.CryptoFactory(lambda _: Kms()), io.BytesIO()
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), wanted)
    with pq.ParquetWriter(sink, rows.schema, encryption_properties=properties) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def test_a_file_with_encrypted_columns_is_refused_and_ends_no_process() -> None:
    """pyarrow's answer to a question for such a column's sizes is std::terminate."""
    error = refusal(with_encrypted_columns(klines(0)))
    assert (error.reason, str(error)) == ("not_parquet", "the file has encrypted columns: write it without encryption")


def test_sums_are_of_the_very_file_and_say_nothing_of_another_tools(tmp_path: Path) -> None:
    """pyarrow carries our metadata over into a file of other bytes."""
    size = len(CHECKSUMMED)
    assert pq.read_metadata(pa.BufferReader(CHECKSUMMED)).metadata[b"tickhouse.crc32"] != b"0" * 32
    assert not is_damaged(footer_of(CHECKSUMMED), size, CHECKSUMMED)
    assert is_damaged(footer_of(CHECKSUMMED), size, b"\xff" + CHECKSUMMED[1:])
    part = pq.read_table(pa.BufferReader(CHECKSUMMED)).slice(3, 5)
    assert b"tickhouse.crc32" in part.schema.metadata
    pq.write_table(part, tmp_path / "part.parquet")
    body = (tmp_path / "part.parquet").read_bytes()
    assert not is_damaged(footer_of(body), len(body), body)
    assert not is_damaged(footer_of(b"PAR1"), 4, b"PAR1")

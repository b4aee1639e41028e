"""The checksum against its definition in plain integers, and what it must and must not notice."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from tests.load_process.test_every_dataset import EVERY, rows_of

from load_process.value_checksum import BLOCK, value_checksum
from tickhouse_core.columns import DECIMAL, INSTANT, LEVELS, NAME
from tickhouse_core.datasets import Dataset

Row = dict[str, Any]

WRAP = 2**64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NULLABLE_LEVELS = pa.list_(pa.struct([pa.field("price", DECIMAL), pa.field("quantity", DECIMAL)]))

decimals = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda number: exact(number))
instants = st.datetimes(datetime(1900, 1, 1), datetime(2262, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
names = st.one_of(st.sampled_from(["", "BTCUSDT", "币安人生USDT"]), st.text(st.characters(exclude_categories=["Cs"])))
levels = st.lists(st.fixed_dictionaries({"price": decimals, "quantity": decimals}), max_size=4)

COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "price": (DECIMAL, decimals),
    "quantity": (DECIMAL, decimals),
    "trade_count": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "last_update_id": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "connections": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "is_closed": (pa.bool_(), st.booleans()),
    "open_time": (INSTANT, instants),
    "symbol": (NAME, names),
    "detail": (pa.string(), names),
    "bids": (LEVELS, levels),
}
SCHEMA = pa.schema([(name, type_) for name, (type_, _) in COLUMNS.items()])

full_rows = st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()})
rows_with_nulls = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})
some_rows = st.lists(rows_with_nulls, max_size=5)


def exact(unscaled: int) -> Decimal:
    with localcontext(prec=38):
        return Decimal(unscaled).scaleb(-18)


def table_of(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def by_definition(table: pa.Table) -> int:
    """The docstring of value_checksum, word for word, a value at a time."""
    return sum(hash_of_row(row) for row in table.to_pylist()) % WRAP


def hash_of_row(row: Row) -> int:
    return finalise(k("row") + sum(k(name) * (word(value) - word(None)) for name, value in row.items()))


def k(name: str) -> int:
    return xxhash.xxh64_intdigest(name.encode()) | 1


def finalise(word_: int) -> int:
    z = word_ % WRAP
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WRAP
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WRAP
    return z ^ z >> 31


def word(value: Any) -> int:
    match value:
        case None:
            return k("null")
        case bool() | int():
            return value % WRAP
        case str():
            return xxhash.xxh64_intdigest(value.encode())
        case datetime():
            return (value - EPOCH) // timedelta(microseconds=1) % WRAP
        case Decimal():
            with localcontext(prec=60):
                unscaled = int(value.scaleb(18)) % 2**128
            return (unscaled % WRAP + k("high half") * (unscaled // WRAP)) % WRAP
        case list():
            return (k("length") * len(value) + sum(hash_of_level(level, at) for at, level in enumerate(value, 1))) % WRAP
    raise AssertionError(f"no word for {value!r}")


def hash_of_level(level: Row, index: int) -> int:
    price, quantity = word(level["price"]), word(level["quantity"])
    return finalise(k("price") * price + k("quantity") * quantity + k("index") * index)


@given(some_rows)
def test_it_is_what_the_definition_says(rows: list[Row]) -> None:
    table = table_of(rows)
    assert value_checksum(table) == by_definition(table)


@EVERY
def test_it_is_what_the_definition_says_for_every_dataset(dataset: Dataset) -> None:
    table = pa.Table.from_pylist(rows_of(dataset, *range(7)), schema=dataset.schema)
    assert value_checksum(table) == by_definition(table)


def test_it_is_this_number_for_ever() -> None:
    """The ledger keeps it: another number for the same values would accuse every object loaded before."""
    row = {
        "price": Decimal("-1.5"),
        "is_closed": True,
        "last_update_id": 2**63,
        "open_time": EPOCH - timedelta(days=1),
        "symbol": "币安人生USDT",
        "bids": [{"price": Decimal(1), "quantity": Decimal(2)}],
    }
    assert value_checksum(table_of([row, {}])) == 16138877246239181565


def test_of_no_rows_it_is_nought() -> None:
    assert value_checksum(table_of([])) == value_checksum(SCHEMA.empty_table()) == 0


@given(some_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_is_no_matter(rows: list[Row], chance: random.Random) -> None:
    shuffled = chance.sample(rows, len(rows))
    columns = chance.sample(SCHEMA.names, len(SCHEMA.names))
    assert value_checksum(table_of(shuffled).select(columns)) == value_checksum(table_of(rows))


@given(some_rows, st.sampled_from(SCHEMA.names))
def test_a_column_of_nulls_is_as_good_as_none(rows: list[Row], name: str) -> None:
    """A nullable column that a later schema adds does not accuse the objects loaded before."""
    table = table_of([row | {name: None} for row in rows])
    assert value_checksum(table) == value_checksum(table.drop_columns(name))


def test_rows_of_nothing_but_nulls_count() -> None:
    assert len({value_checksum(table_of([{}] * count)) for count in range(4)}) == 4


@given(some_rows, some_rows)
def test_the_checksums_of_two_tables_add_up(some: list[Row], others: list[Row]) -> None:
    both = (value_checksum(table_of(some)) + value_checksum(table_of(others))) % WRAP
    assert value_checksum(table_of(some + others)) == both
    assert value_checksum(pa.concat_tables([table_of(some), table_of(others)])) == both


@given(some_rows, st.integers(0, 5), st.integers(0, 5))
def test_a_slice_is_seen_as_the_rows_it_shows(rows: list[Row], start: int, length: int) -> None:
    assert value_checksum(table_of(rows).slice(start, length)) == value_checksum(table_of(rows[start : start + length]))


@given(some_rows)
def test_encodings_are_no_matter(rows: list[Row]) -> None:
    table = table_of(rows)
    for type_ in (pa.string(), pa.large_string(), NAME, pa.dictionary(pa.int8(), pa.large_string())):
        recoded = pa.schema([field.with_type(type_) if field.name in ("symbol", "detail") else field for field in SCHEMA])
        assert value_checksum(table.cast(recoded)) == value_checksum(table)
    large = SCHEMA.set(SCHEMA.get_field_index("bids"), pa.field("bids", pa.large_list(LEVELS.value_field)))
    assert value_checksum(table.cast(large)) == value_checksum(table)


def test_a_dictionary_that_holds_too_much_or_a_null_is_read_by_its_indices() -> None:
    strange = pa.DictionaryArray.from_arrays(pa.array([1, 2, None, 1], pa.int32()), pa.array(["unused", "a", None]))
    plain = pa.array(["a", None, None, "a"])
    assert value_checksum(pa.table({"symbol": strange})) == value_checksum(pa.table({"symbol": plain}))
    assert value_checksum(pa.table({"symbol": strange.slice(1, 2)})) == value_checksum(pa.table({"symbol": plain.slice(1, 2)}))


def test_what_lies_under_a_null_is_no_matter() -> None:
    valid = pa.py_buffer(b"\x01")
    under_null = [
        pa.Array.from_buffers(pa.uint64(), 2, [valid, pa.array([7, hidden], pa.uint64()).buffers()[1]]) for hidden in (0, 8)
    ]
    checksums = {value_checksum(pa.table({"from_update_id": array})) for array in under_null}
    assert checksums == {by_definition(pa.table({"from_update_id": pa.array([7, None], pa.uint64())}))}


@given(full_rows, st.data())
def test_any_single_changed_value_changes_it(row: Row, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SCHEMA.names))
    other = data.draw((st.none() | COLUMNS[name][1]).filter(lambda value: value != row[name]))
    rows = data.draw(some_rows)
    assert value_checksum(table_of([*rows, row | {name: other}])) != value_checksum(table_of([*rows, row]))


@given(st.lists(full_rows, min_size=2, max_size=3), st.sampled_from(SCHEMA.names))
def test_values_that_change_places_between_rows_are_noticed(rows: list[Row], name: str) -> None:
    first, second, *rest = rows
    swapped = [first | {name: second[name]}, second | {name: first[name]}, *rest]
    is_same = sorted(map(repr, swapped)) == sorted(map(repr, rows))
    assert (value_checksum(table_of(swapped)) == value_checksum(table_of(rows))) is is_same


def test_values_that_change_columns_are_noticed() -> None:
    one, two = Decimal("1.5"), Decimal("2.5")
    straight, crossed = ({"price": one, "quantity": two}, {"price": two, "quantity": one})
    schema = pa.schema([("price", DECIMAL), ("quantity", DECIMAL)])
    numbers = {value_checksum(pa.Table.from_pylist([row], schema=schema)) for row in (straight, crossed)}
    numbers |= {value_checksum(pa.table({"bids": pa.array([[row]], LEVELS)})) for row in (straight, crossed)}
    assert len(numbers) == 4


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(["b", "a", "c"], id="order"),
        pytest.param(["a", "b"], id="one less"),
        pytest.param(["a", "b", "c", "c"], id="one twice"),
        pytest.param(["a", "b", "d"], id="another quantity"),
        pytest.param([], id="none"),
    ],
)
def test_whatever_changes_in_a_list_of_levels_is_noticed(changed: list[str]) -> None:
    kinds = {
        name: {"price": Decimal(price), "quantity": Decimal(quantity)}
        for name, price, quantity in [("a", "1", "5"), ("b", "2", "5"), ("c", "3", "5"), ("d", "3", "5.000000000000000001")]
    }
    before, after = (pa.table({"bids": pa.array([[kinds[name] for name in list_]], LEVELS)}) for list_ in ("abc", changed))
    assert value_checksum(after) != value_checksum(before)


def test_levels_that_move_to_the_next_row_or_the_other_side_are_noticed() -> None:
    level = {"price": Decimal(1), "quantity": Decimal(2)}
    layouts = [([[level], []], [[], []]), ([[level, level], []], [[], []]), ([[], []], [[level], []]), ([[], []], [[], []])]
    tables = [pa.table({"bids": pa.array(bids, LEVELS), "asks": pa.array(asks, LEVELS)}) for bids, asks in layouts]
    assert len({value_checksum(table) for table in tables}) == len(layouts)


def test_nulls_inside_levels_have_their_word_too() -> None:
    one = Decimal(1)
    lists = [[{"price": one, "quantity": None}, {"price": None, "quantity": one}], None, []]
    table = pa.table({"bids": pa.array(lists, NULLABLE_LEVELS)})
    assert value_checksum(table) == by_definition(table)
    missing = pa.table({"bids": pa.array([[None]], NULLABLE_LEVELS)})
    assert value_checksum(missing) == by_definition(
        pa.table({"bids": pa.array([[{"price": None, "quantity": None}]], NULLABLE_LEVELS)})
    )


def test_tables_longer_than_a_block_are_seen_to_their_end() -> None:
    """Rows and levels end within blocks, at their edges and beyond."""
    chance = random.Random(4)
    count = BLOCK + 7
    sizes = chance.choices([0, 1, 2, 5], k=count)
    level = [{"price": exact(chance.randrange(10**30)), "quantity": exact(-number)} for number in range(100)]
    columns = {
        "symbol": pa.array(chance.choices(["BTCUSDT", "ETHUSDT", None], k=count)).dictionary_encode(),
        "trade_id": pa.array([None if number % 1000 == 0 else number for number in range(count)], pa.uint64()),
        "bids": pa.array([chance.sample(level, size) for size in sizes], LEVELS),
    }
    table = pa.table(columns)
    assert sum(sizes) > 2 * BLOCK
    assert value_checksum(table) == by_definition(table)
    for length in (BLOCK - 1, BLOCK, BLOCK + 1):
        cut = pa.concat_tables([table.slice(length), table.slice(0, length)])
        assert value_checksum(cut) == value_checksum(table)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1.5]),
        pa.array([[1]]),
        pa.array([[{"price": Decimal(1)}]]),
        pa.array([b"bytes"]),
        pa.array([1], pa.timestamp("ms")),
        pa.array([1]).dictionary_encode(),
        pa.array([None]),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_that_no_dataset_has_is_refused(array: pa.Array) -> None:
    with pytest.raises(TypeError, match="no checksum is defined for"):
        value_checksum(pa.table({"column": array}))

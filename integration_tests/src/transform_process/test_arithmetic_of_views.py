"""Ordinary SQL on every decimal column of every public view against Python's Decimal, embedded and over HTTP."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any

import pytest

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.warehouse import Warehouse

from ..load_process.conftest import any_warehouse, clickhouse_server

__all__ = ["any_warehouse", "clickhouse_server"]

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 60
WIDE = "Decimal(76, 18)"
MOST = Decimal(10) ** 76
"""The digits of the widest decimal: what needs more, in a product or inside a quotient, wraps without an error."""

MANY = "numbers(1000)"
RANGE = "since = '2026-01-01', until = '2026-01-02'"
PARAMETERS = {
    "gold_basis_1s": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_book_at": "(venue = 'binance', symbol = 'BTCUSDT', at = '2026-01-02 00:00:00')",
    "gold_carry_1m": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_effective_spread": f"(venue = 'binance', symbol = 'BTCUSDT', {RANGE})",
    "gold_kline_verdicts_1m": f"({RANGE})",
    "gold_liquidations_1m": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_open_interest": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', interval = '1m', {RANGE})",
}
NESTED = "(select level.price as price, level.quantity as quantity from {} array join arrayConcat(bids, asks) as level)"


@dataclass(frozen=True, slots=True)
class Source:
    """What stands behind `from`, and its decimal columns, none of them null."""

    text: str
    columns: tuple[str, ...]

    def triples(self) -> list[tuple[str, str, str]]:
        names = self.columns
        return [(name, names[(at + 1) % len(names)], names[(at + 2) % len(names)]) for at, name in enumerate(names)]

    def rows(self) -> str:
        return f"(select {', '.join(f'ifNull({name}, 1) as {name}' for name in self.columns)} from {self.text})"


@pytest.mark.parametrize("seed", [1])
def test_plain_sql_on_every_decimal_column_is_right(any_warehouse: Warehouse, seed: int) -> None:
    with localcontext(prec=400):
        fill(any_warehouse, random.Random(seed))
        sources = public_sources(any_warehouse)
        assert sum(len(source.columns) for source in sources) > 120
        for source in sources:
            check_rows(any_warehouse, source)
            check_sums(any_warehouse, source)


def test_every_decimal_that_people_query_is_wide(any_warehouse: Warehouse) -> None:
    found = {f"{view}.{name}": type_ for view, name, type_ in view_columns(any_warehouse) if "Decimal" in type_}
    assert {type_.replace(WIDE, "").replace("Nullable()", "") for type_ in found.values()} == {
        "",
        "Array(Tuple(price , quantity ))",
    }, found
    tables = any_warehouse.query(
        "select distinct table from system.columns where database = currentDatabase() and type like '%Decimal%' "
        "and type not like '%Decimal(76, 18)%' order by table"
    )
    layers = {str(table).split("_")[0] for (table,) in tables}
    assert layers == {"bronze", "silver", "stored"}


def test_a_third_factor_beyond_the_engines_widest_integer_needs_the_checked_functions(any_warehouse: Warehouse) -> None:
    """A product has the scales of its factors added: 54 decimals leave 22 digits before the point, whatever the type."""
    number = "toDecimal256('1000000000000', 18)"
    [[plain]] = any_warehouse.query(f"select {number} * {number} * {number}")
    assert plain != Decimal(10) ** 36, "the engine has become wider: the documents' limits can go"
    [[right]] = any_warehouse.query(f"select multiplyDecimal({number} * {number}, {number}, 18)")
    assert right == Decimal(10) ** 36
    huge = "toDecimal256('100000000000000000000', 18)"
    with pytest.raises(WarehouseRefused, match="overflow"):
        any_warehouse.query(f"select multiplyDecimal({huge} * {huge}, {huge}, 18)")
    with pytest.raises(WarehouseRefused, match="overflow"):
        any_warehouse.query(f"select divideDecimal({huge} * {huge}, toDecimal256('0.000000000001', 18), 36)")


def check_rows(warehouse: Warehouse, source: Source) -> None:
    expressions = [
        expression
        for a, b, c in source.triples()
        for expression in (
            f"{a} * {b}",
            f"{a} * {b} * {c}",
            f"multiplyDecimal({a} * {b}, {c}, 18)",
            f"{a} / {divisor(b)}",
            f"{a} / {divisor(b)} - 1",
            f"{a} * {b} / {divisor(c)}",
            f"divideDecimal({a} * {b}, {divisor(c)}, 18)",
            f"{a} - {b} + {c}",
        )
    ]
    answer = warehouse.query(f"select {', '.join((*source.columns, *expressions))} from {source.rows()}")
    assert answer, source
    for row in answer:
        value = dict(zip(source.columns, row, strict=False))
        found = by(8, row[len(source.columns) :])
        for (a, b, c), (ab, abc, checked_abc, ratio, change, ab_by_c, checked_ab_by_c, difference) in zip(
            source.triples(), found, strict=True
        ):
            x, y, z = value[a], value[b], value[c]
            about = f"{source.text}: {a}={x} {b}={y} {c}={z}"
            assert ab == x * y, about
            assert checked_abc == cut(x * y * z), about
            assert ratio == cut(x / (y or 1)), about
            assert change == cut(x / (y or 1)) - 1, about
            assert checked_ab_by_c == cut(x * y / (z or 1)), about
            assert difference == x - y + z, about
            if fits(x * y * z, 54):
                assert abc == x * y * z, about
            if fits(x * y, 54):
                assert ab_by_c == cut(x * y / (z or 1), 36), about


def check_sums(warehouse: Warehouse, source: Source) -> None:
    """Of all rows, a thousand times each."""
    columns = [
        part
        for a, b, _ in source.triples()
        for part in (
            f"min({a})",
            f"max({a})",
            f"sum({a})",
            f"sum({a} * {b})",
            f"avg({a})",
            f"stddevPopStable({a})",
            f"stddevPop({a})",
            f"sum({a} * {b}) / {divisor(f'sum({b})')}",
            f"divideDecimal(sum({a} * {b}), {divisor(f'sum({b})')}, 18)",
        )
    ]
    rows = warehouse.query(f"select {', '.join(source.columns)} from {source.rows()}")
    values = dict(zip(source.columns, zip(*rows, strict=True), strict=True))
    [answer] = warehouse.query(f"select {', '.join(columns)} from {source.rows()} as drawn cross join {MANY} as copies")
    for (a, b, _), row in zip(source.triples(), by(9, answer), strict=True):
        lowest, highest, total, products, average, stable, deviation, weighted, checked_weighted = row
        about = f"{source.text}: {a}, {b}"
        count = Decimal(len(values[a]))
        exact, weights = 1000 * sum(values[a]), 1000 * sum(values[b])
        exact_products = 1000 * sum(x * y for x, y in zip(values[a], values[b], strict=True))
        assert (lowest, highest, total, products) == (min(values[a]), max(values[a]), exact, exact_products), about
        mean = sum(values[a]) / count
        squares = sum(x * x for x in values[a]) / count
        spread = (sum((x - mean) ** 2 for x in values[a]) / count).sqrt()
        assert Decimal(average) == pytest.approx(mean, rel=Decimal("1e-12"))
        assert Decimal(stable) == pytest.approx(spread, rel=Decimal("1e-9"), abs=squares.sqrt() * Decimal("1e-12"))
        assert Decimal(deviation) ** 2 == pytest.approx(spread**2, abs=squares * Decimal("1e-9")), (
            "Float64: not where a mean hides it"
        )
        assert checked_weighted == cut(exact_products / (weights or 1)), about
        if fits(exact_products, 54):
            assert weighted == cut(exact_products / (weights or 1), 36), about


def by(width: int, values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + width] for start in range(0, len(values), width)]


def divisor(name: str) -> str:
    return f"if({name} = 0, 1, {name})"


def fits(value: Decimal, scale: int) -> bool:
    return abs(value) * Decimal(10) ** scale < MOST


def cut(value: Decimal, scale: int = 18) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_DOWN)


def public_sources(warehouse: Warehouse) -> list[Source]:
    found: dict[str, list[str]] = {}
    for view, name, type_ in view_columns(warehouse):
        text = view + PARAMETERS.get(view, "")
        if type_.startswith("Array(Tuple(price Decimal"):
            found[NESTED.format(text)] = ["price", "quantity"]
        elif "Decimal" in type_:
            found.setdefault(text, []).append(name)
    return [Source(text, tuple(names)) for text, names in found.items()]


def view_columns(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    """View, column and type on one line, of every view that is not about the pipeline itself."""
    views = warehouse.query(
        "select name from system.tables where database = currentDatabase() and engine = 'View' and name not like 'ops_%' "
        "order by name"
    )
    described = [
        (str(view), warehouse.query(f"describe table (select * from {view}{PARAMETERS.get(view, '')})")) for (view,) in views
    ]
    return [(view, str(row[0]), " ".join(str(row[1]).split()).replace("( ", "(")) for view, rows in described for row in rows]


def fill(warehouse: Warehouse, chance: random.Random) -> None:
    """Rows whose every number is drawn from 1e-12 to 1e12, in the tables behind the views."""
    markets = [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"), ("binance-usdm", "BTCUSDT")]
    for venue, symbol in markets:
        market = {"venue": venue, "symbol": symbol}
        of_books = ("silver_depth_diffs", "silver_depth_snapshots", "silver_book_tickers", "stored_book_top", "stored_quotes")
        for table in ("silver_trades", "silver_agg_trades", "silver_tickers", *of_books):
            insert(warehouse, table, chance, market)
        insert(warehouse, "silver_klines", chance, market | {"interval": "1m"})
        for interval in ("1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"):
            insert(warehouse, "stored_ohlcv", chance, market | {"interval": interval})
        warehouse.insert_rows("stored_symbol_names", [market | {"market": "BTCUSDT", "build_version": 1}])
    contract = {"venue": "binance-usdm", "symbol": "BTCUSDT"}
    for table in ("silver_mark_prices", "silver_funding_rates", "silver_open_interest", "silver_liquidations"):
        insert(warehouse, table, chance, contract | {"side": "sell"})
    pair = {
        "basis": "book",
        "market": "BTCUSDT",
        "venue_a": "binance",
        "symbol_a": "BTCUSDT",
        "venue_b": "kucoin",
        "symbol_b": "BTC-USDT",
    }
    insert(warehouse, "stored_cross_venue", chance, pair)
    told = {"venue": "binance-coinm", "channel": "", "event": "contract", "started_at": START}
    sizes = [told | {"symbol": f"S{number}", "detail": f"{draw(number, chance):f}"} for number in range(ROWS)]
    warehouse.insert_rows("silver_stream_events", sizes)


def insert(warehouse: Warehouse, table: str, chance: random.Random, fixed: dict[str, Any]) -> None:
    columns = warehouse.query(
        "select name, type from system.columns where database = currentDatabase() and table = {table:String}", {"table": table}
    )
    rows = [{name: fixed.get(name, value(str(type_), number, chance)) for name, type_ in columns} for number in range(ROWS)]
    warehouse.insert_rows(table, rows)


def value(type_: str, number: int, chance: random.Random) -> Any:
    if "Array" in type_:
        return [{"price": draw(number, chance), "quantity": draw(number, chance)} for _ in range(3)]
    if "Decimal" in type_:
        return draw(number, chance)
    if "DateTime64" in type_:
        return START + timedelta(minutes=number)
    if "Float64" in type_:
        return 1.5
    if "String" in type_:
        return "x"
    return number + 1 if "UInt64" in type_ else 1


def draw(number: int, chance: random.Random) -> Decimal:
    """From 1e-12 to 1e12, even over the magnitudes, with as many digits as 18 decimals allow; the ends first."""
    if number < 2:
        return Decimal(("0.000000000001", "1000000000000")[number])
    magnitude = chance.randint(-12, 11)
    digits = chance.choice((1, 4, 17, magnitude + 19))
    mantissa = Decimal(chance.randint(10**digits, 10 ** (digits + 1) - 1)).scaleb(-digits)
    return cut(mantissa.scaleb(magnitude))

"""Indicators against TA-Lib, and where TA-Lib's own arithmetic is the coarser one, against sums without rounding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tickhouse_core.timestamps import INTERVAL_SECONDS, MINUTE_US
from tickhouse_core.warehouse import Warehouse

from . import warehouse_rows as rows
from .warehouse_rows import KLINES, land, same_after_rebuild, select, transform, us

Series = NDArray[np.float64]
COLUMNS = (
    *("sma_20", "sma_50", "sma_200", "ema_12", "ema_26", "ema_50", "rsi_14", "atr_14"),
    *("macd", "macd_signal", "macd_histogram", "bollinger_upper", "bollinger_middle", "bollinger_lower"),
)


def indicators(warehouse: Warehouse, interval: str) -> dict[str, Series]:
    names, found = warehouse.query_table(f"select * from gold_indicators_{interval} order by symbol, open_time")
    columns = dict(zip(names, zip(*found, strict=True), strict=True))
    return {name: np.array(columns[name], dtype=np.float64) for name in (*COLUMNS, "close")}


def by_talib(high: Series, low: Series, close: Series) -> dict[str, Series]:
    import talib  # it brings Polars: half a second, in each of the test run's processes

    macd = talib.MACD(close, 12, 26, 9)
    return {
        **{f"sma_{period}": talib.SMA(close, period) for period in (20, 50, 200)},
        **{f"ema_{period}": talib.EMA(close, period) for period in (12, 26, 50)},
        **dict(zip(("macd", "macd_signal", "macd_histogram"), macd, strict=True)),
        "rsi_14": talib.RSI(close, 14),
        "atr_14": talib.ATR(high, low, close, 14),
    }


def bollinger(close: Series) -> dict[str, Series]:
    """Two passes over every 20 closes."""
    middle = np.full(len(close), np.nan)
    deviation = np.full(len(close), np.nan)
    last = np.lib.stride_tricks.sliding_window_view(close, 20)
    middle[19:] = last.mean(axis=1)
    deviation[19:] = np.sqrt(((last - middle[19:, None]) ** 2).mean(axis=1))
    return {
        "bollinger_upper": middle + 2 * deviation,
        "bollinger_middle": middle,
        "bollinger_lower": middle - 2 * deviation,
    }


def prices(warehouse: Warehouse, interval: str) -> list[Series]:
    """High, low, close."""
    sql = f"select toFloat64(high), toFloat64(low), toFloat64(close) from gold_ohlcv_{interval} order by symbol, open_time"
    return [np.array(column) for column in zip(*warehouse.query(sql), strict=True)]


def worst(found: Series, expected: Series, scale: Series | None = None) -> float:
    """The largest relative error; nulls must be in the same places."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    there = ~np.isnan(expected)
    size = np.abs(expected if scale is None else scale)[there]
    error = np.abs(found - expected)[there]
    return float(np.max(error[size > 0] / size[size > 0]))


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["BTCUSDT", pytest.param("ETHUSDT", marks=pytest.mark.long)])
def test_a_year_of_minutes_equals_talib(symbol: str, warehouse: Warehouse, shared_data: Path) -> None:
    """Acceptance a. MACD crosses zero, where no two roundings agree: its scale is the average it is the difference of."""
    land(warehouse, KLINES, rows.recorded_klines(shared_data, symbol))
    transform(warehouse)
    for interval in ("1m", "1h"):
        found = indicators(warehouse, interval)
        expected = by_talib(*prices(warehouse, interval))
        expected |= bollinger(found["close"])
        scales = dict.fromkeys(("macd", "macd_signal", "macd_histogram"), found["ema_26"])
        errors = {name: worst(found[name], expected[name], scales.get(name)) for name in COLUMNS}
        print(symbol, interval, {name: f"{error:.1e}" for name, error in errors.items()})
        assert len(found["close"]) == 366 * 86_400 // INTERVAL_SECONDS[interval]
        assert max(errors.values()) <= 1e-9, errors
        for name in scales:
            clear = np.abs(expected[name]) > 1e-5 * found["ema_26"]
            assert worst(found[name][clear], expected[name][clear]) <= 1e-9


def some_minutes(count: int, first: int = 0) -> Any:
    """Closes that wander, without chance."""
    closes = [f"{100 + (number * number * 7 + number * 3) % 101 / 10:.2f}" for number in range(first, first + count)]
    return rows.klines([us("2024-08-09") + number * MINUTE_US for number in range(first, first + count)], close=closes)


def all_indicators(warehouse: Warehouse) -> list[rows.Row]:
    return select(
        warehouse, "select * except build_version from stored_indicators final order by interval, venue, symbol, open_time"
    )


@pytest.mark.slow
def test_rows_are_null_while_an_indicator_warms_up(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, some_minutes(240))
    transform(warehouse)
    found = indicators(warehouse, "1m")
    first = {name: int(np.argmin(np.isnan(values))) + 1 for name, values in found.items() if name != "close"}
    assert first == {
        "sma_20": 20,
        "sma_50": 50,
        "sma_200": 200,
        "ema_12": 12,
        "ema_26": 26,
        "ema_50": 50,
        "rsi_14": 15,
        "atr_14": 15,
        **dict.fromkeys(("macd", "macd_signal", "macd_histogram"), 34),
        **dict.fromkeys(("bollinger_upper", "bollinger_middle", "bollinger_lower"), 20),
    }
    assert not any(np.isnan(values[200:]).any() for values in found.values())


@pytest.mark.slow
def test_what_arrives_minute_by_minute_or_late_gives_the_same_bits_as_one_rebuild(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, some_minutes(1500))
    land(warehouse, KLINES, some_minutes(1200, first=1800))
    transform(warehouse)
    for minute in (*range(3000, 3004), 1500, 2500):  # 1500 is late, 2500 is there already
        land(warehouse, KLINES, some_minutes(1, first=minute))
        transform(warehouse)
    land(warehouse, KLINES, some_minutes(299, first=1501))
    transform(warehouse)
    stepwise = same_after_rebuild(warehouse, all_indicators, ("stored_ohlcv", "stored_indicators"))
    assert sum(row["interval"] == "1m" for row in stepwise) == 3004


@pytest.mark.slow
def test_a_row_on_a_hole_is_not_complete_until_200_rows_later(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, some_minutes(300))
    land(warehouse, KLINES, some_minutes(300, first=301))
    transform(warehouse)
    complete = select(warehouse, "select open_time, is_complete from gold_indicators_1m order by open_time")
    places = [place for place, row in enumerate(complete) if row["is_complete"]]
    assert places == [*range(199, 300), *range(499, 600)]


@pytest.mark.slow
def test_rsi_of_a_price_that_never_moves_is_zero(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([us("2024-08-09") + number * MINUTE_US for number in range(20)]))
    transform(warehouse)
    assert set(indicators(warehouse, "1m")["rsi_14"][14:]) == {0.0}

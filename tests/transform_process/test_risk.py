"""Downsampling, returns, risk, portfolios and example signals against numpy."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tickhouse_core.timestamps import DAY_US, to_datetime
from tickhouse_core.warehouse import Warehouse

from . import warehouse_rows as rows
from .warehouse_rows import KLINES, TRADES, Row, land, select, transform, us

START = us("2023-01-01")
DAYS = 400
Series = NDArray[np.float64]


def closes(symbol: str) -> Series:
    """A price that wanders, the same at every run."""
    dice = np.random.default_rng(abs(hash_of(symbol)))
    return np.round(100 * np.exp(np.cumsum(dice.normal(0, 0.03, DAYS))), 4)


def hash_of(symbol: str) -> int:
    return sum(ord(letter) * 31**place for place, letter in enumerate(symbol))


@pytest.fixture
def prices(warehouse: Warehouse) -> dict[str, Series]:
    """Daily klines of three symbols; one of them lacks a day."""
    made = {symbol: closes(symbol) for symbol in ("AAA", "BBB", "CCC")}
    for symbol, values in made.items():
        days = [day for day in range(DAYS) if (symbol, day) != ("CCC", 200)]
        opened = [START + day * DAY_US for day in days]
        land(
            warehouse,
            KLINES,
            rows.klines(opened, interval="1d", minutes=1440, symbol=symbol, close=[str(values[day]) for day in days]),
        )
    transform(warehouse)
    return made


def column(found: list[Row], name: str) -> Series:
    return np.array([np.nan if row[name] is None else row[name] for row in found], dtype=np.float64)


def test_returns_go_from_close_to_close_and_not_over_a_hole(warehouse: Warehouse, prices: dict[str, Series]) -> None:
    found = select(warehouse, "select * from gold_returns_1d where symbol = 'AAA' order by open_time")
    simple = prices["AAA"][1:] / prices["AAA"][:-1] - 1
    np.testing.assert_allclose(column(found, "simple_return"), [np.nan, *simple], rtol=1e-12)
    np.testing.assert_allclose(column(found, "log_return"), [np.nan, *np.log1p(simple)], rtol=1e-9)
    holed = select(warehouse, "select open_time from gold_returns_1d where symbol = 'CCC' and simple_return is null order by 1")
    assert [row["open_time"] for row in holed] == [to_datetime(START), to_datetime(START + 201 * DAY_US)]


@pytest.mark.slow
def test_risk_of_every_day_is_numpys(warehouse: Warehouse, prices: dict[str, Series]) -> None:
    found = select(warehouse, "select * from gold_risk_1d where symbol = 'BBB' order by open_time")
    close = prices["BBB"]
    simple = close[1:] / close[:-1] - 1
    drawdown = close / np.maximum.accumulate(close) - 1
    np.testing.assert_allclose(column(found, "drawdown"), drawdown, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(column(found, "max_drawdown"), np.minimum.accumulate(drawdown), rtol=1e-12, atol=1e-15)
    for day in (29, 30, 31, 200, 365, 399):
        row, last = found[day], simple[max(0, day - 30) : day]
        if day < 30:
            assert (row["sharpe_30"], row["volatility_30"], row["var_95"]) == (None, None, None)
            continue
        deviation = np.std(last, ddof=1)
        assert row["volatility_30"] == pytest.approx(deviation * np.sqrt(365), rel=1e-10)
        assert row["sharpe_30"] == pytest.approx(np.mean(last) / deviation * np.sqrt(365), rel=1e-10)
        year = simple[max(0, day - 365) : day]
        assert row["var_95"] == pytest.approx(-np.quantile(year, 0.05), rel=1e-10)
        assert row["var_99"] == pytest.approx(-np.quantile(year, 0.01), rel=1e-10)
        assert row["var_days"] == len(year)


@pytest.mark.slow
def test_the_correlation_matrix_is_numpys(warehouse: Warehouse, prices: dict[str, Series]) -> None:
    returns = {symbol: np.log(values[1:] / values[:-1]) for symbol, values in prices.items()}
    instant = f"toDateTime64('{to_datetime(START + 150 * DAY_US):%Y-%m-%d}', 6, 'UTC')"
    found = select(warehouse, f"select * from gold_correlation_1d where open_time = {instant} order by symbol_a, symbol_b")
    assert len(found) == 9
    expected = np.corrcoef([returns[symbol][120:150] for symbol in ("AAA", "BBB", "CCC")])
    np.testing.assert_allclose(column(found, "correlation").reshape(3, 3), expected, rtol=1e-10)
    early = select(warehouse, "select count(correlation) as n, count() as days from gold_correlation_1d where symbol_a = 'AAA'")
    assert early == [{"n": 2 * (399 - 29) + (397 - 29), "days": 2 * 399 + 397}]


@pytest.mark.slow
def test_a_portfolio_is_the_weighted_sum_of_its_holdings(warehouse: Warehouse, prices: dict[str, Series]) -> None:
    weights = {"AAA": 0.6, "BBB": -0.2}
    warehouse.insert_rows(
        "portfolio_weights",
        [{"portfolio": "mine", "venue": "binance", "symbol": symbol, "weight": weight} for symbol, weight in weights.items()],
    )
    found = select(warehouse, "select * from gold_portfolio_1d where portfolio = 'mine' order by open_time")
    daily = sum(weight * (prices[symbol][1:] / prices[symbol][:-1] - 1) for symbol, weight in weights.items())
    value = np.cumprod(1 + np.asarray(daily))
    np.testing.assert_allclose(column(found, "portfolio_return"), daily, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(column(found, "value"), value, rtol=1e-10)
    highest = np.maximum(1, np.maximum.accumulate(value))
    np.testing.assert_allclose(column(found, "drawdown"), value / highest - 1, rtol=1e-8, atol=1e-12)
    assert all(row["is_complete"] for row in found)
    warehouse.insert_rows("portfolio_weights", [{"portfolio": "holed", "venue": "binance", "symbol": "CCC", "weight": 1.0}])
    warehouse.insert_rows("portfolio_weights", [{"portfolio": "holed", "venue": "binance", "symbol": "AAA", "weight": 0.0}])
    holed = select(warehouse, "select open_time from gold_portfolio_1d where portfolio = 'holed' and not is_complete order by 1")
    assert [row["open_time"] for row in holed] == [to_datetime(START + day * DAY_US) for day in (200, 201)]


def test_average_and_median_of_a_minute_are_those_of_its_trades(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2, 3, 4], prices=["1", "2", "4", "10"]))
    [row] = select(warehouse, "select * from gold_price_1m")
    assert (row["average_price"], row["median_price"], row["trade_count"]) == (4.25, 3.0, 4)
    assert row["volume_weighted_price"] == 4.25


@pytest.mark.slow
def test_average_and_median_of_hours_and_days_are_those_of_their_minutes(warehouse: Warehouse, shared_data: Path) -> None:
    table = rows.recorded_klines(shared_data, "BTCUSDT").slice(0, 3 * 1440)
    land(warehouse, KLINES, table)
    transform(warehouse)
    minutes = np.array([float(value) for value in table["close"].to_pylist()])
    for interval, length in (("1h", 60), ("1d", 1440)):
        found = select(warehouse, f"select * from gold_price_{interval} order by open_time")
        np.testing.assert_allclose(column(found, "average_price"), minutes.reshape(-1, length).mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(column(found, "median_price"), np.median(minutes.reshape(-1, length), axis=1), rtol=1e-12)
        assert all(row["is_complete"] for row in found)


@pytest.mark.slow
def test_realised_volatility_is_the_root_of_squared_five_minute_returns(warehouse: Warehouse, shared_data: Path) -> None:
    table = rows.recorded_klines(shared_data, "ETHUSDT").slice(0, 2 * 1440)
    land(warehouse, KLINES, table)
    transform(warehouse)
    close = np.array([float(value) for value in table["close"].to_pylist()])[4::5]
    returns = np.log(close[1:] / close[:-1])
    first, second = select(warehouse, "select * from gold_volatility_1d order by open_time")
    assert first["realised_volatility"] == pytest.approx(np.sqrt((returns[:287] ** 2).sum()), rel=1e-10)
    assert second["realised_volatility"] == pytest.approx(np.sqrt((returns[287:] ** 2).sum()), rel=1e-10)
    assert [first["is_complete"], second["is_complete"]] == [False, True]


@pytest.mark.slow
def test_example_signals_are_where_lines_cross(warehouse: Warehouse, shared_data: Path) -> None:
    table = rows.recorded_klines(shared_data, "BTCUSDT").slice(0, 60 * 1440)
    land(warehouse, KLINES, table)
    transform(warehouse)
    lines: Any = select(warehouse, "select * from gold_indicators_1h order by open_time")
    expected = set()
    for before, now in pairwise(lines):
        for up, down, fast, slow in (
            ("golden_cross", "death_cross", "sma_50", "sma_200"),
            ("macd_up", "macd_down", "macd", "macd_signal"),
        ):
            if None in (before[fast], before[slow]):
                continue
            if now[fast] > now[slow] and before[fast] <= before[slow]:
                expected.add((now["open_time"], up))
            if now[fast] < now[slow] and before[fast] >= before[slow]:
                expected.add((now["open_time"], down))
        if before["rsi_14"] is not None and now["rsi_14"] < 30 <= before["rsi_14"]:
            expected.add((now["open_time"], "rsi_oversold"))
        if before["rsi_14"] is not None and now["rsi_14"] > 70 >= before["rsi_14"]:
            expected.add((now["open_time"], "rsi_overbought"))
    found = select(warehouse, "select open_time, signal from gold_example_signals_1h")
    assert {(row["open_time"], row["signal"]) for row in found} == expected
    assert {signal for _, signal in expected} == {
        *("golden_cross", "death_cross", "macd_up", "macd_down", "rsi_oversold", "rsi_overbought")
    }

"""What is collected: the file, its mistakes, and the command line."""

from pathlib import Path

import pytest

from extract_process.binance.streams import CHANNELS
from extract_process.markets import MARKETS_FILE, read_markets
from tickhouse_core.errors import UsageError


def markets(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "markets.yaml"
    path.write_text(text)
    return path


def test_enabled_tiers_are_joined_symbol_by_symbol(tmp_path: Path) -> None:
    path = markets(
        tmp_path,
        "binance:\n"
        "  a: {enabled: true, streams: [trades, depth], symbols: [BTCUSDT, ETHUSDT]}\n"
        "  b: {enabled: true, streams: [klines, trades], symbols: [ETHUSDT]}\n"
        "  c: {enabled: false, streams: [ticker], symbols: [BNBUSDT]}\n",
    )
    assert read_markets(path, "binance", CHANNELS) == {"BTCUSDT": ("trades", "depth"), "ETHUSDT": ("trades", "depth", "klines")}


def test_the_file_of_the_project_is_read() -> None:
    path = Path(__file__).parents[2] / MARKETS_FILE
    assert read_markets(path, "binance", CHANNELS)["BTCUSDT"] == ("trades", "depth")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("binance: {a: {enabled: true, streams: [candles], symbols: [X]}}", r"binance\.a\.streams: unknown 'candles'"),
        ("binance: {a: {enabled: true, symbols: [X]}}", r"binance\.a\.streams: Field required"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: ['B TC']}}", r"binance\.a\.symbols\.0"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [X], colour: red}}", r"binance\.a\.colour"),
        ("binance: [", "is not YAML"),
        ("binance: {}", "enables no symbol of binance"),
        ("kucoin: {a: {enabled: true, streams: [depth], symbols: [X]}}", "enables no symbol of binance"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_place(text: str, said: str, tmp_path: Path) -> None:
    path = markets(tmp_path, text)
    with pytest.raises(UsageError, match=said) as caught:
        read_markets(path, "binance", CHANNELS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_file_symbols_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name symbols with --symbol"):
        read_markets(tmp_path / "none.yaml", "binance", CHANNELS)

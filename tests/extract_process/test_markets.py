"""What is collected: the file, its mistakes, and the command line."""

from pathlib import Path

import pytest
from conftest import ROOT

from extract_process.markets import MARKETS_FILE, markets_file, read_markets
from extract_process.venues.binance.ws import CHANNELS
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


def test_in_a_folder_without_a_file_the_one_of_tickhouse_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_markets(markets_file(), "binance", CHANNELS)["BTCUSDT"] == ("trades", "depth")
    assert markets_file().samefile(ROOT / MARKETS_FILE)


def test_a_file_in_the_working_directory_comes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resources").mkdir()
    MARKETS_FILE.write_text("binance: {mine: {enabled: true, streams: [trades], symbols: [XRPUSDT]}}")
    assert read_markets(markets_file(), "binance", CHANNELS) == {"XRPUSDT": ("trades",)}


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

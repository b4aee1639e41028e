"""What is collected: the file, its mistakes, ACTIVE_SYMBOLS, and the command line."""

from pathlib import Path

import pytest
from conftest import ROOT

from extract_process.markets import (
    EXAMPLE,
    MARKETS_FILE,
    active_symbols,
    collected_markets,
    markets_file,
    named_or_active,
    read_markets,
)
from extract_process.venues import DEFAULT_FUTURES, venue_named
from tickhouse_core.errors import UsageError

BINANCE, KUCOIN = venue_named("binance"), venue_named("kucoin")


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
    assert read_markets(path, BINANCE).wanted == {"BTCUSDT": ("trades", "depth"), "ETHUSDT": ("trades", "depth", "klines")}


SYMBOL_BY_SYMBOL = """
binance:
  majors:
    enabled: true
    streams: [trades, depth]
    interval: 5m
    symbols:
      - SOLUSDT
      - symbol: ETHUSDT
        priority: 2
        streams: [klines]
      - {symbol: XRPUSDT, enabled: false}
      - {symbol: BTCUSDT, priority: 1, interval: 1m, streams: [trades, klines]}
  rest: {enabled: true, priority: 3, streams: [ticker], symbols: [SOLUSDT, ADAUSDT, {symbol: ETHUSDT, priority: 7}]}
"""


def test_a_symbol_has_streams_priority_and_interval_of_its_own(tmp_path: Path) -> None:
    found = read_markets(markets(tmp_path, SYMBOL_BY_SYMBOL), BINANCE)
    assert list(found.wanted.items()) == [
        ("BTCUSDT", ("trades", "klines")),
        ("ETHUSDT", ("klines", "ticker")),
        ("SOLUSDT", ("trades", "depth", "ticker")),
        ("ADAUSDT", ("ticker",)),
    ]
    assert found.priorities == {"BTCUSDT": 1, "ETHUSDT": 2, "SOLUSDT": 3, "ADAUSDT": 3}
    assert found.intervals == {"BTCUSDT": "1m", "ETHUSDT": "5m", "SOLUSDT": "5m"}


def test_active_symbols_are_collected_and_no_other(tmp_path: Path) -> None:
    found = read_markets(markets(tmp_path, SYMBOL_BY_SYMBOL), BINANCE, ("DOGEUSDT", "XRPUSDT", "ETHUSDT"))
    usual = ("trades", "depth")
    assert list(found.wanted.items()) == [("ETHUSDT", ("klines", "ticker")), ("DOGEUSDT", usual), ("XRPUSDT", usual)]
    assert (found.intervals, found.priorities) == ({"ETHUSDT": "5m"}, {"ETHUSDT": 2})


def test_active_symbols_of_the_environment_count_for_every_venue_or_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_SYMBOLS", "BTCUSDT, kucoin:BTC-USDT,binance:ETHUSDT BTCUSDT")
    assert active_symbols("binance") == ("BTCUSDT", "ETHUSDT")
    assert active_symbols("kucoin") == ("BTCUSDT", "BTC-USDT")
    assert list(collected_markets(BINANCE).wanted) == ["BTCUSDT", "ETHUSDT"]
    assert named_or_active(None, "binance", "kucoin") == ["BTCUSDT", "ETHUSDT", "BTC-USDT"]
    assert named_or_active(["X"], "binance") == ["X"]


def test_active_symbols_of_other_venues_only_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_SYMBOLS", "binance:BTCUSDT")
    with pytest.raises(UsageError, match="ACTIVE_SYMBOLS has no symbol for kucoin: add one"):
        collected_markets(KUCOIN)


@pytest.mark.parametrize("name", ["binance:", ":", ":BTCUSDT", "binnace:BTCUSDT", "binance:kucoin:BTC-USDT"])
def test_an_active_symbol_of_no_venue_is_refused_beside_good_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_SYMBOLS", f"ETHUSDT,{name}")
    with pytest.raises(
        UsageError, match=f"ACTIVE_SYMBOLS: '{name}' is no SYMBOL or VENUE:SYMBOL; the venues are binance, kucoin"
    ):
        collected_markets(BINANCE)


def test_without_symbol_and_active_symbols_nothing_is_guessed() -> None:
    with pytest.raises(UsageError, match="name it with --symbol, for example --symbol BTCUSDT, or set ACTIVE_SYMBOLS"):
        named_or_active(None, "binance")


def test_in_a_folder_without_a_file_the_one_of_tickhouse_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert collected_markets(BINANCE).wanted["BTCUSDT"] == ("trades", "depth")
    assert markets_file().samefile(ROOT / MARKETS_FILE)


def test_a_file_in_the_working_directory_comes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resources").mkdir()
    MARKETS_FILE.write_text("binance: {mine: {enabled: true, streams: [trades], symbols: [XRPUSDT]}}")
    assert collected_markets(BINANCE).wanted == {"XRPUSDT": ("trades",)}


def test_of_a_venue_that_is_not_in_the_file_the_usual_symbols_are_collected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = markets(tmp_path, "kucoin: {a: {enabled: true, streams: [depth], symbols: [X]}}")
    futures = venue_named(DEFAULT_FUTURES)
    assert read_markets(path, futures).wanted == dict.fromkeys(futures.usual_symbols, ("trades", "depth"))
    assert [record.getMessage() for record in caplog.records] == ["not in the markets file: its usual symbols"]
    assert read_markets(path, futures, ("XRPUSDT",)).wanted == {"XRPUSDT": ("trades", "depth")}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("binance: {a: {enabled: true, streams: [candles], symbols: [X]}}", r"binance\.a\.streams: unknown 'candles'"),
        ("binance: {a: {enabled: true, symbols: [X]}}", r"binance\.a\.streams: Field required"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: ['B TC']}}", r"binance\.a\.symbols\.0"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [X], colour: red}}", r"binance\.a: unknown key 'colour', "),
        (
            "binance: {a: {enabled: true, streams: [depth], symbols: [{symbol: X, color: 1}]}}",
            r"a\.symbols\.0: unknown key 'color', ",
        ),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [{enabled: true}]}}", r"symbols\.0\.symbol: Field required"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [{symbol: X, priority: 0}]}}", r"symbols\.0\.priority"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [7]}}", r"binance\.a\.symbols\.0"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [{symbol: X, streams: [x]}]}}", r"a\.X\.streams: unknown 'x'"),
        ("binance: {a: {enabled: true, streams: [depth], interval: 7m, symbols: [X]}}", r"binance\.a\.interval: unknown '7m'"),
        (
            "binance: {a: {enabled: true, streams: [klines], interval: 1m, symbols: [X]},"
            " b: {enabled: true, streams: [klines], interval: 5m, symbols: [X]}}",
            r"binance\.b\.X: interval 5m, but another tier has 1m: name one",
        ),
        (
            "binance: {a: {enable: true, stream: [depth], symbols: [{symbol: X, color: 1}]}}",
            r"a: unknown key 'enable', 'stream', choose from enabled, streams, priority, interval, symbols$",
        ),
        (
            "binance: {symbols: {enabled: true, streams: [depth], symbols: [X, {symbol: Y, stream: [depth]}]}}",
            r"symbols\.symbols\.1: unknown key 'stream', choose from symbol, enabled, priority, streams, interval$",
        ),
        ("binance: {symbols: {enable: true, streams: [depth], symbols: [X]}}", r"symbols: unknown key 'enable', .*, symbols$"),
        ("", r"markets\.yaml: expected venues with their tiers, such as binance: \{"),
        ("[BTCUSDT, ETHUSDT]", r"markets\.yaml: expected venues with their tiers, such as binance: \{"),
        ("binance: [BTCUSDT]", r"markets\.yaml: binance: expected tiers with their keys, such as "),
        ("binance: {a: [BTCUSDT]}", r"markets\.yaml: binance\.a: expected the keys of a tier, such as "),
        ("binance: [", "is not YAML"),
        ("binance: {}", "enables no symbol of binance"),
        ("binance: {a: {enabled: true, streams: [depth], symbols: [{symbol: X, enabled: false}]}}", "enables no symbol"),
        ("binnace: {a: {enabled: true, streams: [depth], symbols: [X]}}", "unknown venue 'binnace', choose from binance, kucoin"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_place(text: str, said: str, tmp_path: Path) -> None:
    path = markets(tmp_path, text)
    with pytest.raises(UsageError, match=said) as caught:
        read_markets(path, BINANCE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_of_the_errors_is_a_file(tmp_path: Path) -> None:
    assert read_markets(markets(tmp_path, EXAMPLE), BINANCE).wanted == {"BTCUSDT": ("trades", "depth")}


def test_without_a_file_symbols_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name symbols with --symbol"):
        read_markets(tmp_path / "none.yaml", BINANCE)

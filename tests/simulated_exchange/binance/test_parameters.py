import pytest

from simulated_exchange.binance.parameters import (
    EARLIEST,
    VenueError,
    known_interval,
    known_symbol,
    known_symbols,
    read_parameters,
    row_limit,
    time_bound,
    time_unit,
    whole_number,
)
from simulated_exchange.market.klines import TimeUnit

NOW = 1_750_000_012_345
LISTED = {"BTCUSDT": 1, "币安人生USDT": 2}


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("symbol", "A"), ("symbol", "A")], -1101),
        ([], -1102),
        ([("Symbol", "A")], -1102),
        ([("symbol", "A"), ("since", "1")], -1104),
        ([("symbol", "")], -1105),
        ([("symbol", "A"), ("limit", "")], -1105),
    ],
)
def test_wrong_sets_of_parameters_have_the_venues_codes(pairs: list[tuple[str, str]], code: int) -> None:
    with pytest.raises(VenueError) as error:
        read_parameters(pairs, ("symbol",), ("limit",))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("symbol", "code"), [("btcusdt", -1100), ("BTC/USDT", -1100), ("B" * 51, -1100), ("BTC", -1121), ("人生", -1121)]
)
def test_a_misspelt_symbol_and_an_unlisted_one_are_told_apart(symbol: str, code: int) -> None:
    with pytest.raises(VenueError) as error:
        known_symbol(symbol, LISTED)
    assert error.value.code == code


@pytest.mark.parametrize("symbol", list(LISTED))
def test_listed_symbols_may_be_non_ascii(symbol: str) -> None:
    assert known_symbol(symbol, LISTED) == symbol


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BTCUSDT", -1100),
        ("[]", -1100),
        ("[1]", -1100),
        ('{"a":1}', -1100),
        ('["BTCUSDT","BTCUSDT"]', -1151),
        ('["BTCUSDT","NO"]', -1121),
    ],
)
def test_symbols_must_be_a_json_array_of_listed_symbols(text: str, code: int) -> None:
    with pytest.raises(VenueError) as error:
        known_symbols(text, LISTED)
    assert error.value.code == code


@pytest.mark.parametrize("text", ["1H", "60", "1mo", "", "1 m"])
def test_intervals_are_case_sensitive_names(text: str) -> None:
    with pytest.raises(VenueError, match="Invalid interval") as error:
        known_interval(text)
    assert error.value.code == -1120


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "1e3", "²", "1" * 21, " 1"])
def test_numbers_are_digits_only(text: str) -> None:
    with pytest.raises(VenueError) as error:
        whole_number({"limit": text}, "limit")
    assert error.value.code == -1100
    assert error.value.message == "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."


@pytest.mark.parametrize(("sent", "limit"), [({}, 500), ({"limit": "1"}, 1), ({"limit": "5000"}, 1000)])
def test_a_limit_above_the_highest_is_the_highest(sent: dict[str, str], limit: int) -> None:
    assert row_limit(sent, 500, 1000) == limit


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(VenueError) as error:
        row_limit({"limit": "0"}, 500, 1000)
    assert error.value.code == -1130


@pytest.mark.parametrize(
    ("text", "rounding_up", "expected"),
    [
        ("1700000000000", True, 1_700_000_000_000),
        ("1700000000000001", True, 1_700_000_000_001),
        ("1700000000000999", False, 1_700_000_000_000),
        ("0", True, EARLIEST),
        ("99999999999999999999", False, NOW + 10_000),
    ],
)
def test_times_are_ms_or_us_and_kept_inside_what_the_venue_knows(text: str, rounding_up: bool, expected: int) -> None:
    assert time_bound({"startTime": text}, "startTime", NOW, rounding_up=rounding_up) == expected


def test_the_time_unit_header_is_one_of_two_in_one_case() -> None:
    assert time_unit(None) is time_unit("millisecond") is TimeUnit.MILLISECOND
    assert time_unit("MICROSECOND") is TimeUnit.MICROSECOND
    with pytest.raises(VenueError) as error:
        time_unit("Microsecond")
    assert error.value.code == -1194

"""What a number is: the same for lake, book, proof and mirror, exact or not at all."""

from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract_process.book.order_book import exact_number
from extract_process.decimals import UnreadableNumber, decimals, plain_levels, plain_number, plain_rate, separated


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("0.0024", "0.0024"),
        ("007.50", "007.50"),
        ("1e-8", "0.00000001"),
        ("1.0105e2", "101.05"),
        ("1E+5", "100000"),
        ("0e0", "0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.0000000000000000000", "1"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
    ],
)
def test_what_is_exactly_a_decimal_is_read(sent: str, plain: str) -> None:
    assert plain_number(sent) == plain
    assert plain_levels([[sent, "1"]]) == [[plain, "1"]]


@pytest.mark.parametrize(
    "sent",
    ["", ".", "e5", "-1", "+1", "-0", "NaN", "Infinity", "1_0", " 1", "1 ", "1,5", "²", "٣", "1e-19", "1e20", "1e999", "9" * 21,
     "9" * 5_000, "0.1234567890123456789", 1, 1.5, None, True, ["1"], {}],
)  # fmt: skip
def test_what_is_not_is_refused(sent: Any) -> None:
    with pytest.raises(UnreadableNumber):
        plain_number(sent)
    with pytest.raises(UnreadableNumber):
        plain_levels([["1", "2"], ["1", sent]])


@given(st.text(alphabet="0123456789.eE-", max_size=30))
def test_lake_and_book_agree_on_every_number_that_is_read(sent: str) -> None:
    try:
        plain = plain_number(sent)
    except UnreadableNumber:
        return
    with localcontext(prec=80):
        assert Decimal(plain) == Decimal(sent)
        assert exact_number(plain) == int(Decimal(sent).scaleb(18))
        assert decimals([plain])[0].as_py() == Decimal(sent)


HUGE = ["1e-999999999", "1e999999999", "1" + "0" * 5_000, "0." + "0" * 500 + "1", "1e-400", "9" * 21, "1e20", "1e-19"]
"""Arrow's own casts end the process at the first one, and make 0 of the third."""


@pytest.mark.parametrize("sent", HUGE, ids=lambda sent: sent[:12])
def test_a_column_refuses_what_no_decimal_holds(sent: str) -> None:
    for column in (pa.array([None, sent, "1"]), pa.chunked_array([["2"], [sent], ["1"]])):
        with pytest.raises(ValueError, match=r"is no plain number|is no decimal of|in precision|data loss"):
            decimals(column)


_DIGITS = st.text(alphabet="019", max_size=70)


_EXPONENTS = st.sampled_from(["", "e3", "E-30", "e+700"])


@settings(max_examples=50)
@given(st.builds("{}{}.{}{}".format, st.sampled_from(["", "-", "+"]), _DIGITS, _DIGITS, _EXPONENTS))
def test_a_column_has_the_very_number_or_refuses_it(sent: str) -> None:
    try:
        found = decimals([None, sent, "1"]).to_pylist()
    except ValueError:
        return
    with localcontext(prec=200):
        assert found == [None, Decimal(sent), Decimal(1)]


@given(st.lists(st.text(alphabet="0123456789.", max_size=30), max_size=20))
def test_texts_with_a_comma_between_them_are_an_array_of_them(texts: list[str]) -> None:
    array = separated(",".join(texts).encode())
    array.validate(full=True)
    assert array.to_pylist() == (texts if any(texts) or len(texts) > 1 else [])


@pytest.mark.parametrize(("sent", "plain"), [("-0.0001", "-0.0001"), ("0.0001", "0.0001"), ("-1e-4", "-0.0001"), ("-0", "-0")])
def test_a_rate_may_be_negative(sent: str, plain: str) -> None:
    assert plain_rate(sent) == plain
    assert decimals([plain]).to_pylist() == [Decimal(sent)]


@pytest.mark.parametrize("sent", ["", "-", "--1", "+1", "-1-", "- 1", "-NaN", "-1e-19", -1, None])
def test_a_rate_that_is_no_number_is_refused(sent: Any) -> None:
    with pytest.raises(UnreadableNumber):
        plain_rate(sent)


def test_a_column_has_small_negative_rates_as_the_venue_writes_them() -> None:
    assert decimals(["-1e-5", "1e-5", "-0.00001"]).to_pylist() == [Decimal("-0.00001"), Decimal("0.00001"), Decimal("-0.00001")]

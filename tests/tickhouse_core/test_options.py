import pytest

from tickhouse_core.errors import UsageError
from tickhouse_core.options import instant, one_of


def test_a_known_value_is_itself_and_another_one_is_told_what_is_known() -> None:
    assert one_of("--by", "day", ("symbol", "day")) == "day"
    with pytest.raises(UsageError, match=r"^--by 'week': choose from symbol, day$"):
        one_of("--by", "week", ("symbol", "day"))


def test_an_instant_is_microseconds() -> None:
    assert instant("--since", "2024-01-01") == 1_704_067_200_000_000


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", ""])
def test_what_is_no_instant_is_one_line_with_the_option(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        instant("--since", text)
    assert str(refused.value) == f"--since {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30"

from itertools import chain

from transform_process.blocks import LENGTH, SPARE, WARM_UP, Block, cut_blocks, touched_blocks, what_to_read

DAY = LENGTH * 60


def block(day: int, symbol: str = "BTCUSDT", interval: str = "1m", length: int = DAY) -> Block:
    return Block(interval, "binance", symbol, day * length, day * length * 1_000_000)


def days_read(blocks: list[Block]) -> int:
    """Of one interval: its span, of all symbols."""
    days = [one.start // DAY for one in blocks]
    return (max(days) - min(days) + 1) * len({one.symbol for one in blocks})


def test_a_touched_row_changes_its_block_from_there_on_and_the_next_one_if_that_warms_up_with_it() -> None:
    second, minute = 1_000_000, 60_000_000
    noon, evening = 5 * DAY * second + 400 * minute, 5 * DAY * second + 440 * minute
    rows = [("1m", "binance", "BTCUSDT", 5 * DAY, noon, noon + 39 * minute), ("1m", "binance", "ETHUSDT", 5 * DAY, noon, evening)]
    first, second_day = (Block("1m", "binance", symbol, 5 * DAY, noon) for symbol in ("BTCUSDT", "ETHUSDT"))
    assert touched_blocks(rows) == [first, second_day, block(6, "ETHUSDT")]


def test_a_block_that_is_touched_twice_is_built_once_from_the_earlier_row_on() -> None:
    late = 6 * DAY * 1_000_000 + 60_000_000
    rows = [("1m", "binance", "BTCUSDT", day * DAY, at, at) for day, at in ((5, late - 120_000_000), (6, late))]
    assert touched_blocks(rows) == [block(5)._replace(changed_us=late - 120_000_000), block(6)]


def test_nothing_touched_is_no_statement() -> None:
    assert list(cut_blocks([], 512)) == []


def test_blocks_that_follow_each_other_go_together_up_to_the_most() -> None:
    blocks = [block(day) for day in range(1_100)]
    assert [len(some) for some in cut_blocks(blocks, 512)] == [512, 512, 76]


def test_the_newest_blocks_of_many_symbols_and_intervals_go_together() -> None:
    blocks = [block(50 - place, f"S{number}", interval) for place, interval in enumerate(("1m", "5m")) for number in range(50)]
    assert list(cut_blocks(blocks, 512)) == [blocks]


def test_no_statement_reads_much_more_than_it_builds() -> None:
    """Late data of as many days as symbols, each symbol another day; then two days of one symbol that are years apart."""
    scattered = [block(7 * number, f"S{number:02}") for number in range(60)]
    for blocks in (scattered, [block(0), block(900)]):
        some = list(cut_blocks(blocks, 2_000))
        assert list(chain(*some)) == blocks
        assert 1 < len(some) < 20
        assert all(days_read(part) <= 2 * len(part) + SPARE for part in some)


def test_what_is_read_begins_with_the_warm_up_and_ends_with_the_last_block() -> None:
    blocks = [block(3), block(5, "ETHUSDT"), block(2, "ETHUSDT", "5m", 5 * DAY)]
    read = what_to_read(blocks, ["1m", "5m", "1h"])
    assert read["touched"] == [tuple(one) for one in blocks]
    assert read["names"] == [("binance", "BTCUSDT"), ("binance", "ETHUSDT")]
    assert read["firsts"] == ["1970-01-03 07:20:00", "1970-01-07 12:40:00", "1970-01-01 00:00:00"]
    assert read["ends"] == ["1970-01-07 00:00:00", "1970-01-16 00:00:00", "1970-01-01 00:00:00"]


def test_nothing_is_before_1970() -> None:
    assert what_to_read([block(0)], ["1m"])["firsts"] == ["1970-01-01 00:00:00"]
    assert WARM_UP < LENGTH

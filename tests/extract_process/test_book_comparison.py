"""BookComparison: two streams of states, whichever is first, compared where their update ids meet."""

from hypothesis import given
from hypothesis import strategies as st

from extract_process.mirror.comparison import MOST_EXAMPLES, MOST_REMEMBERED, BookComparison, Top, top_of

STATE = top_of([("100.5", "1")], [("101", "2")])
SAME = top_of([("100.50", "1.0")], [("101.00", "2")])
OTHER = top_of([("100.5", "1")], [("101", "3")])


def test_states_are_compared_as_numbers_whoever_is_first() -> None:
    comparison = BookComparison()
    comparison.on_venue(1, STATE)
    comparison.on_mirrored(1, SAME)
    comparison.on_mirrored(2, STATE)
    comparison.on_venue(2, SAME)
    assert (comparison.counts.equal, comparison.counts.different) == (2, 0)


def test_a_difference_is_named() -> None:
    comparison = BookComparison()
    comparison.on_venue(7, STATE)
    comparison.on_mirrored(7, OTHER)
    comparison.on_venue(8, STATE)
    comparison.on_mirrored(8, top_of([], [("101", "2")]))
    assert comparison.counts.examples == [
        "at update id 7: ask 1: venue 2 at 101.00000000, mirror 3 at 101.00000000",
        "at update id 8: bid 1: venue 1 at 100.50000000, mirror none",
    ]


def test_memory_is_bounded_and_what_is_forgotten_is_counted() -> None:
    comparison = BookComparison()
    for number in range(MOST_REMEMBERED + 10):
        comparison.on_mirrored(number, STATE)
    assert comparison.counts.unmatched == 10
    comparison.finish()
    assert comparison.counts.unmatched == MOST_REMEMBERED + 10


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.sampled_from([STATE, OTHER])), max_size=50))
def test_every_mirrored_state_is_equal_different_or_unmatched(said: list[tuple[bool, int, Top]]) -> None:
    comparison, mirrored = BookComparison(), set[int]()
    for is_venue, number, top in said:
        if is_venue:
            comparison.on_venue(number, top)
        elif number not in mirrored:
            mirrored.add(number)
            comparison.on_mirrored(number, top)
    comparison.finish()
    counts = comparison.counts
    assert counts.equal + counts.different + counts.unmatched == len(mirrored)
    assert len(counts.examples) == min(counts.different, MOST_EXAMPLES)

import math
import statistics
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.market.intervals import MINUTE
from simulated_exchange.market.klines import Kline
from simulated_exchange.market.live_market import LONGEST_CATCH_UP, LiveMarket, Step, SymbolMarket
from simulated_exchange.market.order_book import Level
from simulated_exchange.market.trade_log import Trade

NOW = 1_765_000_012_345
INSTRUMENTS = listed_instruments(8)
Book = dict[int, int]

seeds = st.integers(0, 10_000)
symbols = st.sampled_from(list(INSTRUMENTS))


def started(seed: int, symbol: str, now: int = NOW, halts: tuple[Halt, ...] = ()) -> tuple[LiveMarket, SymbolMarket]:
    live = LiveMarket(Market(seed, INSTRUMENTS, halts), seed)
    market = live.start(symbol, now)
    assert market
    return live, market


def test_a_pace_is_so_many_times_the_orders_and_diffs_lead_from_book_to_book() -> None:
    usual, busy = (LiveMarket(Market(1, INSTRUMENTS), 1, pace) for pace in (1, 50))
    counts = []
    for live in (usual, busy):
        market = live.start("BTCUSDT", NOW)
        assert market
        book = dict(market.book.bids.levels(5_000))
        found = steps(live, NOW + 20_000)
        diffs = [step.diff for step in found if step.diff]
        assert all(after.first_id == before.last_id + 1 for before, after in pairwise(diffs))
        for diff in diffs:
            apply(book, diff.bids)
        best = market.book.bids.levels(50)
        assert [(price, book[price]) for price, _ in best] == best
        trades = [trade for step in found for trade in step.trades]
        assert [trade.trade_id for trade in trades] == list(range(trades[0].trade_id, trades[0].trade_id + len(trades)))
        counts.append(len(trades))
    assert counts[1] > 20 * counts[0] > 0


def steps(live: LiveMarket, now: int) -> list[Step]:
    return [step for _, step in live.advance(now)]


def apply(book: Book, levels: Iterable[Level]) -> None:
    for price, quantity in levels:
        if quantity:
            book[price] = quantity
        else:
            book.pop(price, None)


def summed(open_time: int, trades: list[Trade]) -> Kline:
    prices = [trade.price for trade in trades]
    taken = [trade for trade in trades if not trade.is_buyer_maker]
    return Kline(
        open_time,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.quantity for trade in trades),
        sum(trade.quantity * trade.price for trade in trades),
        len(trades),
        sum(trade.quantity for trade in taken),
        sum(trade.quantity * trade.price for trade in taken),
    )


@settings(max_examples=25)
@given(seeds, symbols, st.integers(0, 3_000), st.integers(0, 99))
def test_snapshot_and_diffs_rebuild_the_true_book_at_every_update_id(seed: int, symbol: str, wait: int, inside: int) -> None:
    """The snapshot falls into the middle of a step, as the venue's do."""
    live, market = started(seed, symbol)
    last_id = market.book.update_id
    for step in steps(live, NOW + wait):
        assert step.diff is None or step.diff.first_id == last_id + 1
        last_id = step.diff.last_id if step.diff else last_id
    snapshot_id, bid_levels, ask_levels = market.look(NOW + wait + inside, 5000)
    bids, asks = dict(bid_levels), dict(ask_levels)
    deepest = min(bids), max(asks)
    for _, step in live.advance(NOW + wait + 1_500):
        diff = step.diff
        if diff is None:
            continue
        assert diff.first_id == last_id + 1
        last_id = diff.last_id
        if diff.last_id <= snapshot_id:
            continue
        apply(bids, diff.bids)
        apply(asks, diff.asks)
        _, true_bids, true_asks = market.remembered(last_id, 300) or (0, [], [])
        assert sorted(((p, q) for p, q in bids.items() if p >= deepest[0]), reverse=True)[:300] == true_bids
        assert sorted((p, q) for p, q in asks.items() if p <= deepest[1])[:300] == true_asks
        assert true_bids[0][0] < true_asks[0][0]
    assert market.book.bids.levels(300) == true_bids


@settings(max_examples=10)
@given(seeds, symbols)
def test_the_book_is_remembered_for_a_while(seed: int, symbol: str) -> None:
    live, market = started(seed, symbol)
    then: dict[int, tuple[list[Level], list[Level]]] = {}
    for _, step in live.advance(NOW + 5_000):
        if step.diff:
            then[step.diff.last_id] = market.book.bids.levels(50), market.book.asks.levels(50)
    market.look(NOW + 5_090, 1)  # orders of the next step are in the book already
    for update_id, (bids, asks) in then.items():
        assert market.remembered(update_id, 50) == (update_id, bids, asks)
    assert market.remembered(max(then) + 1, 50) is None
    steps(live, NOW + 60_000)
    assert market.remembered(max(then), 50) is None


@settings(max_examples=10)
@given(seeds, symbols)
def test_trades_are_contiguous_and_sum_up_to_the_klines(seed: int, symbol: str) -> None:
    live, market = started(seed, symbol)
    trades = [trade for step in steps(live, NOW + 4 * MINUTE) for trade in step.trades]
    first_id = market.trades.next_id - len(trades)
    assert [trade.trade_id for trade in trades] == list(range(first_id, first_id + len(trades)))
    assert [trade.time_us for trade in trades] == sorted(trade.time_us for trade in trades)
    first_whole = NOW - NOW % MINUTE + MINUTE
    for opened in range(first_whole, first_whole + 3 * MINUTE, MINUTE):
        of_minute = [trade for trade in trades if opened <= trade.time_us // 1000 < opened + MINUTE]
        (kline,) = market.klines.between(opened, opened + MINUTE)
        assert kline == summed(opened, of_minute)


def test_the_price_follows_the_history_it_continues() -> None:
    live, market = started(3, "BTCUSDT")
    steps(live, NOW + 9 * MINUTE)
    history = live.klines.history.minutes("BTCUSDT", NOW - NOW % MINUTE + MINUTE, NOW - NOW % MINUTE + 9 * MINUTE)
    assert len(history) == 8
    for kline in history:
        (ours,) = market.klines.between(kline.open_time, kline.open_time + MINUTE)
        assert ours.close == pytest.approx(kline.close, rel=2e-4)


@settings(max_examples=10)
@given(seeds, symbols, st.lists(st.integers(1, 5_000), max_size=8))
def test_looking_at_the_book_changes_nothing(seed: int, symbol: str, looks: list[int]) -> None:
    watched, quiet = started(seed, symbol), started(seed, symbol)
    expected = steps(quiet[0], NOW + 5_000)
    found: list[Step] = []
    for at in sorted(looks):
        found += steps(watched[0], NOW + at)
        watched[1].look(NOW + at, 5)
    found += steps(watched[0], NOW + 5_000)
    assert found == expected


@settings(max_examples=10)
@given(seeds, symbols, st.integers(1, 50))
def test_a_jump_moves_the_book_behind_the_diffs_backs(seed: int, symbol: str, number: int) -> None:
    live, market = started(seed, symbol)
    steps(live, NOW + 1_000)
    last_id = market.book.update_id
    hidden = market.jump(number)
    assert hidden.diff
    assert (hidden.diff.first_id, hidden.diff.last_id) == (last_id + 1, last_id + number)
    assert hidden.diff.bids or hidden.diff.asks
    after = next(step.diff for step in steps(live, NOW + 2_000) if step.diff)
    assert after.first_id == last_id + number + 1


def test_best_prices_are_told_at_every_change_while_wanted() -> None:
    live, market = started(1, "ETHUSDT")
    unwanted = steps(live, NOW + 1_000)
    assert unwanted
    assert all(not step.tops for step in unwanted)
    market.wants_tops = True
    told = [top for step in steps(live, NOW + 5_000) for top in step.tops]
    assert told[-1][1:] == market.book.top
    assert [top[0] for top in told] == sorted({top[0] for top in told})
    assert len(told) > 1
    assert all(one[1:] != other[1:] for one, other in pairwise(told))


def within(levels: list[Level], touch: int, bps: float) -> int:
    """The quantity at most so far from the best price."""
    return sum(quantity for price, quantity in levels if abs(price - touch) <= max(1, touch * bps / 10_000))


@pytest.mark.parametrize(
    ("symbol", "bps", "seed", "minutes"),
    [
        ("BTCUSDT", 2, 5, 1),
        ("NOVAUSDT", 10, 5, 1),
        *(
            pytest.param(symbol, bps, 1, 10, marks=pytest.mark.slow)
            for symbol, bps in (("BTCUSDT", 2), ("ETHUSDT", 2), ("币安人生USDT", 10), ("NOVAUSDT", 10))
        ),
    ],
)
def test_the_market_looks_like_one(symbol: str, bps: float, seed: int, minutes: int) -> None:
    """Both sides are alike, trades are at the best prices that a reader of the last diff knows, prices move as the minutes do."""
    live, market = started(seed, symbol)
    bid, _, ask, _ = market.book.top
    traded, shares, spreads, mids = 0, [], [], []
    for number, step in enumerate(step for _, step in live.advance(NOW + minutes * MINUTE)):
        assert all(trade.price == (bid if trade.is_buyer_maker else ask) for trade in step.trades)
        traded += len(step.trades)
        bid, _, ask, _ = market.book.top
        assert 0 < bid < ask
        spreads.append(ask - bid)
        if number % 10 == 9:
            mids.append((bid + ask) / 2)
        if number % 100 == 99:
            bids, asks = within(market.book.bids.levels(3_000), bid, bps), within(market.book.asks.levels(3_000), ask, bps)
            shares.append(bids / (bids + asks))
    assert traded > 50 * minutes
    assert statistics.median(spreads) <= 3
    assert max(spreads) <= max(5, ask * 1e-4)
    assert all(0.1 < share < 0.9 for share in shares), "neither side is ever nearly empty"
    assert 0.35 < statistics.mean(shares) < 0.65, "nor the fuller one for long"
    moves = [math.log(after / before) * 10_000 for before, after in pairwise(mids)]
    assert 0.1 < statistics.pstdev(moves) < 3, "basis points a second: 1 to 20 a minute"
    assert sum(a * b > 0 for a, b in pairwise(moves)) < 0.9 * len(moves), "it turns round more often than once a minute"


def test_nothing_happens_in_a_halt() -> None:
    opened = NOW - NOW % MINUTE
    live, _ = started(1, "BTCUSDT", halts=(Halt("BTCUSDT", opened + MINUTE, opened + 2 * MINUTE),))
    busy = [step.at for step in steps(live, opened + 3 * MINUTE) if step.diff]
    assert not [at for at in busy if opened + MINUTE + 100 <= at <= opened + 2 * MINUTE]
    assert [at for at in busy if at < opened + MINUTE]
    assert [at for at in busy if at > opened + 2 * MINUTE]


def test_a_clock_that_jumps_far_skips_the_time() -> None:
    live, market = started(1, "BTCUSDT")
    steps(live, NOW + 1_000)
    last_id, bids = market.book.update_id, market.book.bids.levels(5)
    assert steps(live, NOW + 2 * LONGEST_CATCH_UP) == []
    assert (market.book.update_id, market.book.bids.levels(5)) == (last_id, bids)
    (step,) = steps(live, NOW + 2 * LONGEST_CATCH_UP + 100)
    assert step.diff
    assert step.diff.first_id == last_id + 1


def test_symbols_take_turns_inside_a_step() -> None:
    live = LiveMarket(Market(1, INSTRUMENTS), 1)
    for symbol in INSTRUMENTS:
        live.start(symbol, NOW)
    assert len({step.at % 100 for step in steps(live, NOW + 200)}) == len(live.markets)


def test_work_is_handed_out_in_pieces() -> None:
    live, _ = started(1, "BTCUSDT")
    found: list[Step] = []
    while live.is_behind(NOW + 1_000):
        found += [step for _, step in live.advance(NOW + 1_000, 7)]
    assert [step.at for step in found] == [NOW - NOW % 100 + 100 * number for number in range(1, 11)]


def test_there_is_no_book_before_the_listing() -> None:
    live = LiveMarket(Market(1, INSTRUMENTS), 1)
    assert live.start("NOVAUSDT", INSTRUMENTS["NOVAUSDT"].listed - 1000) is None
    assert live.start("NOVAUSDT", INSTRUMENTS["NOVAUSDT"].listed + 1000)

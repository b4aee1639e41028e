from simulated_exchange.trade_log import Aggregate, Trade, TradeLog


def trade(number: int, aggregate: int | None = None) -> Trade:
    aggregate = number if aggregate is None else aggregate
    return Trade(number, 100 + aggregate, 2, aggregate * 1_000_000, aggregate % 2 == 0, aggregate)


def log(*aggregates: int, kept: int = 1_000) -> TradeLog:
    trades = TradeLog(10, kept)
    for number, aggregate in enumerate(aggregates, 10):
        trades.append(trade(number, aggregate))
    return trades


def test_pages_start_at_an_id() -> None:
    trades = log(1, 1, 2, 3)
    assert trades.page(11, 2) == [trade(11, 1), trade(12, 2)]
    assert trades.page(0, 1) == [trade(10, 1)]
    assert trades.page(14, 5) == []
    assert trades.latest(2) == [trade(12, 2), trade(13, 3)]
    assert trades.next_id == 14


def test_aggregates_join_the_trades_of_one_order_at_one_price() -> None:
    trades = log(1, 1, 2, 3, 3)
    whole = [
        Aggregate(1, 101, 4, 10, 11, 1_000_000, False),
        Aggregate(2, 102, 2, 12, 12, 2_000_000, True),
        Aggregate(3, 103, 4, 13, 14, 3_000_000, False),
    ]
    assert trades.aggregates(0, 10) == whole
    assert trades.aggregates(2, 1) == whole[1:2]
    assert trades.latest_aggregates(2) == whole[1:]
    assert trades.latest_aggregates(5, 2_500_000) == whole[:2]
    assert trades.latest_aggregates(5, 0) == []
    assert trades.aggregates_between(1_500_000, 3_000_000, 10) == whole[1:]


def test_old_trades_are_forgotten_by_whole_aggregates() -> None:
    trades = log(*(number // 2 for number in range(200)), kept=100)
    oldest = trades.page(0, 1)[0]
    assert oldest.trade_id > 10
    assert oldest.aggregate_id != trades.page(0, 2)[0].aggregate_id - 1
    assert trades.aggregates(0, 1)[0].first_id == oldest.trade_id
    assert trades.latest(1)[0].trade_id == 209


def test_trades_are_found_by_time() -> None:
    trades = log(1, 2, 3)
    assert trades.between(2_000_000, 3_000_000) == [trade(11, 2)]
    assert trades.price_before(1_000_000) is None
    assert trades.price_before(3_000_000) == 102

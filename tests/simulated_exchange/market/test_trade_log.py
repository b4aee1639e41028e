from simulated_exchange.market.trade_log import Trade, TradeLog


def trade(number: int, second: int) -> Trade:
    return Trade(number, 100 + second, 2, second * 1_000_000, second % 2 == 0)


def log(*seconds: int, kept: int = 1_000) -> TradeLog:
    trades = TradeLog(10, kept)
    for number, second in enumerate(seconds, 10):
        trades.append(trade(number, second))
    return trades


def test_pages_start_at_an_id() -> None:
    trades = log(1, 1, 2, 3)
    assert trades.page(11, 2) == [trade(11, 1), trade(12, 2)]
    assert trades.page(0, 1) == [trade(10, 1)]
    assert trades.page(14, 5) == []
    assert trades.latest(2) == [trade(12, 2), trade(13, 3)]
    assert trades.next_id == 14


def test_old_trades_are_forgotten() -> None:
    trades = log(*range(200), kept=100)
    oldest = trades.page(0, 1)[0]
    assert oldest.trade_id > 10
    assert trades.latest(1)[0].trade_id == 209
    assert 100 <= len(trades.page(0, 1_000)) <= 125


def test_trades_are_found_by_time() -> None:
    trades = log(1, 2, 3)
    assert trades.between(2_000_000, 3_000_000) == [trade(11, 2)]
    assert trades.price_before(1_000_000) is None
    assert trades.price_before(3_000_000) == 102
